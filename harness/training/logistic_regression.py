"""scikit-learn's logistic regression as a head on cached features."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from harness.core.contract import Video
from harness.core.errors import HarnessError
from harness.training.evaluation import reduce_positions
from harness.training.features import Features, with_views

ITERATIONS = 2_000
"""Maximum of L-BFGS iterations; scikit-learn warns if more are needed."""


def fit_logistic_regression(
    head: nn.Module, features: Features, videos: Sequence[Video], *, c: float, reduce: str
) -> None:
    """Set the linear maps of `head` to scikit-learn's solution on every cached view of the training videos.

    A view's features are reduced over positions as its logits would be ('mean' or 'last'), which is the same for a
    linear head. Raises HarnessError for a head that is not linear in its features, or a class without a training video.
    """
    from sklearn.linear_model import LogisticRegression

    inputs, labels = _views(features, videos, reduce)
    linears = [module for module in head.modules() if isinstance(module, nn.Linear)]
    classes = linears[0].out_features if linears else 0
    if missing := sorted(set(range(classes)) - set(labels)):
        raise HarnessError(f"no training video has label {missing[0]}; logistic regression needs one of each class")
    solution = LogisticRegression(C=c, max_iter=ITERATIONS).fit(inputs.numpy(), labels)
    weight, bias = torch.from_numpy(solution.coef_).float(), torch.from_numpy(solution.intercept_).float()
    if classes == 2:  # scikit-learn gives one row, the second class against the first
        weight, bias = torch.cat([-weight, weight]) / 2, torch.cat([-bias, bias]) / 2
    if sum(linear.in_features for linear in linears) != inputs.shape[1]:
        raise _not_linear(head)
    # The logits of several linear maps, one per stream, are averaged: each map is its part times their number.
    parts = weight.split([linear.in_features for linear in linears], dim=1)
    with torch.no_grad():
        for linear, part in zip(linears, parts, strict=True):
            linear.weight.copy_(part * len(linears))
            linear.bias.copy_(bias)
        was_training = head.training
        logits = head.eval()(inputs[:8, None].to(linears[0].weight.device))[:, 0].cpu()
        head.train(was_training)
    if not torch.allclose(logits, inputs[:8] @ weight.T + bias, rtol=1e-3, atol=1e-3):
        raise _not_linear(head)


def _views(features: Features, videos: Sequence[Video], reduce: str) -> tuple[Tensor, list[int]]:
    """(views, F) float32 and the views' labels."""
    position = {video_id: number for number, video_id in enumerate(features.ids)}
    label_of = torch.full((len(features.ids),), -1)
    for video in with_views(features, videos):
        label_of[position[video.id]] = video.label
    labels = label_of[features.train_video]
    return reduce_positions(features.train[labels >= 0], reduce), labels[labels >= 0].tolist()


def _not_linear(head: nn.Module) -> HarnessError:
    return HarnessError(
        f"the head {type(head).__name__} is not one linear map of its features; pass --protocol fixed to train it "
        "by gradient descent"
    )
