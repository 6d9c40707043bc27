"""What a benchmark's process runs, by name: a network's forward pass or training step, and the ceilings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.ratios.case import Case, Ready
from harness.core.contract import CHANNELS, Baseline, BuildSpec, Clip, Scale

PLAIN = "plain"
"""Stands for the plain I3D where a baseline is named."""


# ---------------------------------------------------------------------------------------------------- networks


def clip_of(case: Case) -> Clip:
    """The card's training clip, cut down where the case says so."""
    clip = _card(case).train_clip[case.scale]
    if case.frames and not clip.strides:
        clip = dataclasses.replace(clip, window=case.frames)
    return dataclasses.replace(clip, side_px=case.side_px or clip.side_px)


def build(case: Case) -> Any:
    """The network of the case on whatever device is current; weights are random."""
    if case.without:
        DEFAULTS[case.without]()
    spec = BuildSpec(case.streams, 400, _scale(case))
    if case.baseline == PLAIN:
        from baselines.parts.inception import style_of
        from benchmarks.ratios.plain import PlainI3D

        return PlainI3D(style_of(spec.scale, 3), classes=spec.num_classes, dropout=spec.scale.dropout)
    return _card(case).build(spec)


def clips(case: Case, device: str) -> dict[str, Any]:
    """stream -> noise (N, C, T, H, W) in [-1, 1], laid out as the loader gives it, or plainly."""
    import torch

    clip = clip_of(case)
    made = {}
    for stream in case.streams:
        shape = (case.batch, clip.frames(stream), clip.side_px, clip.side_px, CHANNELS[stream])
        laid_out = torch.rand(shape, device=device).mul_(2).sub_(1).permute(0, 4, 1, 2, 3)
        made[stream] = laid_out if case.layout == "channels last" else laid_out.contiguous()
    return made


def forward(case: Case) -> Ready:
    """Scoring: eval mode, no gradients."""
    import torch

    from harness.models.precision import autocast

    network, inputs = placed(case).eval(), clips(case, case.device)

    def step() -> Any:
        with torch.inference_mode(), autocast(case.device, case.precision):
            return network(inputs)

    return Ready(step, {"gflop": gflop(case, training=False)})


def training(case: Case) -> Ready:
    """One optimizer step, as harness.training.trainer does it."""
    import torch

    from harness.models.precision import autocast
    from harness.training.evaluation import clip_loss
    from harness.training.optim import make_optimizer

    network, inputs = placed(case).train(), clips(case, case.device)
    card = _card(case)
    optimizer = make_optimizer(network, next(iter(_scale(case).stages.values())))
    labels = torch.arange(case.batch, device=case.device)
    loss_of = clip_loss(card.loss, card.reduce)

    def step() -> Any:
        optimizer.zero_grad(set_to_none=True)
        with autocast(case.device, case.precision):
            logits = network(inputs)
        loss_of(logits.float(), labels).backward()
        optimizer.step()

    return Ready(step, {"gflop": gflop(case, training=True)})


def gflop(case: Case, *, training: bool) -> float:
    """Counted on the meta device, two for a multiply and an add; convolutions and matrix products only."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with torch.device("meta"):
        network, inputs = build(case).train(training), clips(case, "meta")
        with counter, torch.set_grad_enabled(training):
            logits = network(inputs)
            if training:
                logits.sum().backward()
    return counter.get_total_flops() / 1e9


def placed(case: Case) -> Any:
    """The network on its device, laid out as jobs lay it out, or plainly."""
    from harness.jobs.context import place

    network = build(case)
    return network.to(case.device) if case.layout == "plain" else place(network, case.device)


def _card(case: Case) -> Baseline:
    from harness.core import registry

    return registry.load("baseline", "i3d" if case.baseline == PLAIN else case.baseline)


def _scale(case: Case) -> Scale:
    from harness.core import registry

    scale: Scale = registry.load("scale", case.scale)
    return scale


def _nothing_folded() -> None:
    from baselines.parts import inception

    inception.folds = lambda *_: False


def _every_branch_alone() -> None:
    from baselines.parts import inception

    inception.shares = lambda x: False


def _fused_with_channels_last() -> None:
    from baselines.parts.fusion import WideConv3d

    WideConv3d.plain_on_cpu = False


DEFAULTS: Mapping[str, Callable[[], None]] = {
    "batch norm folded": _nothing_folded,
    "one convolution for three branches": _every_branch_alone,
    "fusing kernel laid out plainly": _fused_with_channels_last,
}
"""What a network does by default that a process can be had without, and how it is: for good, since the process is the case's."""


# ---------------------------------------------------------------------------------------------------- ceilings


def matmul(case: Case) -> Ready:
    """Two square matrices multiplied."""
    import torch

    a, b = (torch.randn(case.size, case.size, device=case.device).to(_dtype(case)) for _ in range(2))
    return Ready(lambda: a @ b, {"gflop": 2 * case.size**3 / 1e9})


def conv3d(case: Case) -> Ready:
    """3x3x3 on 256 channels, channels last, no gradients: what the networks' middle layers are."""
    import torch

    like = {"memory_format": torch.channels_last_3d}
    frames, side = 8, case.size
    x = torch.randn(1, 256, frames, side, side, device=case.device).to(_dtype(case)).contiguous(**like)
    w = torch.randn(256, 256, 3, 3, 3, device=case.device).mul_(0.01).to(_dtype(case)).contiguous(**like)

    def step() -> Any:
        with torch.inference_mode():
            return torch.nn.functional.conv3d(x, w, padding=1)

    return Ready(step, {"gflop": 2 * 256 * 256 * 27 * frames * side**2 / 1e9})


def copy(case: Case) -> Ready:
    """One block of memory written from another; read and written bytes both count."""
    import torch

    a, b = (torch.ones(case.size * 2**20, dtype=torch.uint8, device=case.device) for _ in range(2))
    return Ready(lambda: b.copy_(a), {"gbyte": 2 * a.numel() / 1e9})


def _dtype(case: Case) -> Any:
    import torch

    return getattr(torch, case.precision)


WHATS: Mapping[str, Callable[[Case], Ready]] = {
    "forward": forward,
    "training": training,
    "matmul": matmul,
    "conv3d": conv3d,
    "copy": copy,
}
