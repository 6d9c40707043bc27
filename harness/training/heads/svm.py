"""Linear support vector machine by scikit-learn, on features of length 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.core.parameters import NOT_NEGATIVE, Parameter
from harness.core.plugins import Head

if TYPE_CHECKING:
    from torch import nn

    from harness.training.config import TrainingResult
    from harness.training.features import HeadTask


def build(network: Any, num_classes: int, params: Mapping[str, float | int | str]) -> nn.Module:
    """One linear map of a clip's features, whose length is 1."""
    from harness.training.pooled import UnitLinear, feature_size

    return UnitLinear(feature_size(network), num_classes)


def fit(head: Any, task: HeadTask) -> TrainingResult:
    """Set the linear map of `head` to the solution; `c` is the inverse strength of the L2 penalty, 0: chosen."""
    from sklearn.svm import LinearSVC

    from harness.training.linear_probe import ITERATIONS, fit_linear

    head.set_reduction(task.reduce)
    # The solver draws the order of the videos.
    return fit_linear(
        head, task, lambda c: LinearSVC(C=c, max_iter=ITERATIONS, random_state=0), title=HEAD.title, unit=True
    )


HEAD = Head(name="svm", title="linear SVM", fit=fit, build=build, params={"c": Parameter(0.0, NOT_NEGATIVE)})
