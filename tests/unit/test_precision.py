"""Which precision a job computes in, and bfloat16 gradients where a CPU kernel gives wrong ones."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from harness.core import environment
from harness.core.callbacks import Callback
from harness.core.cells import Job
from harness.core.job_specs import ScaleSpec, TrainSpec
from harness.core.serialization import plain
from harness.jobs.common import _logits
from harness.jobs.context import JobContext
from harness.models.precision import always_padded, autocast
from harness.protocols.scales.micro import SCALE as MICRO
from harness.protocols.scales.paper import SCALE as PAPER
from harness.records.caveats import ROUNDED, caveats_of
from tests.specs import CELL, train_spec

ROUNDING = 0.02
"""Of the largest value: bfloat16 keeps eight bits, and sums are kept whole."""


# ------------------------------------------------------------------------------------------------ which


@pytest.mark.parametrize(("asked", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_a_network_trained_in_bfloat16_is_scored_in_float32_unless_bfloat16_is_asked_for(asked, dtype):
    spec = train_spec("paper", precision="bfloat16")
    spec = dataclasses.replace(spec, scale=dataclasses.replace(spec.scale, eval_precision=asked))
    context = JobContext(job=Job(spec, "job"), options=SimpleNamespace(device="cpu"), callback=Callback())
    computed = []

    class Network(torch.nn.Linear):
        def forward(self, inputs):
            computed.append(super().forward(inputs).dtype)
            return torch.zeros(1, 1, 2)

    _logits(context, Network(3, 2), iter([(torch.ones(1, 3), ["v"])]), Callback())
    assert (context.precision, computed) == ("bfloat16", [dtype])


def test_scoring_in_float32_is_the_default_and_in_no_id():
    assert PAPER.eval_precision == MICRO.eval_precision == "float32"
    spec = train_spec("paper")
    rounded = dataclasses.replace(spec, scale=dataclasses.replace(spec.scale, eval_precision="bfloat16"))
    assert "eval_precision" not in str(plain(spec, for_id=True)) and "eval_precision" in str(
        plain(rounded, for_id=True)
    )


def test_a_number_that_was_scored_in_bfloat16_says_so():
    assert not any(ROUNDED in caveat for caveat in caveats_of(CELL))
    asked = dataclasses.replace(CELL, overrides=(("scale.eval_precision", "bfloat16"),))
    assert caveats_of(asked)[-1] == f"was {ROUNDED}" == "was scored in bfloat16, which moves logits by up to 0.5"


def test_float32_excludes_tf32_and_leaves_the_setting_as_it_was():
    torch.backends.cudnn.allow_tf32 = True
    with autocast("cpu", "float32"):
        assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.allow_tf32


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
