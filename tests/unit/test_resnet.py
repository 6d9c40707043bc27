"""I3D-R50: sizes of the published network, non-local blocks that start as the identity, inflation, and foreign names."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
import torch
from torch import nn

from baselines import i3d_r50, i3d_r50_nl
from baselines.parts.inception import Style
from baselines.parts.non_local import NonLocal
from baselines.parts.resnet import NON_LOCAL, ResNet
from harness.core.contract import BuildSpec
from harness.core.errors import HarnessError
from harness.models import catalog, importing, name_maps
from harness.protocols.scales.micro import SCALE as MICRO
from harness.protocols.scales.paper import SCALE as PAPER

TINY = replace(MICRO, width=0.03, dropout=0.0)
CARDS = {"plain": i3d_r50.BASELINE, "non-local": i3d_r50_nl.BASELINE}


def build(card, *, stream="rgb", classes=5, scale=TINY, image=False, seed=0):
    torch.manual_seed(seed)
    return (card.build_image if image else card.build)(BuildSpec((stream,), classes, scale)).eval()


def lively(network: nn.Module, inputs: torch.Tensor) -> nn.Module:
    """Scales and statistics under which every layer matters; eval mode."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
    with torch.no_grad():
        network.train()(inputs)
    return network.eval()


# ------------------------------------------------------------------------------------------------ sizes


@pytest.mark.parametrize(
    ("card", "stream", "classes", "expected"),
    [
        ("plain", "rgb", 400, 28_043_472),
        ("plain", "rgb", 101, 27_430_821),
        ("plain", "rgb", 51, 27_328_371),
        ("plain", "flow", 400, 28_043_472 - 5 * 7 * 7 * 64),
        ("non-local", "rgb", 400, 28_043_472 + 2 * 526_592 + 3 * 2_101_760),
    ],
)
def test_exact_parameter_counts(card, stream, classes, expected):
    """The published network has 28.04 M; a non-local block 526,592 at 512 channels and 2,101,760 at 1024."""
    with torch.device("meta"):
        network = CARDS[card].build(BuildSpec((stream,), classes, PAPER))
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == expected


def test_the_image_network_is_resnet_50():
    with torch.device("meta"):
        network = i3d_r50.BASELINE.build_image(BuildSpec(("rgb",), 1000, PAPER))
    assert sum(p.numel() for p in network.parameters()) == 25_557_032


def test_layer_table():
    """Time is halved once, after res2: 8 frames end as 4."""
    table = {
        "stem": (64, 8, 112),
        "res2": (256, 8, 56),
        "res3": (512, 4, 28),
        "res4": (1024, 4, 14),
        "res5": (2048, 4, 7),
    }
    with torch.device("meta"):
        network = i3d_r50_nl.BASELINE.build(BuildSpec(("rgb",), 400, PAPER))
        shapes = {}
        for name in table:
            network.trunk.get_submodule(name).register_forward_hook(
                lambda module, inputs, output, name=name: shapes.update({name: tuple(output.shape)})
            )
        assert network({"rgb": torch.empty(1, 3, 8, 224, 224)}).shape == (1, 1, 400)
    assert shapes == {name: (1, channels, time, side, side) for name, (channels, time, side) in table.items()}


def test_temporal_kernels_and_strides():
    with torch.device("meta"):
        trunk = i3d_r50.BASELINE.build(BuildSpec(("rgb",), 400, PAPER)).trunk
    kernels = {
        stage: [block.a.conv.kernel_size for block in trunk.get_submodule(stage)] for stage in ("res2", "res4", "res5")
    }
    one, three = (1, 1, 1), (3, 1, 1)
    assert kernels == {"res2": [three] * 3, "res4": [three, one] * 3, "res5": [one, three, one]}
    assert trunk.stem.conv.kernel_size == (5, 7, 7) and trunk.stem.conv.stride == (1, 2, 2)
    assert trunk.res3[0].b.conv.kernel_size == (1, 3, 3)
    assert trunk.res3[0].b.conv.stride == trunk.res3[0].shortcut.conv.stride == (1, 2, 2), "the stride is in the 3x3"
    assert {module.eps for module in trunk.modules() if isinstance(module, nn.BatchNorm3d)} == {1e-5}


# ------------------------------------------------------------------------------------------------ non-local blocks


def test_five_non_local_blocks_at_their_places():
    network = build(i3d_r50_nl.BASELINE)
    places = [name for name, module in network.trunk.named_modules() if isinstance(module, NonLocal)]
    assert places == [f"{stage}.nonlocal{block}" for stage, blocks in NON_LOCAL.items() for block in blocks]
    assert [name for name, _ in network.trunk.res3.named_children()] == ["0", "1", "nonlocal1", "2", "3", "nonlocal3"]


