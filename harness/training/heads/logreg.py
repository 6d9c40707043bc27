"""Logistic regression by scikit-learn on every cached view of the training videos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.core.parameters import NOT_NEGATIVE, Parameter
from harness.core.plugins import Head

if TYPE_CHECKING:
    from torch import nn

    from harness.training.config import TrainingResult
    from harness.training.features import HeadTask


def fit(head: nn.Module, task: HeadTask) -> TrainingResult:
    """Set the linear maps of `head` to the solution; `c` is the inverse strength of the L2 penalty, 0: chosen."""
    from sklearn.linear_model import LogisticRegression
    from torch.nn.functional import cross_entropy

    from harness.training.linear_probe import ITERATIONS, Classifier, fit_linear

    # A fit starts where that of the value before ended: half the time of the search.
    def make(c: float) -> Any:
        return LogisticRegression(C=c, max_iter=ITERATIONS, warm_start=True)

    head.train()
    return fit_linear(head, task, Classifier(HEAD.title, make, cross_entropy))


HEAD = Head(name="logreg", title="logistic regression", fit=fit, params={"c": Parameter(0.0, NOT_NEGATIVE)})
