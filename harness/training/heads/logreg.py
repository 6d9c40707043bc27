"""Logistic regression by scikit-learn on every cached view of the training videos."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.parameters import POSITIVE, Parameter
from harness.core.plugins import Head

if TYPE_CHECKING:
    from torch import nn

    from harness.training.config import TrainingResult
    from harness.training.features import HeadTask


def fit(head: nn.Module, task: HeadTask) -> TrainingResult:
    """Set the linear maps of `head` to the solution with inverse strength `c` of the L2 penalty."""
    from harness.training.config import TrainingResult
    from harness.training.logistic_regression import fit_logistic_regression

    head.train()
    fit_logistic_regression(head, task.features, task.videos, c=float(task.params["c"]), reduce=task.reduce)
    return TrainingResult()


HEAD = Head(name="logreg", title="logistic regression", fit=fit, params={"c": Parameter(1.0, POSITIVE)})