@pytest.mark.parametrize("training", [True, False])
def test_new_non_local_blocks_change_not_a_bit(training):
    plain, with_blocks = build(i3d_r50.BASELINE), build(i3d_r50_nl.BASELINE, seed=1)
    lively(plain, {"rgb": torch.rand(4, 3, 8, 48, 48)})
    state = with_blocks.state_dict()
    with_blocks.load_state_dict({name: plain.state_dict().get(name, state[name]) for name in state})
    inputs = {"rgb": torch.rand(2, 3, 8, 48, 48) * 2 - 1}
    with torch.no_grad():
        assert torch.equal(plain.train(training)(inputs), with_blocks.train(training)(inputs))
        for module in with_blocks.modules():
            if isinstance(module, NonLocal):
                nn.init.ones_(module.bn.weight)
        assert not torch.allclose(plain(inputs), with_blocks(inputs), atol=1e-4), "the blocks must be able to matter"


def test_a_non_local_block_is_the_weighted_sum_of_all_positions():
    """Written out position by position, with a scale of one and batch norm in its initial state."""
    torch.manual_seed(0)
    block = NonLocal(4, eps=0.0, momentum=0.1).double().eval()
    x = torch.randn(1, 4, 2, 3, 3, dtype=torch.float64)
    pooled = nn.functional.max_pool3d(x, (1, 2, 2), ceil_mode=True)
    assert pooled.shape[2:] == (2, 2, 2), "an odd edge is kept"

    def mapped(layer, column):
        return layer.weight.flatten(1) @ column + layer.bias

    keys = pooled.flatten(2)[0].T
    expected = torch.empty(4, 18, dtype=torch.float64)
    for place, column in enumerate(x.flatten(2)[0].T):
        query = mapped(block.theta, column)
        weights = [math.exp((query @ mapped(block.phi, key)).item() / math.sqrt(2)) for key in keys]
        read = sum(w * mapped(block.g, key) for w, key in zip(weights, keys, strict=True)) / sum(weights)
        expected[:, place] = column + mapped(block.out, read)
    torch.testing.assert_close(block(x), expected.view_as(x))


# ------------------------------------------------------------------------------------------------ inflation


@pytest.mark.parametrize("frames", [2, 8, 9])
def test_a_boring_video_gives_what_the_picture_gives(frames):
    style = Style(2, width=0.03, eps=1e-5, symmetric=True)
    torch.manual_seed(0)
    flat = lively(ResNet(3, style=style).double(), torch.randn(4, 3, 64, 64, dtype=torch.float64))
    solid = ResNet(3, style=replace(style, dims=3, time_padding="replicate")).double().eval()
    card = i3d_r50.BASELINE
    holder = nn.Module()
    holder.trunk = solid
    card.bootstrap(
        holder, {f"trunk.{name}": tensor for name, tensor in flat.state_dict().items()}, BuildSpec(("rgb",), 5, TINY)
    )
    picture = torch.rand(2, 3, 64, 64, dtype=torch.float64) * 2 - 1
    with torch.no_grad():
        maps, video = flat(picture), solid(picture.unsqueeze(2).expand(-1, -1, frames, -1, -1))
    assert video.shape[2] == frames // 2 and maps.std() > 0.01
    torch.testing.assert_close(video, maps.unsqueeze(2).expand_as(video))
    solid.stem.conv.time_padding = "zeros"
    with torch.no_grad():
        assert not torch.allclose(solid(picture.unsqueeze(2).expand(-1, -1, 2, -1, -1))[:, :, 0], maps, atol=1e-3)


def test_inflation_leaves_non_local_blocks_alone_and_takes_the_pictures_mean_along():
    card = i3d_r50_nl.BASELINE
    image, network, untouched = build(card, image=True), build(card, seed=1), build(card, seed=1)
    image.trunk.pixels.standard.copy_(torch.tensor(name_maps.IMAGENET))
    card.bootstrap(network, image.state_dict(), BuildSpec(("rgb",), 5, TINY))
    state, before = network.state_dict(), untouched.state_dict()
    kept = {name for name in state if torch.equal(state[name], before[name])}
    assert {name for name in state if ".nonlocal" in name} <= kept
    assert "trunk.res4.5.b.conv.weight" not in kept
    assert torch.equal(network.trunk.pixels.standard, torch.tensor(name_maps.IMAGENET))


def test_pictures_are_standardised_and_flow_is_not():
    pixels = build(i3d_r50.BASELINE).trunk.pixels
    picture = torch.rand(1, 3, 2, 4, 4)
    torch.testing.assert_close(pixels(picture * 2 - 1), (picture - 0.45) / 0.225)
    flow = torch.rand(1, 2, 2, 4, 4)
    assert torch.equal(build(i3d_r50.BASELINE, stream="flow").trunk.pixels(flow), flow)


def test_a_backbone_is_refused_with_the_way_to_have_it():
    with pytest.raises(HarnessError, match="pass --baseline i3d to inflate timm/resnet18"):
        i3d_r50.BASELINE.build(BuildSpec(("rgb",), 5, TINY, backbone="timm/resnet18"))


# ------------------------------------------------------------------------------------------------ foreign names


