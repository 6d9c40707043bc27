"""k nearest neighbours by cosine similarity, weighted as in DINO's evaluation. Nothing is trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.core.errors import HarnessError
from harness.core.parameters import NOT_NEGATIVE, POSITIVE, Parameter
from harness.core.plugins import Head

if TYPE_CHECKING:
    from torch import nn

    from harness.training.config import TrainingResult
    from harness.training.features import HeadTask

MOST = 20
"""Neighbours by default, unless the smallest class has fewer videos."""


def build(network: Any, num_classes: int, params: Mapping[str, float | int | str]) -> nn.Module:
    """A head that votes among training videos, of which it has none yet."""
    from harness.training.pooled import NearestNeighbours

    return NearestNeighbours(num_classes, temperature=float(params["temperature"]))


def check(params: Mapping[str, float | int | str], listing: Any) -> None:
    """Raises HarnessError for more neighbours than the smallest class has training videos."""
    neighbours(params, Counter(listing.classes[video.label] for video in listing.subsets["train"]))


def neighbours(params: Mapping[str, float | int | str], sizes: Mapping[str, int]) -> int:
    """The number of neighbours for classes of these sizes.

    Raises HarnessError for more than the smallest class has: however near its videos are, others would vote as well.
    """
    name, smallest = min(sizes.items(), key=lambda size: (size[1], size[0]))
    wanted = int(params["k"])
    if wanted > smallest:
        raise HarnessError(
            f"--set head.k={wanted}: the class '{name}' has only {smallest} training videos; pass {smallest} or less, or "
            "leave it out"
        )
    return wanted or min(MOST, smallest)


def fit(head: Any, task: HeadTask) -> TrainingResult:
    """Store one vector per training video in `head`: the mean over its views' features, each of length 1.

    Raises HarnessError as `neighbours` does.
    """
    from harness.training.config import TrainingResult
    from harness.training.features import pooled_views

    views = pooled_views(task.features, task.videos, task.reduce)
    k = neighbours(task.params, Counter(f"number {label}" for label in views.label_of.values()))
    head.set_reduction(task.reduce)
    head.remember(views, k)
    return TrainingResult(chosen={"rule": f"{HEAD.title}, k = {k}, temperature = {task.params['temperature']}"})


HEAD = Head(
    name="knn",
    title="nearest neighbours",
    fit=fit,
    build=build,
    check=check,
    params={"k": Parameter(0, NOT_NEGATIVE), "temperature": Parameter(0.07, POSITIVE)},
)
