"""Inflation: a clip that repeats one picture gives what the 2D network gives for the picture, and where it must not.

Weights are Kaiming's and batch-norm statistics come from a pass over data: with default statistics a network squashes
its input so far that a wrong padding moves nothing.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from baselines.parts.backbones import inflated_trunk, timm_trunk
from baselines.parts.inception import ENDPOINTS, Inception, Style
from baselines.parts.inflate import FAMILIES, TIME_STRIDES, inflate
from baselines.parts.init_from_2d import across_modalities, inflate_kernel, inflate_state
from baselines.parts.same_padding import same_pads
from harness.core.errors import HarnessError, UnknownName


def lively(network: nn.Module, side_px: int, *, channels: int = 3) -> nn.Module:
    """Weights and statistics under which every layer matters; eval mode."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        if parameter.dim() > 1:
            nn.init.kaiming_normal_(parameter)
        else:
            parameter.data.add_(torch.rand_like(parameter) / 2)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None
    dtype = next(network.parameters()).dtype
    with torch.no_grad():
        network.train()(torch.randn(4, channels, side_px, side_px, dtype=dtype))
    return network.eval()


def boring(picture: torch.Tensor, frames: int) -> torch.Tensor:
    return picture.unsqueeze(2).expand(-1, -1, frames, -1, -1)


def flat_inception(**style) -> Inception:
    return lively(Inception(3, style=Style(2, width=0.01, **style)).double(), 64)


# ------------------------------------------------------------------------------------------------ kernels


