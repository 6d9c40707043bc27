"""Linear classifiers of scikit-learn as heads on cached features, with C given or chosen on held-out videos."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
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
WITHOUT_CHOICE = 1.0
"""C where no class has a second group to hold out; scikit-learn's default."""

Classifier = Callable[[float], Any]
"""C -> a classifier of scikit-learn with `coef_`, `intercept_` and `decision_function`."""


def fit_linear(head: nn.Module, task: HeadTask, classifier: Classifier, *, title: str, unit: bool) -> TrainingResult:
    """Set the linear maps of `head` to scikit-learn's solution on every cached view of the training videos.

    The parameter `c` is the inverse strength of the L2 penalty; 0: chosen from GRID by the accuracy on held-out groups, then
    fitted again on all videos. A view's features are reduced over positions as its logits would be ('mean' or 'last'), and
    with `unit` divided by their length. Raises HarnessError for a head that is not linear in these, or a class without a
    training video.
    """
    views = pooled_views(task.features, task.videos, task.reduce)
    inputs = nn.functional.normalize(views.inputs, dim=1) if unit else views.inputs
    linears = [module for module in head.modules() if isinstance(module, nn.Linear)]
    classes = linears[0].out_features if linears else 0
    labels = views.labels.tolist()
    if missing := sorted(set(range(classes)) - set(labels)):
        raise HarnessError(
            f"no training video has label {missing[0]}; {title} needs one of each class; leave out --limit, or add videos"
        )
    c, held, rule = float(task.params["c"]), list[Video](), ""
    # The job's threads: more would wait for each other on products this small, and could change the last bits.
    with threadpoolctl.threadpool_limits(torch.get_num_threads()):
        if not c:
            rest, held = hold_out(task.videos, HELD_OUT)
            c = choose_c(views, inputs, rest, held, classifier) if held else WITHOUT_CHOICE
            rule = (
                ", chosen on held-out videos, then fitted on all"
                if held
                else ", since no class has a group to hold out"
            )
        solution = classifier(c).fit(inputs.numpy(), labels)
    weight, bias = torch.from_numpy(solution.coef_).float(), torch.from_numpy(solution.intercept_).float()
    if classes == 2:  # scikit-learn gives one row, the second class against the first
        weight, bias = torch.cat([-weight, weight]) / 2, torch.cat([-bias, bias]) / 2
    set_linear(head, weight, bias, views.inputs, inputs)
    return TrainingResult(chosen={"rule": f"{title}, c = {c:g}{rule}", "held_out": [video.id for video in held]})


def choose_c(
    views: Views, inputs: Tensor, rest: Sequence[Video], held: Sequence[Video], classifier: Classifier
) -> float:
    """The value of GRID with the highest accuracy on the videos `held` after a fit on `rest`; of equals the nearest to 1."""
    from sklearn.exceptions import ConvergenceWarning

    train, test = views.rows_of(rest), views.rows_of(held)
    accuracies, solution = [], classifier(GRID[0])
    with warnings.catch_warnings():
        # A value that does not converge may still be the best; the final fit warns.
        warnings.simplefilter("ignore", ConvergenceWarning)
        for c in GRID:
            solution.set_params(C=c).fit(inputs[train].numpy(), views.labels[train].tolist())
            accuracies.append(_accuracy(solution.decision_function(inputs[test].numpy()), views, test))
    # A few held-out videos often leave several equal. The extremes would give logits of another size, which late fusion adds.
    return max(zip(accuracies, GRID, strict=True), key=lambda pair: (pair[0], -abs(math.log(pair[1]))))[1]


def _accuracy(decisions: np.ndarray, views: Views, rows: Tensor) -> float:
    """Share of the videos that the mean decision over their views, of these rows, has right."""
    values = torch.from_numpy(decisions)
    values = torch.stack([-values, values], dim=1) if values.ndim == 1 else values
    owners, videos = views.owners[rows].unique(return_inverse=True)
    sums = torch.zeros(len(owners), values.shape[1], dtype=values.dtype).index_add_(0, videos, values)
    labels = torch.zeros(len(owners), dtype=torch.int64).index_copy_(0, videos, views.labels[rows])
    return float((sums.argmax(dim=1) == labels).double().mean())


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
