"""Which precision a job computes in, and bfloat16 gradients where a CPU kernel gives wrong ones."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.nn import functional as F

from harness.core import environment
from harness.core.job_specs import ScaleSpec, TrainSpec
from harness.models.precision import always_padded, autocast
from harness.scales.micro import SCALE as MICRO
from harness.scales.paper import SCALE as PAPER

ROUNDING = 0.02
"""Of the largest value: bfloat16 keeps eight bits, and sums are kept whole."""


# ------------------------------------------------------------------------------------------------ which


@pytest.mark.parametrize(
    ("device", "instructions", "scale", "precision"),
    [
        ("cuda", False, PAPER, "bfloat16"),
        ("cpu", False, PAPER, "float32"),
        ("cpu", True, PAPER, "bfloat16"),
        ("cpu", True, MICRO, "float32"),
        ("cuda", False, MICRO, "float32"),
        ("cuda", False, dataclasses.replace(PAPER, precision="float32"), "float32"),
        ("cpu", False, dataclasses.replace(MICRO, precision="bfloat16"), "bfloat16"),
    ],
)
def test_the_scale_or_the_device_decides(monkeypatch, device, instructions, scale, precision):
    monkeypatch.setattr(environment, "computes_bfloat16", lambda device: instructions)
    assert environment.precision(device, scale.precision) == precision


def test_a_job_holds_the_resolved_precision_and_not_the_scales():
    names = {kind: {field.name for field in dataclasses.fields(kind)} for kind in (ScaleSpec, TrainSpec)}
    assert "precision" not in names[ScaleSpec] and "precision" in names[TrainSpec]


# ------------------------------------------------------------------------------------------------ gradients


@pytest.mark.parametrize(
    ("frames", "side", "kernel", "stride", "padding"),
    [
        (2, 7, 3, 1, 1),  # the last convolutions of 3D-ConvNet at paper size
        (2, 2, 3, 1, 1),
        (4, 3, 5, 1, 2),
        (3, 3, 7, 2, 3),
        (2, 3, 3, 1, "same"),
        (3, 4, 3, 1, 1),  # from here on some output does not see the padding
        (8, 4, 3, 2, 1),
        (1, 4, 1, 1, 0),
    ],
)
def test_gradients_of_a_convolution_are_float32s_but_for_rounding(frames, side, kernel, stride, padding):
    torch.manual_seed(0)
    where = {"memory_format": torch.channels_last_3d}
    clips, weight = torch.randn(4, 16, frames, side, side), torch.randn(32, 16, kernel, kernel, kernel) * 0.1
    clips, weight = clips.bfloat16().float().contiguous(**where), weight.bfloat16().float().contiguous(**where)
    results = []
    for precision in ("float32", "bfloat16"):
        # What freed memory holds must not come back.
        del [torch.full((2**k,), float("nan")) for k in range(6, 19) for _ in range(20)][:]
        x, w = clips.clone().requires_grad_(), weight.clone().requires_grad_()
        with autocast("cpu", precision):
            y = F.conv3d(x, w, stride=stride, padding=padding)
        assert y.dtype == getattr(torch, precision), "the layers after it compute in this precision"
        torch.manual_seed(1)
        y.float().mul(torch.randn(y.shape).bfloat16().float()).sum().backward()
        results.append((y.detach().float(), x.grad, w.grad))
    for whole, rounded in zip(*results, strict=True):
        torch.testing.assert_close(rounded, whole, rtol=0, atol=ROUNDING * float(whole.abs().max()))


def test_which_convolutions_never_lie_clear_of_their_padding():
    """Against every output counted, axis by axis."""
    for size in range(1, 9):
        for kernel in range(1, 8):
            for padding in range(kernel // 2 + 1):
                for stride in (1, 2, 3):
                    starts = range(-padding, size + padding - kernel + 1, stride)
                    clear = any(start >= 0 and start + kernel <= size for start in starts)
                    frames = torch.empty(1, 1, size, 9, 9)
                    weight = torch.empty(1, 1, kernel, 1, 1)
                    if len(starts):
                        padded = always_padded(frames, weight, None, (stride, 1, 1), (padding, 0, 0))
                        assert padded == (not clear), (size, kernel, padding, stride)
