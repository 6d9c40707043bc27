"""Features of every view, extracted once through a frozen network, and training steps over them (the Fixed protocol)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from harness.contract import Schedule, Video
from harness.train import Step


@dataclass(frozen=True)
class Features:
    """Features of every view, and whose they are: (views, P, F) float32, and per view the position in `ids`."""

    ids: tuple[str, ...]
    train: Tensor
    train_video: Tensor
    test: Tensor
    test_video: Tensor


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


def stack(parts: list[tuple[Sequence[str], Tensor]], position: Mapping[str, int]) -> tuple[Tensor, Tensor]:
    """(views, P, F) and (views,) int64: the position of each view's video."""
    owners = torch.tensor([position[video_id] for ids, _ in parts for video_id in ids], dtype=torch.int64)
    return torch.cat([features for _, features in parts]), owners


def write_features(path: Path, features: Features) -> None:
    from safetensors.torch import save_file

    tensors = {name: getattr(features, name).contiguous() for name in ("train", "train_video", "test", "test_video")}
    save_file(tensors, path, metadata={"ids": json.dumps(features.ids)})


def read_features(path: Path) -> Features:
    from safetensors import safe_open

    with safe_open(path, "pt") as stored:
        ids = tuple(json.loads(stored.metadata()["ids"]))
        names = ("train", "train_video", "test", "test_video")
        return Features(ids=ids, **{name: stored.get_tensor(name) for name in names})
