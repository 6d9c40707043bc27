"""Inception-v1, flat and inflated: padding against its formula, counts and layer table against the released network."""

from __future__ import annotations

import functools
import json
import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from baselines import c3d, convnet_lstm, fused_3d, i3d, two_stream
from baselines.parts import inception
from baselines.parts.inception import ENDPOINTS, Inception, Style
from baselines.parts.network import ClipNetwork
from baselines.parts.same_padding import SameConv, SameMaxPool, same_pads
from harness.core.contract import CHANNELS, BuildSpec
from harness.core.errors import HarnessError
from harness.protocols.scales.micro import SCALE as MICRO
from harness.protocols.scales.paper import SCALE as PAPER

# ------------------------------------------------------------------------------------------------ SAME


@pytest.mark.parametrize("kernel,stride", [(1, 1), (3, 1), (7, 2), (3, 2), (2, 2), (1, 2), (5, 3)])
def test_same_pads_give_tensorflows_size_for_every_size(kernel, stride):
    for size in range(1, 65):
        before, after = same_pads(size, kernel, stride)
        assert 0 <= after - before <= 1, "the odd pixel goes after"
        padded = size + before + after
        if padded >= kernel:
            assert (padded - kernel) // stride + 1 >= math.ceil(size / stride)
        if kernel >= stride:
            assert (padded - kernel) // stride + 1 == math.ceil(size / stride)


@pytest.mark.parametrize("kernel,stride", [(3, 1), (7, 2), (3, 2), (2, 2)])
@pytest.mark.parametrize("dims", [2, 3])
def test_layers_equal_explicit_padding_for_every_size(dims, kernel, stride):
    """Against the plain way: pad by the formula, then a library call that pads nothing."""
    torch.manual_seed(0)
    conv = SameConv(2, 3, (kernel,) * dims, stride=(stride,) * dims).double()
    pool = SameMaxPool((kernel,) * dims, stride=(stride,) * dims)
    convolve, max_pool = (F.conv3d, F.max_pool3d) if dims == 3 else (F.conv2d, F.max_pool2d)
    for size in range(1, 65):
        # Height runs through every size; the other dimensions have a parity of their own.
        sizes = [5, size, 4][-dims:] if dims == 3 else [size, 6]
        x = torch.randn(1, 2, *sizes, dtype=torch.float64)
        pads = [same_pads(n, kernel, stride) for n in sizes]
        flat = [amount for pair in reversed(pads) for amount in pair]
        torch.testing.assert_close(conv(x), convolve(F.pad(x, flat), conv.weight, stride=stride))
        torch.testing.assert_close(pool(x), max_pool(F.pad(x, flat, value=-math.inf), kernel, stride))


def test_symmetric_padding_is_part_of_the_state():
    even, tf = (SameConv(3, 4, (7, 7), stride=(2, 2), symmetric=flag) for flag in (True, False))
    tf.load_state_dict(even.state_dict())
    x = torch.randn(1, 3, 32, 32)
    assert tf.symmetric and torch.equal(tf(x), even(x))
    assert torch.equal(even(x), F.conv2d(x, even.weight, stride=2, padding=3))
    tf.symmetric = False
    assert not torch.allclose(tf(x), even(x), atol=1e-2)


# ------------------------------------------------------------------------------------------------ counts

COUNTS = {
    # (card, streams): parameters without the classifier, classifier inputs, batch-norm scales; with a learned scale
    (i3d, ("rgb",)): (12_287_264, 1024, 7_280),
    (i3d, ("flow",)): (12_265_312, 1024, 7_280),
    (convnet_lstm, ("rgb",)): (5_599_904 + 3_152_896, 512, 7_280),
    (c3d, ("rgb",)): (78_006_720, 4096, 10_944),
    (two_stream, ("rgb",)): (5_599_904, 1024, 7_280),
    (two_stream, ("flow",)): (5_653_216, 1024, 7_280),
    (fused_3d, ("rgb", "flow")): (39_565_696, 512, 15_072),
}


@functools.cache
def parameters(card, streams, classes, *, affine):
    with torch.device("meta"):
        network = card.BASELINE.build(BuildSpec(streams, classes, replace(PAPER, bn_scale=affine)))
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    "card,streams", COUNTS, ids=lambda value: "+".join(value) if isinstance(value, tuple) else value.__name__
)
@pytest.mark.parametrize("affine", [True, False])
def test_exact_parameter_counts(card, streams, affine):
    body, inputs, scales = COUNTS[card, streams]
    for classes in (400, 101, 51):
        expected = body + (inputs + 1) * classes - (0 if affine else scales)
        assert parameters(card, streams, classes, affine=affine) == expected