def test_torchvisions_resnet_50_arrives_in_the_image_network():
    from torchvision.models import resnet50

    torch.manual_seed(0)
    theirs = lively(resnet50().double(), torch.rand(4, 3, 64, 64, dtype=torch.float64))
    ours = build(i3d_r50.BASELINE, image=True, classes=1000, scale=PAPER).double()
    state, report = importing.convert(theirs.state_dict(), target=ours.state_dict())
    assert report.layout == catalog.IMAGE["resnet-50"].layout and report.complete
    ours.load_state_dict(state)
    picture = torch.rand(2, 3, 96, 96, dtype=torch.float64)
    mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in name_maps.IMAGENET)
    with torch.no_grad():
        expected = theirs((picture - mean) / deviation)
        logits = ours({"rgb": (picture * 2 - 1).unsqueeze(2)})[:, 0]
    assert expected.std() > 0.1
    # The mean and deviation are float32 numbers in our state.
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)


def foreign(layout: str, name: str) -> str:
    """Our tensor's name in another layout, by writing each layout's names down once more, the other way round."""
    kind = name.rpartition(".")[2]
    short = {"weight": "s", "bias": "b", "running_mean": "rm", "running_var": "riv"}
    if layout == "caffe2":
        kind = "w" if kind == "weight" and ".bn." not in name else short[kind]
    if name.startswith("head.fc"):
        return {
            "pytorchvideo": f"blocks.6.proj.{kind}",
            "slowfast": f"head.projection.{kind}",
            "caffe2": f"pred_{kind}",
        }[layout]
    if stem := re.fullmatch(r"trunk\.stem\.(conv|bn)\..+", name):
        conv = stem[1] == "conv"
        return {
            "pytorchvideo": f"blocks.0.{'conv' if conv else 'norm'}.{kind}",
            "slowfast": f"s1.pathway0_stem.{stem[1]}.{kind}",
            "caffe2": f"{'conv1' if conv else 'res_conv1_bn'}_{kind}",
        }[layout]
    if block := re.fullmatch(r"trunk\.res(\d)\.nonlocal(\d)\.(\w+)\..+", name):
        stage, number, part = block.groups()
        inner = "norm" if part == "bn" else f"conv_{part}"
        return {
            "slowfast": f"s{stage}.pathway0_nonlocal{number}.{inner}.{kind}",
            "caffe2": f"nonlocal_conv{stage}_{number}_{part}_{kind}",
        }[layout]
    stage, number, unit, part = re.fullmatch(r"trunk\.res(\d)\.(\d)\.(\w+)\.(conv|bn)\..+", name).groups()
    first = unit == "shortcut"
    if layout == "pytorchvideo":
        place = {2: 1, 3: 3, 4: 4, 5: 5}[int(stage)]
        norm = "conv" if part == "conv" else "norm"
        branch = f"branch1_{norm}" if first else f"branch2.{norm}_{unit}"
        return f"blocks.{place}.res_blocks.{number}.{branch}.{kind}"
    if layout == "slowfast":
        branch = ("branch1" if first else f"branch2.{unit}") + ("_bn" if part == "bn" else "")
        return f"s{stage}.pathway0_res{number}.{branch}.{kind}"
    return f"res{stage}_{number}_branch{1 if first else f'2{unit}'}{'_bn' if part == 'bn' else ''}_{kind}"


@pytest.mark.parametrize(
    ("layout", "card"),
    [
        ("pytorchvideo", "plain"),
        ("slowfast", "plain"),
        ("slowfast", "non-local"),
        ("caffe2", "plain"),
        ("caffe2", "non-local"),
    ],
)
def test_published_layouts_arrive_tensor_by_tensor(layout, card):
    network = lively(build(CARDS[card]), {"rgb": torch.rand(4, 3, 8, 48, 48)})
    source = network.state_dict()
    ours_alone = ("_extra_state", "pixels.standard", "num_batches_tracked")
    named = {foreign(layout, name): tensor for name, tensor in source.items() if not name.endswith(ours_alone)}
    assert len(named) > 260
    if layout == "caffe2":
        named |= {"conv1_w_momentum": torch.zeros(2), "lr": torch.zeros(1), "model_iter": torch.zeros(1)}
    state, report = importing.convert(named, target=build(CARDS[card], seed=3).state_dict())
    assert report.layout == layout and len(report.left_out) == (3 if layout == "caffe2" else 0)
    assert state.keys() == source.keys()
    counters = {name for name in source if name.endswith("num_batches_tracked")}
    assert all(torch.equal(state[name], tensor) for name, tensor in source.items() if name not in counters)
    with pytest.raises(HarnessError, match=r"missing: trunk\.res5\.2\.c\.bn\.bias"):
        importing.convert(
            {n: t for n, t in named.items() if n != foreign(layout, "trunk.res5.2.c.bn.bias")}, target=source
        )


def test_older_slowfast_files_call_the_norm_of_a_non_local_block_bn():
    assert name_maps.slowfast("s4.pathway0_nonlocal5.bn.weight") == name_maps.slowfast(
        "s4.pathway0_nonlocal5.norm.weight"
    )
