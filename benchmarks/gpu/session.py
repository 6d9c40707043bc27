"""What the sections of a run share: the device, a stopwatch, and the values that were found."""

from __future__ import annotations

import dataclasses
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor, nn

from harness.core import registry
from harness.core.contract import CHANNELS, BuildSpec, FlowMethod, Scale
from harness.data.batch import Batch

NETWORKS = {
    "i3d": ("rgb",),
    "c3d": ("rgb",),
    "convnet-lstm": ("rgb",),
    "two-stream": ("rgb", "flow"),
    "fused-3d": ("rgb", "flow"),
}
"""Baseline -> the streams of its network."""
CLASSES = 51


@dataclass
class Session:
    """One run on one device."""

    device: str
    small: bool
    """Tiny shapes: seconds on a CPU, and times that mean nothing."""
    values: dict[str, Any] = field(default_factory=dict)
    """Name -> value of everything that was measured or compared."""

    @property
    def cuda(self) -> bool:
        return self.device.startswith("cuda")

    def note(self, name: str, value: Any) -> None:
        """Store a value and print it."""
        self.values[name] = value
        click.echo(f"{name}: {value}")

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(self.values, indent=1, default=str))

    def wait(self) -> None:
        """Wait for the device."""
        if self.cuda:
            torch.cuda.synchronize()

    def seconds(self, step: Callable[[], Any], *, rounds: int = 7) -> float:
        """Median time of a call, the device waited for."""
        for _ in range(1 if self.small else 3):
            step()
        times = []
        for _ in range(2 if self.small else rounds):
            self.wait()
            began = time.perf_counter()
            step()
            self.wait()
            times.append(time.perf_counter() - began)
        return statistics.median(times)


def micro_scale() -> Scale:
    scale: Scale = registry.load("scale", "micro")
    return scale


def micro_flow() -> FlowMethod:
    return micro_scale().flow


def network(baseline: str, streams: tuple[str, ...], scale: str = "micro", **changes: Any) -> nn.Module:
    """A network with weights drawn from seed 0; `changes` are settings of the scale."""
    torch.manual_seed(0)
    changed = dataclasses.replace(registry.load("scale", scale), **changes)
    built: nn.Module = registry.load("baseline", baseline).build(BuildSpec(streams, CLASSES, changed))
    return built


def batch_of(baseline: str, streams: tuple[str, ...], size: int, *, seed: int = 0) -> Batch:
    """A micro batch as the loader gives it, of coarse noise, in which a network can find something."""
    clip = registry.load("baseline", baseline).train_clip["micro"]
    rng = np.random.default_rng(seed)
    clips = {}
    for stream in streams:
        shape = (size, clip.frames(stream), clip.side_px // 8, clip.side_px // 8, CHANNELS[stream])
        clips[stream] = rng.integers(0, 256, shape).astype(np.uint8).repeat(8, 2).repeat(8, 3)
    return Batch(
        clips=clips,
        flips=rng.integers(0, 2, size).astype(bool),
        labels=rng.integers(0, CLASSES, size),
        ids=tuple(f"video {number}" for number in range(size)),
        views=np.zeros(size, np.int64),
    )


def difference(ours: Tensor, reference: Tensor) -> float:
    """Length of the difference relative to that of the reference, in two digits."""
    first, second = (tensor.detach().double().cpu() for tensor in (ours, reference))
    return float(f"{float((first - second).norm() / second.norm().clamp_min(1e-30)):.2g}")