@pytest.mark.parametrize("classes,expected", [(400, 12_073_120), (101, 11_460_170), (51, 11_357_670)])
def test_exact_parameter_count_of_two_stream(classes, expected):
    """Each stream has a classifier of its own, bias included."""
    assert parameters(two_stream, ("rgb", "flow"), classes, affine=True) == expected
    assert parameters(two_stream, ("rgb", "flow"), classes, affine=False) == expected - 14_560


def test_the_printed_totals_of_table_1():
    """In millions, within one: no single rounding rule gives all five."""
    printed = {convnet_lstm: 9, c3d: 79, two_stream: 12, fused_3d: 39, i3d: 25}
    ours = {
        convnet_lstm: parameters(convnet_lstm, ("rgb",), 400, affine=True),
        c3d: parameters(c3d, ("rgb",), 400, affine=True),
        two_stream: parameters(two_stream, ("rgb", "flow"), 400, affine=True),
        fused_3d: parameters(fused_3d, ("rgb", "flow"), 400, affine=True),
        i3d: sum(parameters(i3d, (stream,), 400, affine=True) for stream in ("rgb", "flow")),
    }
    assert ours == {
        convnet_lstm: 8_958_000,
        c3d: 79_645_520,
        two_stream: 12_073_120,
        fused_3d: 39_770_896,
        i3d: 25_372_576,
    }
    assert all(abs(ours[card] / 1e6 - millions) < 1 for card, millions in printed.items())


@pytest.mark.parametrize(
    "name,stream,classes",
    [("rgb_imagenet", "rgb", 400), ("flow_imagenet", "flow", 400), ("rgb_scratch_kin600", "rgb", 600)],
)
def test_counts_equal_the_released_checkpoints(test_data, name, stream, classes):
    index = json.loads((test_data / "checkpoint_index" / f"{name}.json").read_text())
    trained = [n for n in index if n.endswith(("/w", "/b", "/beta"))]
    released = sum(math.prod(index[n]) for n in trained if "Momentum" not in n)
    assert parameters(i3d, (stream,), classes, affine=False) == released


# ------------------------------------------------------------------------------------------------ layer table

TABLE_64 = {
    "conv1a": (64, 32, 112),
    "pool2a": (64, 32, 56),
    "conv2b": (64, 32, 56),
    "conv2c": (192, 32, 56),
    "pool3a": (192, 32, 28),
    "mixed3b": (256, 32, 28),
    "mixed3c": (480, 32, 28),
    "pool4a": (480, 16, 14),
    "mixed4b": (512, 16, 14),
    "mixed4c": (512, 16, 14),
    "mixed4d": (512, 16, 14),
    "mixed4e": (528, 16, 14),
    "mixed4f": (832, 16, 14),
    "pool5a": (832, 8, 7),
    "mixed5b": (832, 8, 7),
    "mixed5c": (1024, 8, 7),
}
"""Endpoint -> channels, frames, side for 64 frames of 224 px, from google-deepmind/kinetics-i3d."""


@pytest.mark.parametrize("frames,positions", [(64, 7), (79, 9), (250, 31)])
def test_layer_table(frames, positions):
    with torch.device("meta"):
        network = i3d.BASELINE.build(BuildSpec(("rgb",), 400, PAPER))
        clip = torch.empty(1, 3, frames, 224, 224)
        shapes = {name: tuple(x.shape) for name, x in network.trunk.walk(clip)}
        assert network({"rgb": clip}).shape == (1, positions, 400)
    assert list(shapes) == list(ENDPOINTS) == list(TABLE_64)
    time = frames
    for name, (channels, frames_at_64, side) in TABLE_64.items():
        halved = name in ("conv1a", "pool4a", "pool5a")
        time = math.ceil(time / 2) if halved else time
        assert shapes[name] == (1, channels, time, side, side)
        assert frames != 64 or time == frames_at_64


