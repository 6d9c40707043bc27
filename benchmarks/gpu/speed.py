"""Rates of the device: peak rates, networks, the kernels of a training step, optical flow."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.gpu.correct import grey_frames
from benchmarks.gpu.session import NETWORKS, Session
from benchmarks.ratios import ceilings, networks as cases
from benchmarks.ratios.case import Case, Ready
from benchmarks.ratios.worker import configure

KERNELS_PRINTED = 28
SMALL_CLIP: dict[str, Any] = {"frames": 16, "side_px": 64}


def peak_rates(session: Session) -> None:
    """Matrix products, convolutions and copies, on the device and to it."""
    sizes = {"matmul": 256, "conv3d": 28} if session.small else {"matmul": 8192, "conv3d": 112}
    for name, size in sizes.items():
        for precision in ("bfloat16", "float32"):
            ready = ceilings.BUILDERS[name](Case(name, precision=precision, device=session.device, size=size))
            session.note(
                f"{name} {precision}, TFLOP/s", round(ready.facts["gflop"] / session.seconds(ready.step) / 1e3, 2)
            )
    ready = ceilings.copy(Case("copy", device=session.device, size=16 if session.small else 2048))
    session.note("copy on the device, GB/s", round(ready.facts["gbyte"] / session.seconds(ready.step), 1))
    if session.cuda:
        there = torch.empty(2**28, dtype=torch.uint8, device=session.device)
        plain = torch.ones(2**28, dtype=torch.uint8)
        for kind, host in (("pinned", plain.pin_memory()), ("pageable", plain)):
            rate = 0.268 / session.seconds(functools.partial(there.copy_, host, non_blocking=True))
            session.note(f"copy from {kind} memory, GB/s", round(rate, 1))


def networks(session: Session) -> None:
    """Training and scoring of every network at the paper's sizes, in clips per second."""
    bfloat16: dict[str, Any] = {"device": session.device, "precision": "bfloat16"}
    if session.small:
        _rate(session, Case("training", batch=2, **bfloat16, **SMALL_CLIP))
        return
    for batch in (6, 24, 96):
        _rate(session, Case("training", batch=batch, **bfloat16))
    _rate(session, Case("training", batch=24, device=session.device, precision="float32"))
    _rate(session, Case("training", batch=24, without="one convolution for three branches", **bfloat16))
    for batch in (2, 8):
        _rate(session, Case("forward", batch=batch, frames=250, **bfloat16))
    for baseline, streams in list(NETWORKS.items())[1:]:
        for batch in (6, 48):
            _rate(session, Case("training", baseline, streams, batch=batch, **bfloat16))
    _rate(session, Case("training", scale="micro", batch=16, device=session.device))


def compiled(session: Session) -> None:
    """`scale.compile`, and with CUDA graphs. The last section, since compiling a network takes minutes."""
    if not session.cuda:
        return
    for batch, mode in ((24, None), (6, "reduce-overhead")):
        case = Case("training", batch=batch, device=session.device, precision="bfloat16")

        def built(case: Case, mode: str | None = mode) -> Ready:
            return _with_builder(case, lambda network: network.compile(mode=mode))

        _rate(session, case, built, f", compiled ({mode or 'default'})")


def _with_builder(case: Case, change: Callable[[Any], Any]) -> Ready:
    """The case, with a change of its network."""
    build = cases.build

    def changed(case: Case) -> Any:
        network = build(case)
        change(network)
        return network

    cases.build = changed
    try:
        return cases.BUILDERS[case.builder](case)
    finally:
        cases.build = build


def _rate(session: Session, case: Case, builder: Callable[[Case], Ready] | None = None, variant: str = "") -> None:
    """Clips per second, the time of a step, and peak memory. What does not fit into memory is noted as an error."""
    without = f", without {case.without}" if case.without else ""
    name = f"{case.builder} {case.baseline} {case.scale} batch {case.batch} {case.precision}{without}{variant}"
    configure(dataclasses.replace(case, threads=torch.get_num_threads()))
    if session.cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    try:
        began = time.perf_counter()
        ready = (builder or cases.BUILDERS[case.builder])(case)
        ready.step()
        session.wait()
        first = time.perf_counter() - began
        taken = session.seconds(ready.step, rounds=5)
    except RuntimeError as error:
        session.note(name, f"{type(error).__name__}: {str(error)[:160]}")
        return
    rate = case.batch / taken
    peak = f", peak {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB" if session.cuda else ""
    work = f", {ready.facts['gflop'] / taken / 1e3:.1f} TFLOP/s" if not variant else ""
    session.note(name, f"{rate:.1f} clips/s, {1e3 * taken:.1f} ms{work}{peak}, first step {first:.1f} s")


def kernels(session: Session) -> None:
    """Time of each kernel of a training step, and the time that the device is busy in a step."""
    from torch.profiler import ProfilerActivity, profile

    on_device = ProfilerActivity.CUDA if session.cuda else ProfilerActivity.CPU
    own = "self_device_time_total" if session.cuda else "self_cpu_time_total"
    for batch in (2,) if session.small else (6, 24):
        size: dict[str, Any] = SMALL_CLIP if session.small else {}
        step = cases.training(Case("training", device=session.device, precision="bfloat16", batch=batch, **size)).step
        session.seconds(step)
        with profile(activities={ProfilerActivity.CPU, on_device}) as profiled:
            began = time.perf_counter()
            for _ in range(3):
                step()
            session.wait()
            wall = (time.perf_counter() - began) / 3
        rows = sorted(profiled.key_averages(), key=lambda row: -getattr(row, own))
        busy = sum(getattr(row, own) for row in rows) / 3e6
        session.note(f"step of {batch} clips: seconds, busy on the device", [round(wall, 4), round(busy, 4)])
        table = [[f"{getattr(row, own) / 3e3:.2f} ms", row.count // 3, row.key[:110]] for row in rows[:KERNELS_PRINTED]]
        session.note(f"kernels of a step of {batch} clips: time, calls, name", table)


def flow(session: Session) -> None:
    """TV-L1 on tensors, in pairs per second."""
    from harness.video.flow import tvl1_torch
    from harness.video.flow.tvl1_settings import settings_of

    settings = settings_of({}, "tvl1-torch")
    for side_px, pairs in ((64, 4),) if session.small else ((224, 64), (224, 177)):
        row = torch.from_numpy(grey_frames(pairs + 1, side_px)).to(session.device)
        for mode in ("eager",) if session.small else ("eager", "compiled"):
            step = torch.compile(tvl1_torch.advance, dynamic=True) if mode == "compiled" else None

            def compute(row: torch.Tensor = row, step: Any = step) -> Any:
                return tvl1_torch.flows_between(row[:-1], row[1:], settings, step=step)

            rate = pairs / session.seconds(compute, rounds=3)
            session.note(f"flow, {pairs} pairs of {side_px}x{side_px} px, {mode}: pairs/s", round(rate, 1))
