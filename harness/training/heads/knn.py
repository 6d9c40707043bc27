"""k nearest neighbours by cosine similarity, weighted as in DINO's evaluation. Nothing is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

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


def fit(head: Any, task: HeadTask) -> TrainingResult:
    """Store one vector per training video in `head`: the mean over its views' features, each of length 1.

    Raises HarnessError for more neighbours `k` than the smallest class has videos: a class could then not win however
    near its videos are.
    """
    from collections import Counter

    from harness.core.errors import HarnessError
    from harness.training.config import TrainingResult
    from harness.training.features import pooled_views

    views = pooled_views(task.features, task.videos, task.reduce)
    label, smallest = min(Counter(views.label_of.values()).items(), key=lambda count: (count[1], count[0]))
    wanted = int(task.params["k"])
    if wanted > smallest:
        raise HarnessError(
            f"--set head.k={wanted}: the class with label {label} has only {smallest} training videos; pass {smallest} or "
            "less, or leave it out"
        )
    head.set_reduction(task.reduce)
    head.remember(views, wanted or min(MOST, smallest))
    return TrainingResult(
        chosen={"rule": f"{HEAD.title}, k = {int(head.k)}, temperature = {task.params['temperature']}"}
    )


HEAD = Head(
    name="knn",
    title="nearest neighbours",
    fit=fit,
    build=build,
    params={"k": Parameter(0, NOT_NEGATIVE), "temperature": Parameter(0.07, POSITIVE)},
)
