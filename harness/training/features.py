"""Features of every view, extracted once through a frozen network, and training steps over them (the Fixed protocol)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from harness.core.callbacks import Callback
from harness.core.contract import Schedule, Video
from harness.core.errors import HarnessError
from harness.core.tensor_io import save_tensors
from harness.training.config import Step, TrainingConfig

LOGREG_ITERATIONS = 2_000
"""Of L-BFGS, at most; it warns where that was too few."""


@dataclass(frozen=True)
class Features:
    """Features of every view, and whose they are: (views, P, F) float32, and per view the position in `ids`."""

    ids: tuple[str, ...]
    train: Tensor
    train_video: Tensor
    test: Tensor
    test_video: Tensor


@dataclass(frozen=True)
class HeadTask:
    """What a head (`harness.core.plugins.Head`) is fitted to."""

    features: Features
    videos: Sequence[Video]
    """Training videos, those held out excepted."""
    params: Mapping[str, float | int | str]
    """Of the head, by name."""
    reduce: str
    """'mean' or 'last': how the logits of P positions become those of a view."""
    callback: Callback
    config: TrainingConfig | None = None
    """How it is trained in steps; None for a head without a schedule."""
    held_out_loss: Callable[[], float] | None = None
    """Loss of the head as it is now on the held-out videos; None where nothing is held out."""

    def in_steps(self) -> TrainingConfig:
        """`config`. Raises HarnessError for a protocol without a schedule."""
        if self.config is None:
            raise HarnessError("this head is trained in steps, and its protocol names no schedule; give it a stage")
        return self.config


def feature_steps(
    features: Features, videos: Sequence[Video], schedule: Schedule, *, seed: int, device: str
) -> Callable[[int], Iterator[Step]]:
    """Steps over cached features: each epoch visits every video once, through a view drawn at random."""
    position = {video_id: number for number, video_id in enumerate(features.ids)}
    rows: dict[int, list[int]] = {}
    for row, video in enumerate(features.train_video.tolist()):
        rows.setdefault(video, []).append(row)
    labels = torch.tensor([video.label for video in videos])

    def epoch_rows(epoch: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        order = torch.randperm(len(videos), generator=generator)
        draws = torch.rand(len(videos), generator=generator)
        views = [rows[position[videos[i].id]] for i in order.tolist()]
        return order, torch.tensor(
            [view[int(draw * len(view))] for view, draw in zip(views, draws.tolist(), strict=True)]
        )

    def steps_from(first: int) -> Iterator[Step]:
        per_epoch = max(1, len(videos) // schedule.batch)
        for number in range(first, schedule.steps):
            epoch, within = divmod(number, per_epoch)
            order, views = epoch_rows(epoch)
            chosen = slice(within * schedule.batch, (within + 1) * schedule.batch)
            ids = [videos[i].id for i in order[chosen].tolist()]
            yield Step(features.train[views[chosen]].to(device), labels[order[chosen]].to(device), ids)

    return steps_from


def feature_views(features: Features, videos: Sequence[Video], device: str) -> Iterator[tuple[Tensor, list[str]]]:
    """Test views of `videos`, in batches of one video."""
    rows: dict[str, list[int]] = {}
    for row, video in enumerate(features.test_video.tolist()):
        rows.setdefault(features.ids[video], []).append(row)
    for video in videos:
        if video.id in rows:
            yield features.test[rows[video.id]].to(device), [video.id] * len(rows[video.id])


def fit_logistic_regression(
    head: nn.Module, features: Features, videos: Sequence[Video], *, c: float, reduce: str
) -> None:
    """Set the linear maps of `head` to scikit-learn's solution on every cached view of the training videos.

    A view's features are reduced over positions as its logits would be ('mean' or 'last'), which is the same for a
    linear head. Raises HarnessError for a head that is not linear in its features, or a class without a training video.
    """
    from sklearn.linear_model import LogisticRegression

    label_of = {features.ids.index(video.id): video.label for video in videos if video.id in set(features.ids)}
    rows = [row for row, video in enumerate(features.train_video.tolist()) if video in label_of]
    views = features.train[rows]
    inputs = (views[:, -1] if reduce == "last" else views.mean(1)).numpy()
    labels = [label_of[int(features.train_video[row])] for row in rows]
    linears = [module for module in head.modules() if isinstance(module, nn.Linear)]
    classes = linears[0].out_features if linears else 0
    missing = sorted(set(range(classes)) - set(labels))
    if missing:
        raise HarnessError(f"no training video has label {missing[0]}; logistic regression needs one of each class")
    fitted = LogisticRegression(C=c, max_iter=LOGREG_ITERATIONS).fit(inputs, labels)
    weight, bias = torch.from_numpy(fitted.coef_).float(), torch.from_numpy(fitted.intercept_).float()
    if classes == 2:  # scikit-learn keeps one row, the second class against the first
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
        got = head.eval()(torch.from_numpy(inputs[:8])[:, None].to(linears[0].weight.device))[:, 0].cpu()
        head.train(was_training)
    if not torch.allclose(got, torch.from_numpy(inputs[:8]) @ weight.T + bias, rtol=1e-3, atol=1e-3):
        raise _not_linear(head)


def _not_linear(head: nn.Module) -> HarnessError:
    return HarnessError(
        f"the head {type(head).__name__} is not one linear map of its features; pass --protocol fixed to train it "
        "by gradient descent"
    )


def stack(parts: list[tuple[Sequence[str], Tensor]], position: Mapping[str, int]) -> tuple[Tensor, Tensor]:
    """(views, P, F) and (views,) int64: the position of each view's video."""
    owners = torch.tensor([position[video_id] for ids, _ in parts for video_id in ids], dtype=torch.int64)
    return torch.cat([features for _, features in parts]), owners


def write_features(path: Path, features: Features) -> None:
    tensors = {name: getattr(features, name).contiguous() for name in ("train", "train_video", "test", "test_video")}
    save_tensors(tensors, path, metadata={"ids": json.dumps(features.ids)})


def read_features(path: Path) -> Features:
    from safetensors import safe_open

    with safe_open(path, "pt") as stored:
        ids = tuple(json.loads(stored.metadata()["ids"]))
        names = ("train", "train_video", "test", "test_video")
        return Features(ids=ids, **{name: stored.get_tensor(name) for name in names})
