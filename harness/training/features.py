"""Cached features of every view, computed once by a frozen network, and training steps over them (the Fixed protocol)."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from harness.core.callbacks import Callback
from harness.core.contract import Schedule, Video
from harness.core.errors import HarnessError
from harness.models.tensor_io import save_tensors
from harness.training.config import Step, TrainingConfig
from harness.training.evaluation import reduce_positions


@dataclass(frozen=True)
class Features:
    """Features of every view, and the videos they are of."""

    ids: tuple[str, ...]
    """Ids of the videos."""
    train: Tensor
    """(views, P, F) float32, of the training views."""
    train_video: Tensor
    """(views,) int64: the position in `ids` of each view's video."""
    test: Tensor
    test_video: Tensor


VIEWS_BATCH = 256
"""Views of one pass of a head."""
_TENSORS = ("train", "train_video", "test", "test_video")


class FeatureStream(Protocol):
    """A frozen network that computes features when they are needed."""

    def steps(self, videos: Sequence[Video], schedule: Schedule, *, seed: int) -> Callable[[int], Iterator[Step]]:
        """Training steps whose inputs are features (N, P, F)."""
        ...

    def views(self, videos: Sequence[Video]) -> Iterator[tuple[Tensor, list[str]]]:
        """((n, P, F), ids of the videos): the training views of these videos, in batches."""
        ...


@dataclass(frozen=True)
class HeadTask:
    """Input of a head's `fit` (`harness.core.plugins.Head`)."""

    features: Features
    videos: Sequence[Video]
    """Training videos, those held out excepted."""
    params: Mapping[str, float | int | str]
    """Parameters of the head, by name."""
    reduce: str
    """'mean' or 'last': how the logits of P positions become those of a view."""
    callback: Callback
    config: TrainingConfig | None = None
    """Configuration of a training in steps; None for a head without a schedule."""
    held_out_loss: Callable[[int], float] | None = None
    """Steps so far -> current loss of the head on the held-out videos; None where nothing is held out."""
    stream: FeatureStream | None = None
    """For a head trained in steps on features that are too large to store: `features` has none, and `steps` and `views`
    compute them."""

    def in_steps(self) -> TrainingConfig:
        """`config`. Raises HarnessError for a protocol without a schedule."""
        if self.config is None:
            raise HarnessError(
                "this head is trained in steps, but the card of its protocol names no schedule; set `stage` in that card"
            )
        return self.config

    def steps(self, videos: Sequence[Video]) -> Callable[[int], Iterator[Step]]:
        """Training steps of the schedule over these videos."""
        config = self.in_steps()
        if self.stream:
            return self.stream.steps(videos, config.schedule, seed=config.seed)
        return feature_steps(self.features, videos, config.schedule, seed=config.seed, device=config.device)

    def views(self, videos: Sequence[Video]) -> Iterator[tuple[Tensor, list[str]]]:
        """((n, P, F) float32, ids of the videos) of every training view of these videos, in batches."""
        if self.stream:
            yield from self.stream.views(videos)
            return
        wanted = {video.id for video in videos}
        rows = [
            row for row, owner in enumerate(self.features.train_video.tolist()) if self.features.ids[owner] in wanted
        ]
        for start in range(0, len(rows), VIEWS_BATCH):
            batch = rows[start : start + VIEWS_BATCH]
            yield self.features.train[batch], [self.features.ids[self.features.train_video[row]] for row in batch]


@dataclass(frozen=True)
class Views:
    """Training views of some videos, one vector each."""

    inputs: Tensor
    """(views, F) float32."""
    labels: Tensor
    """(views,) int64."""
    owners: Tensor
    """(views,) int64: the position in `ids` of each view's video."""
    ids: Sequence[str]

    @property
    def label_of(self) -> dict[int, int]:
        """Position in `ids` -> label, of every video that has a view."""
        return dict(zip(self.owners.tolist(), self.labels.tolist(), strict=True))

    def rows_of(self, videos: Sequence[Video]) -> Tensor:
        """Rows of the views of these videos."""
        chosen = {video.id for video in videos}
        return torch.tensor([row for row, owner in enumerate(self.owners.tolist()) if self.ids[owner] in chosen])


