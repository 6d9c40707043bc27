"""Inputs and results of a training: its configuration, one forward pass, and what it reports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.core.callbacks import Point
from harness.core.contract import Schedule

if TYPE_CHECKING:
    from torch import Tensor


class Step(NamedTuple):
    """Data of one forward pass: one replica's part of an optimizer step, often all of it."""

    inputs: Any
    """Argument of the module."""
    labels: Tensor
    """(N,) int64."""
    ids: Sequence[str]
    """Ids of the videos, for the message if the loss is not finite."""


@dataclass(frozen=True)
class TrainingConfig:
    """Configuration of a training, without the data."""

    schedule: Schedule
    device: str
    precision: str
    """'float32' or 'bfloat16' (autocast)."""
    job_id: str
    checkpoints: Path
    """Folder of this job's checkpoints, until its record is written."""
    loss: Callable[[Tensor, Tensor], Tensor]
    """(logits (N, P, classes), labels (N,)) -> scalar."""
    seed: int = 0
    """Seed of the dropout of steps that have several replicas."""
    recompute_activations: bool = False
    """Save less for the backward pass (`harness.models.saved_activations`); not for compiled modules."""


@dataclass
class TrainingResult:
    """Results of a training, except the weights, which stay in the module."""

    steps: int = 0
    samples: int = 0
    seconds: float = 0.0
    wait_s: float = 0.0
    """Part of `seconds` spent waiting for data."""
    curves: list[Point] = field(default_factory=list)
    drops: list[int] = field(default_factory=list)
    """Steps at which the learning rate fell ten-fold."""
    chosen: dict[str, Any] = field(default_factory=dict)
    """Choices that a head made itself, for the record: `rule` in words, ids of `held_out` videos."""
