"""Forward passes and training steps of the baselines, and the optimizations they rely on.

I3D is compared with a plain I3D (`plain.py`), the others with themselves in torch's default layout and precision.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from benchmarks.ratios.case import Builders, Case, Machine, Pair, Ready, Suite
from harness.core.contract import CHANNELS, Baseline, BuildSpec, Clip, Scale

PLAIN = "plain"
"""Stands for the plain I3D where a baseline is named."""
PLAIN_I3D = "plain I3D (explicit padding, NCDHW, fp32, default allocator)"
OTHERS: Mapping[str, tuple[str, ...]] = {
    "convnet_lstm": ("rgb",),
    "c3d": ("rgb",),
    "two_stream": ("rgb",),
    "fused_3d": ("rgb", "flow"),
}
"""The baselines other than I3D, and the streams that one of their networks reads."""
TARGETS = {
    ("forward", "float32"): 1.4,
    ("training", "float32"): 1.15,
    ("forward", "bfloat16"): 3.5,
    ("training", "bfloat16"): 2.8,
}
"""Against the plain I3D at 64x224x224, on two CPU cores."""


# ---------------------------------------------------------------------------------------------------- pairs


def networks(builder: str) -> Suite:
    """'forward' or 'training' of all five baselines at the paper's sizes."""
    suite = {"forward": "inference", "training": "training"}[builder]

    def pairs(machine: Machine) -> Iterator[Pair]:
        plain = _case(machine, builder, baseline=PLAIN, layout="plain", malloc="plain")
        for precision in machine.precisions:
            ours = _case(machine, builder, precision=precision)
            target = TARGETS[builder, precision] if machine.device == "cpu" and not machine.quick else None
            yield Pair(suite, f"i3d {builder} {_size(ours)} {precision}", PLAIN_I3D, ours, plain, target)
        for baseline, streams in OTHERS.items():
            # Batch norm over one row has no variance: networks with a hidden layer behind the trunk need two clips.
            batch = max(2, plain.batch)
            ours = _case(machine, builder, baseline=baseline, streams=streams, batch=batch, frames=0, side_px=0)
            ours = dataclasses.replace(ours, precision=machine.precisions[-1])
            other = dataclasses.replace(ours, layout="plain", malloc="plain", precision="float32")
            name = f"{baseline.replace('_', '-')} {builder} {'+'.join(streams)} batch {batch} {ours.precision}"
            yield Pair(suite, name, "itself in NCDHW, fp32, default allocator", ours, other)

    return pairs


def micro(machine: Machine) -> Iterator[Pair]:
    """The networks of micro jobs: one thread, a quarter of the channels, 16 clips of 16x48x48."""
    for builder in ("training", "forward"):
        ours = _micro_case(machine, builder)
        plain = dataclasses.replace(ours, baseline=PLAIN, layout="plain", malloc="plain")
        yield Pair("micro", f"i3d micro {builder}", PLAIN_I3D, ours, plain)


def defaults(machine: Machine) -> Iterator[Pair]:
    """Every optimization that is on by default, compared with the same network without it."""
    best = machine.precisions[-1]
    without: dict[str, dict[str, Any]] = {"channels last": {"layout": "plain"}}
    if machine.device == "cpu":
        without["allocator reuse"] = {"malloc": "plain"}
    if best == "bfloat16":
        without["bfloat16"] = {"precision": "float32"}
    fused_3d: dict[str, Any] = {"baseline": "fused_3d", "streams": OTHERS["fused_3d"], "frames": 0, "side_px": 0}
    for builder in ("forward", "training"):
        for ours in (_case(machine, builder, precision=best), _micro_case(machine, builder)):
            for default, change in without.items():
                if ours.scale == "paper" or default != "bfloat16":
                    yield _default(default, ours, **change)
            if best == "bfloat16" and ours.scale == "paper":
                yield _default("one convolution for three branches", ours)
                if builder == "forward":
                    yield _default("batch norm folded", ours)
            if builder == "training" and machine.device == "cpu":
                fused = dataclasses.replace(ours, batch=max(2, ours.batch), **fused_3d)
                yield _default("contiguous (NCDHW) fusing weights", fused)
            if builder == "training":
                yield _default("recomputed activations", ours)