def pooled_views(features: Features, videos: Sequence[Video], reduce: str) -> Views:
    """The training views of `videos`, their features reduced over positions as logits would be: 'mean' or 'last'."""
    position = {video_id: number for number, video_id in enumerate(features.ids)}
    label_of = torch.full((len(features.ids),), -1)
    for video in with_views(features, videos):
        label_of[position[video.id]] = video.label
    labels = label_of[features.train_video]
    kept = labels >= 0
    inputs = reduce_positions(features.train[kept], reduce)
    return Views(inputs, labels[kept], features.train_video[kept], features.ids)


def feature_steps(
    features: Features, videos: Sequence[Video], schedule: Schedule, *, seed: int, device: str
) -> Callable[[int], Iterator[Step]]:
    """Steps over cached features: each epoch visits every video with a view once, through one drawn at random."""
    videos = with_views(features, videos)
    owners, labels = _positions(features, videos), torch.tensor([video.label for video in videos])
    # Rows of the views sorted by video, the first of each video among them, and how many it has.
    by_video = features.train_video.argsort(stable=True)
    counts = torch.bincount(features.train_video, minlength=len(features.ids))
    firsts = counts.cumsum(0) - counts

    @functools.lru_cache(maxsize=1)
    def epoch_rows(epoch: int) -> tuple[Tensor, Tensor]:
        """(numbers of the videos in the epoch's order, the row of each one's view)."""
        generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        order = torch.randperm(len(videos), generator=generator)
        owner = owners[order]
        draws = torch.rand(len(videos), generator=generator).double()
        return order, by_video[firsts[owner] + (draws * counts[owner]).long()]

    def steps_from(first: int) -> Iterator[Step]:
        per_epoch = max(1, len(videos) // schedule.batch)
        for number in range(first, schedule.steps):
            epoch, within = divmod(number, per_epoch)
            order, views = epoch_rows(epoch)
            batch = slice(within * schedule.batch, (within + 1) * schedule.batch)
            ids = [videos[i].id for i in order[batch].tolist()]
            yield Step(features.train[views[batch]].to(device), labels[order[batch]].to(device), ids)

    return steps_from


def with_views(features: Features, videos: Sequence[Video]) -> list[Video]:
    """Those of `videos` that have training views: all except those that the features job left out (--on-bad-video skip)."""
    there = {features.ids[number] for number in features.train_video.unique().tolist()}
    return [video for video in videos if video.id in there]


def _positions(features: Features, videos: Sequence[Video]) -> Tensor:
    """(videos,) int64: the position of each video in `features.ids`."""
    position = {video_id: number for number, video_id in enumerate(features.ids)}
    return torch.tensor([position[video.id] for video in videos])


def feature_views(features: Features, videos: Sequence[Video], device: str) -> Iterator[tuple[Tensor, list[str]]]:
    """Test views of `videos`, in batches of one video."""
    rows: dict[str, list[int]] = {}
    for row, video in enumerate(features.test_video.tolist()):
        rows.setdefault(features.ids[video], []).append(row)
    for video in videos:
        if video.id in rows:
            yield features.test[rows[video.id]].to(device), [video.id] * len(rows[video.id])


def stack(parts: list[tuple[Sequence[str], Tensor]], position: Mapping[str, int]) -> tuple[Tensor, Tensor]:
    """(views, P, F) and (views,) int64: the position of each view's video."""
    owners = torch.tensor([position[video_id] for ids, _ in parts for video_id in ids], dtype=torch.int64)
    return torch.cat([features for _, features in parts]), owners


def write_features(path: Path, features: Features) -> None:
    tensors = {name: getattr(features, name).contiguous() for name in _TENSORS}
    save_tensors(tensors, path, metadata={"ids": json.dumps(features.ids)})


def read_features(path: Path) -> Features:
    from safetensors import safe_open

    with safe_open(path, "pt") as stored:
        ids = tuple(json.loads(stored.metadata()["ids"]))
        return Features(ids=ids, **{name: stored.get_tensor(name) for name in _TENSORS})
