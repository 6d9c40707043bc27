"""Linear classifiers of scikit-learn as heads on cached features, with C given or chosen on held-out videos."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import threadpoolctl
import torch
from torch import Tensor, nn

from harness.core.contract import Video
from harness.core.errors import HarnessError
from harness.data.splits import hold_out
from harness.training.config import TrainingResult
from harness.training.features import HeadTask, Views, pooled_views

ITERATIONS = 2_000
"""Maximum of a solver's iterations; scikit-learn warns if more are needed."""
GRID = tuple(10.0**power for power in range(-6, 7))
"""Values of C to choose from: the range of CLIP's linear probes, by factors of ten."""
HELD_OUT = 0.25
"""Share of the training videos of each class that C is chosen on."""
CHOSEN = "chosen on held-out videos, then fitted on all"
NOT_CHOSEN = "since no class has a group to hold out"
WITHOUT_CHOICE = 1.0
"""C where no class has a second group to hold out; scikit-learn's default."""

WORSE = 2
"""Values in a row with a larger loss than the best that end the search: larger ones take the longest to fit."""


@dataclass(frozen=True)
class Classifier:
    """A linear classifier of scikit-learn."""

    title: str
    make: Callable[[float], Any]
    """C -> a classifier with `coef_`, `intercept_` and `decision_function`."""
    loss: Callable[[Tensor, Tensor], Tensor]
    """(decisions (N, classes), labels (N,)) -> mean loss, by which C is chosen."""
    unit: bool = False
    """Whether it is fitted to features of length 1."""


def fit_linear(head: nn.Module, task: HeadTask, classifier: Classifier) -> TrainingResult:
    """Set the linear maps of `head` to scikit-learn's solution on every cached view of the training videos.

    The parameter `c` is the inverse strength of the L2 penalty; 0: chosen from GRID by the loss on held-out groups, then
    fitted again on all videos. A view's features are reduced over positions as its logits would be ('mean' or 'last').
    Raises HarnessError for a head that is not linear in these, or a class without a training video.
    """
    views = pooled_views(task.features, task.videos, task.reduce)
    inputs = nn.functional.normalize(views.inputs, dim=1) if classifier.unit else views.inputs
    linears = [module for module in head.modules() if isinstance(module, nn.Linear)]
    classes = linears[0].out_features if linears else 0
    labels = views.labels.tolist()
    if missing := sorted(set(range(classes)) - set(labels)):
        raise HarnessError(
            f"no training video has label {missing[0]}; {classifier.title} needs one of each class; leave out --limit, or "
            "add videos"
        )
    c, held, rule = float(task.params["c"]), list[Video](), ""
    # The job's threads: more would wait for each other on products this small, and could change the last bits.
    with threadpoolctl.threadpool_limits(torch.get_num_threads()):
        if not c:
            rest, held = hold_out(task.videos, HELD_OUT)
            c = choose_c(views, inputs, rest, held, classifier) if held else WITHOUT_CHOICE
            rule = f", {CHOSEN if held else NOT_CHOSEN}"
        solution = classifier.make(c).fit(inputs.numpy(), labels)
    weight, bias = torch.from_numpy(solution.coef_).float(), torch.from_numpy(solution.intercept_).float()
    if classes == 2:  # scikit-learn gives one row, the second class against the first
        weight, bias = torch.cat([-weight, weight]) / 2, torch.cat([-bias, bias]) / 2
    set_linear(head, weight, bias, views.inputs, inputs)
    rule = f"{classifier.title}, c = {c:g}{rule}"
    return TrainingResult(chosen={"rule": rule, "held_out": [video.id for video in held]})


def choose_c(
    views: Views, inputs: Tensor, rest: Sequence[Video], held: Sequence[Video], classifier: Classifier
) -> float:
    """The value of GRID with the smallest loss on the videos `held` after a fit on `rest`, the smallest value first.

    By the loss, since accuracies on a few videos are equal or differ by chance.
    """
    from sklearn.exceptions import ConvergenceWarning

    train, test = views.rows_of(rest), views.rows_of(held)
    losses: list[float] = []
    solution = classifier.make(GRID[0])
    with warnings.catch_warnings():
        # A value that does not converge may still be the best; the final fit warns.
        warnings.simplefilter("ignore", ConvergenceWarning)
        for c in GRID:
            solution.set_params(C=c).fit(inputs[train].numpy(), views.labels[train].tolist())
            decisions = torch.from_numpy(solution.decision_function(inputs[test].numpy()))
            losses.append(_loss(decisions, views, test, classifier))
            if len(losses) - 1 - losses.index(min(losses)) == WORSE:
                break
    return GRID[losses.index(min(losses))]


def _loss(decisions: Tensor, views: Views, rows: Tensor, classifier: Classifier) -> float:
    """Loss of the mean decisions of videos, whose views are `rows`."""
    if decisions.ndim == 1:
        decisions = torch.stack([-decisions, decisions], dim=1) / 2
    owners, videos, counts = views.owners[rows].unique(return_inverse=True, return_counts=True)
    sums = torch.zeros(len(owners), decisions.shape[1], dtype=decisions.dtype).index_add_(0, videos, decisions)
    labels = torch.zeros(len(owners), dtype=torch.int64).index_copy_(0, videos, views.labels[rows])
    return float(classifier.loss(sums / counts[:, None], labels))


def set_linear(head: nn.Module, weight: Tensor, bias: Tensor, raw: Tensor, inputs: Tensor) -> None:
    """Set the linear maps of `head` to weight (classes, F) and bias (classes,).

    Raises HarnessError unless its logits at the features `raw` (views, F) are then weight @ inputs + bias.
    """
    linears = [module for module in head.modules() if isinstance(module, nn.Linear)]
    if sum(linear.in_features for linear in linears) != inputs.shape[1]:
        raise _not_linear(head)
    # The logits of several linear maps, one per stream, are averaged: each map is its part times their number.
    parts = weight.split([linear.in_features for linear in linears], dim=1)
    with torch.no_grad():
        for linear, part in zip(linears, parts, strict=True):
            linear.weight.copy_(part * len(linears))
            linear.bias.copy_(bias)
        was_training = head.training
        logits = head.eval()(raw[:8, None].to(linears[0].weight.device))[:, 0].cpu()
        head.train(was_training)
    if not torch.allclose(logits, inputs[:8] @ weight.T + bias, rtol=1e-3, atol=1e-3):
        raise _not_linear(head)


def _not_linear(head: nn.Module) -> HarnessError:
    return HarnessError(
        f"the head {type(head).__name__} is not one linear map of its features; pass --protocol fixed to train it "
        "by gradient descent"
    )