def _default(default: str, ours: Case, **change: Any) -> Pair:
    other = dataclasses.replace(ours, **(change or {"without": default}))
    name = f"{default}: {ours.baseline.replace('_', '-')} {ours.scale} {ours.builder}"
    return Pair("defaults", name, f"without it ({_size(ours)})", ours, other)


def _case(machine: Machine, builder: str, **changes: Any) -> Case:
    """At the paper's size: one clip on a CPU, enough to fill a GPU. Small with --quick."""
    cpu = machine.device == "cpu"
    fields: dict[str, Any] = {"threads": machine.threads if cpu else 1, "batch": 1 if cpu else 16}
    if machine.quick:
        fields |= {"frames": 16, "side_px": 64, "batch": 2}
    return Case(builder, device=machine.device, **fields | changes)


def _micro_case(machine: Machine, builder: str) -> Case:
    return Case(builder, scale="micro", batch=16, device=machine.device)


def _size(case: Case) -> str:
    clip = clip_of(case)
    return f"{clip.window}x{clip.side_px}x{clip.side_px} batch {case.batch}"


# ---------------------------------------------------------------------------------------------------- builders


def clip_of(case: Case) -> Clip:
    """The card's training clip, smaller if the case asks for it."""
    clip = _card(case).train_clip[case.scale]
    if case.frames and not clip.strides:
        clip = dataclasses.replace(clip, window=case.frames)
    return dataclasses.replace(clip, side_px=case.side_px or clip.side_px)


def build(case: Case) -> Any:
    """The network of the case on the current device, with random weights."""
    if case.without:
        DEFAULTS[case.without]()
    spec = BuildSpec(case.streams, 400, _scale(case))
    if case.baseline == PLAIN:
        from baselines.parts.inception import style_of
        from benchmarks.ratios.plain import PlainI3D

        return PlainI3D(style_of(spec.scale, 3), classes=spec.num_classes, dropout=spec.scale.dropout)
    return _card(case).build(spec)


def clips(case: Case, device: str) -> dict[str, Any]:
    """stream -> noise (N, C, T, H, W) float32 in [-1, 1], in the loader's memory layout or in torch's default."""
    import torch

    clip = clip_of(case)
    noise = {}
    for stream in case.streams:
        shape = (case.batch, clip.frames(stream), clip.side_px, clip.side_px, CHANNELS[stream])
        channels_last = torch.rand(shape, device=device).mul_(2).sub_(1).permute(0, 4, 1, 2, 3)
        noise[stream] = channels_last if case.layout == "channels last" else channels_last.contiguous()
    return noise


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

    from harness.models import saved_activations
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
        with saved_activations.recompute_cheap_activations(), autocast(case.device, case.precision):
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
    """The network on its device, in the memory layout of jobs or in torch's default."""
    from harness.models.build import place

    network = build(case)
    return network.to(case.device) if case.layout == "plain" else place(network, case.device)


def _card(case: Case) -> Baseline:
    from harness.core import registry

    return registry.load("baseline", "i3d" if case.baseline == PLAIN else case.baseline)


def _scale(case: Case) -> Scale:
    from harness.core import registry

    scale: Scale = registry.load("scale", case.scale)
    return scale


def _do_not_fold() -> None:
    from baselines.parts import inception

    inception.may_fold = lambda *_: False


def _do_not_share() -> None:
    from baselines.parts import inception

    inception.may_fuse = lambda x: False


def _keep_channels_last() -> None:
    from baselines.parts.fusion import WideConv3d

    WideConv3d.plain_on_cpu = False


def _save_all_activations() -> None:
    from harness.models import saved_activations

    saved_activations.recompute_cheap_activations = contextlib.nullcontext  # type: ignore[assignment]


DEFAULTS: Mapping[str, Callable[[], None]] = {
    "batch norm folded": _do_not_fold,
    "one convolution for three branches": _do_not_share,
    "contiguous (NCDHW) fusing weights": _keep_channels_last,
    "recomputed activations": _save_all_activations,
}
"""An optimization inside a network -> a function that switches it off for the rest of the process."""

BUILDERS: Builders = {"forward": forward, "training": training}
