"""torchvision's networks: our table against theirs, their logits from the same frames, their files loaded strictly."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import get_model, get_model_weights, list_models, video
from torchvision.transforms import InterpolationMode

from baselines.parts.families.torchvision_facts import LARGER, MEMBERS, URL, kinetics400
from harness.core import registry
from harness.core.contract import BuildSpec, FlowMethod, Video
from harness.core.errors import HarnessError
from harness.data.batch import View, batch_of, stacked, to_network
from harness.models import importing, pretrained
from harness.protocols.scales.micro import SCALE as MICRO
from harness.protocols.scales.paper import SCALE as PAPER
from harness.video.sampling import test_crops as crops_of

SMALL = ("r3d_18", "mc3_18", "r2plus1d_18", "s3d")
every_member = pytest.mark.parametrize("name", MEMBERS)


def card(name):
    return registry.load("baseline", f"torchvision:{name}")


def published(name):
    """(row of our table, weights in torchvision's) for each of the member's weights."""
    rows = [MEMBERS[name], *([LARGER[name]] if name in LARGER else [])]
    return [(row, getattr(get_model_weights(name), row.weights)) for row in rows]


def test_the_family_has_every_video_network_of_torchvision():
    assert set(MEMBERS) == set(list_models(module=video)) and len(MEMBERS) == 9
    assert {row.weights for name in MEMBERS for row, _ in published(name)} == {
        weights.name for name in MEMBERS for weights in get_model_weights(name)
    }
    assert all(published(name)[0][1] == get_model_weights(name).DEFAULT for name in MEMBERS)


@every_member
def test_the_table_says_what_torchvision_says(name):
    for row, weights in published(name):
        meta, transforms, kind = weights.meta, weights.transforms(), row.kind
        assert (row.parameters, row.gmacs) == (meta["num_params"], meta["_ops"])
        assert row.top1_pct == meta["_metrics"]["Kinetics-400"]["acc@1"]
        assert URL.format(row.file) == weights.url and tuple(meta["categories"]) == kinetics400()
        prose = f"`frame_rate={kind.fps:g}`, `clips_per_video={kind.clips}`, and `clip_len={kind.frames}`"
        assert prose in meta["_docs"] and ("clip-level" in meta["_docs"]) == (kind.clips == 1)
        assert transforms.crop_size == [kind.side_px] * 2
        assert transforms.resize_size == ([kind.resize] if isinstance(kind.resize, int) else list(kind.resize))
        assert (tuple(transforms.mean), tuple(transforms.std)) == (kind.pixels.mean, kind.pixels.std)
        assert transforms.interpolation == InterpolationMode.BILINEAR
        if kind.fixed:
            assert (meta["min_temporal_size"], meta["min_size"]) == (kind.frames, (kind.side_px,) * 2)
        dropouts = [
            layer.p
            for layer in get_model(name).get_submodule(kind.head.split(".")[0]).modules()
            if isinstance(layer, nn.Dropout)
        ]
        assert dropouts == ([kind.dropout] if kind.dropout else [])


@every_member
def test_names_shapes_and_counts_are_torchvisions(name):
    baseline = card(name)
    with torch.device("meta"):
        theirs = get_model(name, weights=None)
        ours = baseline.build(BuildSpec(("rgb",), 400, PAPER))
    (weights, *_) = baseline.weights
    state, report = importing.convert(
        theirs.state_dict(), target=ours.state_dict(), layout=importing.accepted(ours, weights)[1]
    )
    assert report.complete and not report.left_out and state.keys() == ours.state_dict().keys()
    assert set(report.reshaped) <= {"head.fc.weight"}
    assert sum(p.numel() for p in ours.parameters()) == baseline.parameters == MEMBERS[name].parameters


def frames_of(name, number=1, seed=0):
    """(clip of uint8 frames of the resized size, its frames as the network gets them)."""
    baseline = card(name)
    clip, kind = baseline.test_clip["paper"], MEMBERS[name].kind
    height, width = kind.resize if isinstance(kind.resize, tuple) else (kind.resize, kind.resize + 85)
    window = min(clip.window, 24)  # S3D takes any length from 14
    frames = np.random.default_rng(seed).integers(0, 256, (number, window, height, width, 3), np.uint8)
    ((top, left),) = crops_of(height, width, clip)
    cut = frames[:, :, top : top + clip.side_px, left : left + clip.side_px]
    views = [View(Video("v", "v", 0), 0, False, {"rgb": part}) for part in cut]
    pixels = baseline.frames["paper"].pixels
    inputs = to_network(batch_of(views, stacked(views)), "cpu", FlowMethod("none", 1.0, 0), pixels)
    return torch.from_numpy(frames).permute(0, 1, 4, 2, 3), inputs


@every_member
def test_frames_arrive_as_torchvisions_transforms_make_them(name):
    frames, inputs = frames_of(name)
    theirs = published(name)[0][1].transforms()(frames)
    torch.testing.assert_close(inputs["rgb"], theirs, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", SMALL)
def test_logits_are_torchvisions(name):
    torch.manual_seed(0)
    theirs = get_model(name, weights=None).eval()
    trained(theirs)
    baseline = card(name)
    ours = baseline.build(BuildSpec(("rgb",), 400, PAPER)).eval()
    state, _ = importing.convert(
        theirs.state_dict(), target=ours.state_dict(), layout=importing.accepted(ours, baseline.weights[0])[1]
    )
    ours.load_state_dict(state)
    frames, inputs = frames_of(name)
    with torch.inference_mode():
        expected = theirs(published(name)[0][1].transforms()(frames))
        logits = ours(inputs).mean(1)
    assert expected.std() > 0.01
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", sorted(set(MEMBERS) - set(SMALL)))
def test_logits_of_micro_transformers_are_those_of_torchvisions_own_forward(name):
    """The large ones at their micro size: the same class of torchvision, with its own head."""
    torch.manual_seed(0)
    baseline = card(name)
    ours = baseline.build(BuildSpec(("rgb",), 5, MICRO)).eval()
    trained(ours)
    clip = baseline.train_clip["micro"]
    inputs = torch.randn(2, 3, clip.window, clip.side_px, clip.side_px)
    with torch.inference_mode():
        logits = ours({"rgb": inputs}).mean(1)
        ours.trunk.head = ours.head.fc
        torch.testing.assert_close(logits, ours.trunk(inputs), atol=1e-5, rtol=1e-5)


def trained(module):
    """Every parameter and statistic away from its start."""
    with torch.no_grad():
        for tensor in (*module.parameters(), *(b for b in module.buffers() if b.is_floating_point())):
            tensor.mul_(1 + 0.1 * torch.rand_like(tensor)).add_(0.01 * torch.rand_like(tensor))


# ------------------------------------------------------------------------------------------------ files


@pytest.fixture
def narrow(monkeypatch):
    """(card of R3D-18, file content) at a width that a test can write; imports use that width too."""
    from harness.models import build

    baseline, narrow = card("r3d_18"), dataclasses.replace(MICRO, name="paper", width=1 / 16)
    real = build.build
    monkeypatch.setattr(build, "build", lambda card, spec: real(card, dataclasses.replace(spec, scale=narrow)))
    network = baseline.build(BuildSpec(("rgb",), 400, narrow))
    trained(network)
    theirs = {
        name.removeprefix("trunk.").replace("head.fc", "fc"): tensor for name, tensor in network.state_dict().items()
    }
    return baseline, theirs


def test_a_file_of_the_published_layout_is_imported_with_its_card(narrow, tmp_path):
    baseline, tensors = narrow
    torch.save(tensors, tmp_path / "r3d_18-local.pth")
    workspace = _workspace(tmp_path)
    line = pretrained.import_file("r3d_18", tmp_path / "r3d_18-local.pth", workspace, stream=None)
    assert "0 missing" in line and "r3d_18 rgb" in line
    stored = pretrained.card(baseline.weights[0], workspace)
    assert stored["accuracy"] == {"kinetics400": 63.2} and stored["sha256"] == "b3b3357e"
    key = pretrained.key(baseline.weights[0], workspace)
    assert key["accuracy"] == {"kinetics400": 63.2} and len(key["sha256"]) == 64


def mutations():
    def missing(tensors):
        del tensors["layer3.0.conv1.0.weight"]

    def extra(tensors):
        tensors["layer5.0.weight"] = torch.ones(3)

    def renamed(tensors):
        tensors["layer3.0.conv_1.0.weight"] = tensors.pop("layer3.0.conv1.0.weight")

    def zeroed(tensors):
        tensors["layer3.0.conv1.0.weight"] = torch.zeros_like(tensors["layer3.0.conv1.0.weight"])

    def zeroed_bias(tensors):
        tensors["layer3.0.conv1.1.bias"] = torch.zeros_like(tensors["layer3.0.conv1.1.bias"])

    def misshapen(tensors):
        tensors["fc.bias"] = torch.ones(7)

    return [missing, extra, renamed, zeroed, zeroed_bias, misshapen]


@pytest.mark.parametrize("mutate", mutations(), ids=lambda mutate: mutate.__name__)
def test_a_mutated_file_is_refused_by_name(narrow, tmp_path, mutate):
    _, tensors = narrow
    mutate(tensors)
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(HarnessError, match=r"layer3\.0|layer5|head\.fc\.bias|fc\.bias"):
        pretrained.import_file("r3d_18", tmp_path / "w.safetensors", _workspace(tmp_path), stream=None)


def test_zeros_of_untrained_weights_and_of_a_keys_bias_are_fine(tmp_path):
    fresh = {"a.bias": torch.zeros(3), "b.bias": torch.zeros(3), "attention.key.bias": torch.zeros(3)}
    importing.refuse_zeroed(fresh, fresh, tmp_path)
    importing.refuse_zeroed(fresh | {"a.bias": torch.ones(3), "b.bias": torch.ones(3)}, fresh, tmp_path)
    with pytest.raises(HarnessError, match=r"only zeros for b\.bias"):
        importing.refuse_zeroed(fresh | {"a.bias": torch.ones(3)}, fresh, tmp_path)


def _workspace(folder):
    from harness.core.workspace import Workspace

    return Workspace(data=folder / "data", results=folder / "results")
