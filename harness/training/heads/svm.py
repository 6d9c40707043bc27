"""Linear support vector machine by scikit-learn, on features of length 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.core.parameters import NOT_NEGATIVE, Parameter
from harness.core.plugins import Head

if TYPE_CHECKING:
    from torch import Tensor, nn

    from harness.training.config import TrainingResult
    from harness.training.features import HeadTask


def build(network: Any, num_classes: int, params: Mapping[str, float | int | str]) -> nn.Module:
    """One linear map of a clip's features, whose length is 1."""
    from harness.training.pooled import UnitLinear, feature_size

    return UnitLinear(feature_size(network), num_classes)


def fit(head: Any, task: HeadTask) -> TrainingResult:
    """Set the linear map of `head` to the solution; `c` is the inverse strength of the L2 penalty, 0: chosen."""
    from sklearn.svm import LinearSVC
    from torch.nn.functional import one_hot

    from harness.training.linear_probe import ITERATIONS, Classifier, fit_linear

    def make(c: float) -> Any:
        # The solver draws the order of the videos.
        return LinearSVC(C=c, max_iter=ITERATIONS, random_state=0)

    def squared_hinge(decisions: Tensor, labels: Tensor) -> Tensor:
        sides = 2 * one_hot(labels, decisions.shape[1]) - 1
        return (1 - sides * decisions).clamp_min(0).square().sum(1).mean()

    head.set_reduction(task.reduce)
    return fit_linear(head, task, Classifier(HEAD.title, make, squared_hinge, unit=True))


HEAD = Head(name="svm", title="linear SVM", fit=fit, build=build, params={"c": Parameter(0.0, NOT_NEGATIVE)})
