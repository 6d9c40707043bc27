"""Logistic regression by scikit-learn on every cached view of the training videos."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.parameters import NOT_NEGATIVE, Parameter
from harness.core.plugins import Head

if TYPE_CHECKING:
    from torch import nn

    from harness.training.config import TrainingResult
    from harness.training.features import HeadTask


def fit(head: nn.Module, task: HeadTask) -> TrainingResult:
    """Set the linear maps of `head` to the solution; `c` is the inverse strength of the L2 penalty, 0: chosen."""
    from sklearn.linear_model import LogisticRegression

    from harness.training.linear_probe import ITERATIONS, fit_linear

    head.train()
    return fit_linear(head, task, lambda c: LogisticRegression(C=c, max_iter=ITERATIONS), title=HEAD.title, unit=False)


HEAD = Head(name="logreg", title="logistic regression", fit=fit, params={"c": Parameter(0.0, NOT_NEGATIVE)})