@pytest.mark.parametrize("method", ["repeat", "centre"])
@pytest.mark.parametrize("time", [1, 2, 3, 7])
def test_an_inflated_kernel_sums_to_the_flat_one(method, time):
    weight = torch.randn(4, 3, 3, 3, dtype=torch.float64)
    inflated = inflate_kernel(weight, time, method=method)
    assert inflated.shape == (4, 3, time, 3, 3)
    torch.testing.assert_close(inflated.sum(2), weight)
    if method == "centre" and time > 1:
        assert torch.equal(inflated[:, :, time // 2], weight) and inflated.count_nonzero() == weight.count_nonzero()
    if method == "repeat":
        torch.testing.assert_close(inflated[:, :, 0], weight / time)


def test_a_first_kernel_over_rgb_serves_flow_by_its_mean():
    weight = torch.randn(4, 3, 7, 7)
    flow = across_modalities(weight, 20)
    assert flow.shape == (4, 20, 7, 7)
    torch.testing.assert_close(flow[:, 13], weight.mean(1))


def test_inflating_a_state_is_strict():
    flat = Inception(3, style=Style(2, width=0.01))
    target = Inception(2, style=Style(3, width=0.01)).state_dict()
    state = flat.state_dict()
    assert inflate_state(state, target).keys() == target.keys()
    lacking = {name: tensor for name, tensor in state.items() if "mixed4e.b1b.conv.weight" not in name}
    with pytest.raises(HarnessError, match=r"mixed4e\.b1b\.conv\.weight"):
        inflate_state(lacking, target)
    with pytest.raises(HarnessError, match="too many"):
        inflate_state({**state, "aux.fc.weight": torch.zeros(2)}, target)
    wider = Inception(3, style=Style(2, width=0.3)).state_dict()
    with pytest.raises(HarnessError, match="backbone differs|backbone or the width differs"):
        inflate_state(wider, target)


# ------------------------------------------------------------------------------------------------ Inception


@pytest.mark.parametrize("frames", [1, 3, 16])
@pytest.mark.parametrize("method", ["repeat", "centre"])
def test_boring_videos_under_replicate_padding_at_every_endpoint_and_position(frames, method):
    flat = flat_inception()
    inflated = inflate(flat, method=method, time_padding="replicate")
    picture = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        for (name, two), (_, three) in zip(flat.walk(picture), inflated.walk(boring(picture, frames)), strict=True):
            expected = two.unsqueeze(2).expand_as(three)
            assert two.abs().max() > 0.1, name
            torch.testing.assert_close(three, expected, atol=1e-9, rtol=0, msg=name)


def test_zero_padding_scales_the_first_convolution_by_its_valid_taps():
    """T = 64: pads (2, 3) of 7 taps with stride 2 leave 5/7 at t = 0, 6/7 at t = 30, 4/7 at t = 31, all in between."""
    flat = flat_inception()
    inflated = inflate(flat)
    picture = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    two, three = flat.conv1a.conv(picture), inflated.conv1a.conv(boring(picture, 64))
    factors = [1.0] * 32
    factors[0], factors[30], factors[31] = 5 / 7, 6 / 7, 4 / 7
    for t, factor in enumerate(factors):
        torch.testing.assert_close(three[:, :, t], factor * two, atol=1e-9, rtol=0)


def exact_positions(frames: int) -> dict[str, list[bool]]:
    """Endpoint -> is each position in time untouched by the zeros beyond the clip's ends, by propagating a mask."""
    layers = {
        "conv1a": [(7, 2)],
        "conv2c": [(3, 1)],
        "pool4a": [(-3, 2)],
        "pool5a": [(-2, 2)],
    } | {name: [(3, 1)] for name in ENDPOINTS if name.startswith("mixed")}
    mask, masks = [True] * frames, {}
    for name in ENDPOINTS:
        for kernel, stride in layers.get(name, []):
            mask = _through(mask, abs(kernel), stride, padding_counts=kernel > 0)
        masks[name] = mask
    return masks


def _through(mask, kernel, stride, *, padding_counts):
    before, _ = same_pads(len(mask), kernel, stride)
    outputs = []
    for t in range(math.ceil(len(mask) / stride)):
        taps = range(t * stride - before, t * stride - before + kernel)
        inside = [i for i in taps if 0 <= i < len(mask)]
        outputs.append(all(mask[i] for i in inside) and not (padding_counts and len(inside) < kernel))
    return outputs


@pytest.mark.parametrize(
    "frames,table",
    [
        (16, {"conv1a": (1, 5), "pool4a": None, "mixed5c": None}),
        (64, {"conv1a": (1, 29), "pool4a": (2, 12), "mixed4f": (7, 7), "pool5a": None, "mixed5c": None}),
        (104, {"conv1a": (1, 49), "pool4a": (2, 22), "mixed4f": (7, 17), "pool5a": (4, 8), "mixed5c": (6, 6)}),
        (128, {"conv1a": (1, 61), "pool4a": (2, 28), "mixed4f": (7, 23), "pool5a": (4, 11), "mixed5c": (6, 9)}),
        (250, {"conv1a": (1, 122), "pool4a": (3, 59), "mixed4f": (8, 54), "pool5a": (4, 26), "mixed5c": (6, 24)}),
    ],
)
def test_predicted_exact_positions(frames, table):
    masks = exact_positions(frames)
    for name, span in table.items():
        exact = [t for t, good in enumerate(masks[name]) if good]
        assert exact == ([] if span is None else list(range(span[0], span[1] + 1))), name


def test_exact_positions_under_zero_padding_and_inequality_at_the_border():
    """At T = 128 positions 6 to 9 of Mixed_5c are exact; at T = 64, the training length, none is."""
    flat = flat_inception()
    inflated = inflate(flat)
    picture = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        outputs = dict(flat.walk(picture))
        masks = exact_positions(128)
        for name, three in inflated.walk(boring(picture, 128)):
            error = (three - outputs[name].unsqueeze(2)).abs().amax((0, 1, 3, 4))
            exact = torch.tensor(masks[name])
            assert error[exact].max() < 1e-9, name
            assert error[0] > 1e-2, f"{name}: the border must not be exact, or this test sees nothing"
        assert [t for t in range(16) if exact[t]] == [6, 7, 8, 9]
        short = (inflated(boring(picture, 64)) - outputs["mixed5c"].unsqueeze(2)).abs().amax((0, 1, 3, 4))
        assert short.min() > 1e-3


def test_the_centre_slice_keeps_boring_videos_even_under_zero_padding():
    flat = flat_inception()
    picture = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        three = inflate(flat, method="centre")(boring(picture, 16))
        torch.testing.assert_close(three, flat(picture).unsqueeze(2).expand_as(three), atol=1e-9, rtol=0)


def test_training_mode_agrees_too_but_for_the_unbiased_variance():
    flat = flat_inception()
    inflated = inflate(flat, time_padding="replicate")
    picture = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    unit2, unit3 = flat.conv1a.train(), inflated.conv1a.train()
    unit2.bn.momentum = unit3.bn.momentum = 0.1
    two, three = unit2(picture), unit3(boring(picture, 8))
    torch.testing.assert_close(three, two.unsqueeze(2).expand_as(three), atol=1e-9, rtol=0)
    torch.testing.assert_close(unit3.bn.running_mean, unit2.bn.running_mean)
    assert not torch.equal(unit3.bn.running_var, unit2.bn.running_var)


def test_wrong_inflation_is_seen():
    """Without the division by N nothing is equal: the check above can fail."""
    flat = flat_inception()
    inflated = inflate(flat, time_padding="replicate")
    with torch.no_grad():
        inflated.mixed4c.b1b.conv.weight.mul_(3)
        picture = torch.randn(1, 3, 64, 64, dtype=torch.float64)
        three = inflated(boring(picture, 4))
        assert (three - flat(picture).unsqueeze(2)).abs().max() > 1e-2


# ------------------------------------------------------------------------------------------------ timm

SIDE_PX = {"inception_v4": 75, "inception_resnet_v2": 75}
DOUBLE = ("resnet", "resnetv2 (batch norm)", "regnety", "densenet", "dla", "inception_v4", "inception_resnet_v2")
DOUBLE += ("mobilenetv2", "efficientnet")
DOUBLE += ("mobilenetv3", "tf_efficientnet")
"""In float64, to 1e-9; the others in float32, relative to the features' size, for double depthwise convolutions crawl."""
QUICK = ("resnet", "resnext", "regnetx", "regnety", "densenet", "vgg", "mobilenetv2", "mobilenetv3", "efficientnet")
QUICK += ("tf_efficientnet", "inception_v4", "convnext")


def test_the_support_list_names_what_was_promised():
    promised = {
        "resnet",
        "resnext",
        "regnetx",
        "densenet",
        "vgg",
        "mobilenetv2",
        "inception_v4",
        "efficientnet",
        "convnext",
    }
    assert promised <= FAMILIES.keys() and len(FAMILIES) >= 12 and len(QUICK) >= 12 and set(QUICK) <= FAMILIES.keys()


@pytest.mark.parametrize("family", [f if f in QUICK else pytest.param(f, marks=pytest.mark.slow) for f in FAMILIES])
def test_boring_videos_through_every_family(family):
    name = FAMILIES[family]
    side = SIDE_PX.get(name, 32)
    flat = timm_trunk(f"timm/{name}", channels=3)
    flat = lively(flat.double() if family in DOUBLE else flat, side)
    picture = torch.randn(1, 3, side, side, dtype=next(flat.parameters()).dtype)
    with torch.no_grad():
        two = flat(picture)
        three = inflate(flat, time_padding="replicate")(boring(picture, 2))
    size = two.abs().max()
    assert two.shape[1] == flat.out_channels and size > 0.1
    assert (three - two.unsqueeze(2)).abs().max() <= (1e-9 if family in DOUBLE else 1e-4) * max(1, size)


def test_logits_of_an_inflated_network_equal_timms():
    import timm

    flat = lively(timm.create_model("resnet18", num_classes=5).double(), 64)
    inflated = inflate(flat, time_padding="replicate")
    picture = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        expected = flat(picture)
        torch.testing.assert_close(inflated(boring(picture, 3)), expected, atol=1e-9, rtol=0)
        # One pixel to the left instead of around: what TF's SAME would do here.
        inflated.layer2[0].conv1 = nn.Sequential(nn.ZeroPad3d((-1, 1, -1, 1, 0, 0)), inflated.layer2[0].conv1)
        assert (inflated(boring(picture, 3)) - expected).abs().max() > 1e-2, "a wrong padding must show"


def test_time_is_strided_as_in_the_inflated_inception():
    with torch.device("meta"):
        trunk = inflated_trunk("timm/resnet18", channels=2)
        assert trunk(torch.empty(1, 2, 64, 224, 224)).shape == (1, 512, 8, 7, 7)
        assert trunk.model.conv1.kernel_size == (7, 7, 7)
        assert trunk.model.layer1[0].conv1.kernel_size == (3, 3, 3)
        patches = inflated_trunk("timm/convnext_atto", channels=3)
        assert patches(torch.empty(1, 3, 64, 224, 224)).shape == (1, 320, 8, 7, 7)
    strided = {path: m.stride[0] for path, m in trunk.named_modules() if isinstance(m, nn.Conv3d) and m.stride[1] == 2}
    assert strided["model.conv1"] == 2 and strided["model.layer2.0.conv1"] == 1
    assert strided["model.layer3.0.conv1"] == strided["model.layer3.0.downsample.0"] == 2
    assert math.prod(TIME_STRIDES.values()) == 8


def test_the_flat_network_is_left_as_it_was():
    flat = flat_inception()
    before = copy.deepcopy(flat.state_dict())
    inflate(flat)
    assert all(torch.equal(tensor, before[name]) for name, tensor in flat.state_dict().items())


def test_an_unsupported_layer_is_named():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.Conv2d(4, 4, 1), nn.PixelShuffle(2)))
    with pytest.raises(HarnessError, match=r"'1\.1' of type torch\.nn\.modules\.pixelshuffle\.PixelShuffle"):
        inflate(network, side_px=32)


def test_hard_coded_two_dimensional_code_is_refused():
    """inception_v3 pools inside forward: no swapping of layers would see it."""
    with pytest.raises(HarnessError, match=r"inception_v3"):
        inflated_trunk("timm/inception_v3", channels=3)


def test_an_unknown_backbone_gets_a_guess():
    with pytest.raises(UnknownName, match="did you mean 'timm/resnet50'"):
        timm_trunk("timm/resnet5O", channels=3)
    with pytest.raises(UnknownName, match="write timm/NAME"):
        timm_trunk("resnet50", channels=3)


def test_style_survives_inflation():
    flat = Inception(3, style=Style(2, width=0.01, affine=False, symmetric=True))
    inflated = inflate(flat)
    assert inflated.style == replace(flat.style, dims=3)
    assert inflated.conv1a.conv.symmetric and "conv1a.bn.weight" not in inflated.state_dict()