@pytest.mark.parametrize("card", [convnet_lstm, c3d, two_stream, fused_3d])
def test_output_shapes_at_the_papers_sizes(card):
    baseline = card.BASELINE
    for modality in baseline.modalities:
        streams = tuple(modality.split("+"))
        clip = baseline.train_clip["paper"]
        with torch.device("meta"):
            network = baseline.build(BuildSpec(streams, 51, PAPER))
            clips = {s: torch.empty(2, CHANNELS[s], clip.frames(s), clip.side_px, clip.side_px) for s in streams}
            logits = network(clips)
        assert logits.shape == (2, 25 if card is convnet_lstm else 1, 51)


def test_endpoints_are_walked_in_the_order_they_run():
    trunk = Inception(3, style=Style(3, width=0.01)).eval()
    x = torch.randn(1, 3, 9, 32, 32)
    *_, (name, last) = trunk.walk(x)
    assert name == "mixed5c" and torch.equal(last, trunk(x))


def test_too_few_frames_for_the_final_average_are_refused():
    network = ClipNetwork("rgb", Inception(3, style=Style(3, width=0.01)), classes=2, dropout=0.0).eval()
    assert network({"rgb": torch.zeros(1, 3, 9, 32, 32)}).shape == (1, 1, 2)
    with pytest.raises(HarnessError, match="8 frames"):
        network({"rgb": torch.zeros(1, 3, 8, 32, 32)})


# ------------------------------------------------------------------------------------------------ under autocast


@pytest.mark.parametrize("dims", [2, 3])
def test_one_convolution_for_three_branches_and_folded_batch_norm_change_roundings_only(dims, monkeypatch):
    """In float64, where roundings are far off: the same numbers to 1e-12, and the same gradients, as the plain way."""
    torch.manual_seed(0)
    mixed = inception.Mixed(16, inception.MIXED["3b"], style=Style(dims, width=0.25)).double()
    for norm in (layer for layer in mixed.modules() if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm)):
        torch.nn.init.uniform_(norm.weight, 0.5, 2.0)
        torch.nn.init.normal_(norm.bias)
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2.0)
    x = torch.randn(2, 16, *(5, 6, 7)[-dims:], dtype=torch.float64)

    def outcome(shared):
        monkeypatch.setattr(inception, "may_fuse", lambda _: shared)
        with torch.no_grad():
            scored = mixed.eval()(x)
        mixed.zero_grad()
        frozen = mixed(x)
        before = {name: buffer.clone() for name, buffer in mixed.named_buffers()}
        trained = mixed.train()(x)
        (frozen.square().sum() + trained.square().sum()).backward()
        after = {name: buffer.clone() for name, buffer in mixed.named_buffers()}
        mixed.load_state_dict(before, strict=False)
        return scored, frozen, trained, [p.grad.clone() for p in mixed.parameters()], after

    torch.testing.assert_close(outcome(True), outcome(False), atol=1e-12, rtol=1e-10)
    folds = inception.may_fold
    calls = []
    monkeypatch.setattr(inception, "may_fuse", lambda _: True)
    monkeypatch.setattr(inception, "may_fold", lambda *a: calls.append(folds(*a)) or calls[-1])
    mixed.eval()(x)
    assert calls and not any(calls), "nothing is folded where gradients are wanted"


def test_bfloat16_stays_near_float32_and_float32_is_never_shared(monkeypatch):
    """Within what 57 layers of eight significant bits leave: 3% of the logits' size; the shortcuts no further off than without."""
    torch.manual_seed(0)
    network = i3d.BASELINE.build(BuildSpec(("rgb",), 8, MICRO)).eval()
    torch.nn.init.normal_(network.head.fc.weight)
    clip = {"rgb": torch.randn(2, 3, 9, 32, 32)}
    used = []
    pointwise = inception.Mixed.pointwise
    monkeypatch.setattr(inception.Mixed, "pointwise", lambda self, x: used.append(x.dtype) or pointwise(self, x))
    with torch.no_grad():
        exact = network(clip)
        assert not used
        with torch.autocast("cpu", torch.bfloat16):
            short = network(clip).float()
            assert len(used) == 9
            monkeypatch.setattr(inception, "may_fuse", lambda _: False)
            plain = network(clip).float()
    error = {"short": (short - exact).norm() / exact.norm(), "plain": (plain - exact).norm() / exact.norm()}
    assert 0 < error["short"] < 0.03 and error["short"] < 1.5 * error["plain"], error
