"""Cards of the plug-ins that work on the results of a network, or around it: one file each, found by name.

Like `harness.core.contract`, nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Metric:
    """One number computed from the per-video scores of a test set (`harness.metrics.scores.Scores`).

    Give `shares` for a mean over videos or classes: it gets a 95% interval drawn by group of videos. Give `value` for any
    other formula: it has no interval. Over seeds, the share of each video is averaged, or else the value; splits weigh
    the same.
    """

    name: str
    """Key in records, JSON and MLflow, and the name that `--metric` takes."""
    title: str
    """As in a sentence: 'top-1 accuracy'."""
    short: str
    """Head of a column: 'top-1'."""
    shares: Callable[[Any], Any] | None = None
    """Scores -> (n,) numbers in [0, 1], where each video lies between `worst` and `best`: 1 for a right answer, 0 for a
    wrong one. Videos that cannot be decoded count as 0 whatever is returned for them."""
    mean_over: str = "ids"
    """Field of Scores whose values weigh the same: 'ids' for a mean over videos, 'labels' for one over classes."""
    value: Callable[[Any], float] | None = None
    """Scores -> the metric in `unit`, where it is no mean of shares."""
    needs: tuple[str, ...] = ("logits", "labels")
    """Fields of Scores that it reads. Left out where one is not known, such as 'groups' of a data set without groups."""
    unit: str = "%"
    worst: float = 0.0
    best: float = 100.0
    decimals: int = 1
    order: int = 100
    """Place among the metrics, lowest first."""
