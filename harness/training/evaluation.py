"""Evaluation: every video of a list is scored exactly once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.profiler import record_function

from harness.core.callbacks import Callback
from harness.core.contract import Video
from harness.core.errors import HarnessError
from harness.metrics.scores import Scores, check_count
from harness.models.precision import autocast

if TYPE_CHECKING:
    from torch import Tensor

View = tuple[Any, Sequence[str]]
"""(inputs of the network, ids of their videos)."""


def reduce_positions(logits: Tensor, reduce: str) -> Tensor:
    """(N, P, C) float -> (N, C): the 'mean' over positions in time, or the 'last' position (ConvNet+LSTM)."""
    return logits[:, -1] if reduce == "last" else logits.mean(dim=1)


def clip_loss(loss: str, reduce: str, *, label_smoothing: float = 0.0) -> Callable[[Tensor, Tensor], Tensor]:
    """(logits (N, P, C) float, labels (N,) int64) -> cross-entropy: 'reduced' of the clip's logits, 'every' of each position's."""
    from torch.nn.functional import cross_entropy

    def reduced(logits: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(reduce_positions(logits, reduce), labels, label_smoothing=label_smoothing)

    def every(logits: Tensor, labels: Tensor) -> Tensor:
        per_position = labels[:, None].expand(logits.shape[:2])
        return cross_entropy(logits.flatten(0, 1), per_position.flatten(), label_smoothing=label_smoothing)

    return every if loss == "every" else reduced


def video_logits(
    module: Any,
    views: Iterable[View],
    *,
    reduce: str,
    device: str,
    precision: str,
    callback: Callback,
    crops: int = 1,
    centre: dict[str, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """Video id -> (C,) float32: the mean of its views' logits. Runs the network in eval mode, then restores its mode.

    With `centre`, the mean over the first of each clip's `crops`, the centre, is added there. A video's views are in order.
    """
    sums: dict[str, np.ndarray] = {}
    counts: dict[str, int] = {}
    centres: dict[str, np.ndarray] = {}
    was_training = module.training
    module.eval()
    with torch.inference_mode(), autocast(device, precision):
        for batch, ids in _forwarded(module, views, reduce):
            logits = batch.cpu().numpy()
            before = len(counts)
            for video_id, row in zip(ids, logits, strict=True):
                sums[video_id] = sums.get(video_id, 0.0) + row.astype(np.float64)
                if centre is not None and counts.get(video_id, 0) % crops == 0:
                    centres[video_id] = centres.get(video_id, 0.0) + row.astype(np.float64)
                counts[video_id] = counts.get(video_id, 0) + 1
            callback.advance(len(counts) - before)
    module.train(was_training)
    if centre is not None:
        centre |= {id_: (total * crops / counts[id_]).astype(np.float32) for id_, total in centres.items()}
    return {video_id: (total / counts[video_id]).astype(np.float32) for video_id, total in sums.items()}


def _forwarded(module: Any, views: Iterable[View], reduce: str) -> Iterator[tuple[Tensor, Sequence[str]]]:
    """((N, C) on the device, ids) of each batch, after the next one was started: a GPU computes while its logits are read."""
    before: tuple[Tensor, Sequence[str]] | None = None
    for inputs, ids in views:
        with record_function("harness.forward"):
            logits = reduce_positions(module(inputs).float(), reduce)
        if before:
            yield before
        before = logits, ids
    if before:
        yield before


def make_scores(
    logits: dict[str, np.ndarray],
    videos: Sequence[Video],
    *,
    num_classes: int,
    undecodable: Iterable[str],
    missing: Iterable[str],
    expected: int | None = None,
) -> Scores:
    """Scores in the order of `videos`. Raises HarnessError for a video that is neither scored nor undecodable, and where
    videos and missing ones are not as many as `expected`, the number on the data set's card (None: it has none)."""
    broken = tuple(sorted(undecodable))
    lost = [video.id for video in videos if video.id not in logits and video.id not in broken]
    if lost or len(logits) + len(broken) != len(videos):
        raise HarnessError(
            f"{len(lost)} of {len(videos)} videos have no score: {', '.join(lost[:5]) or 'none'} ({len(logits)} scored, "
            f"{len(broken)} undecodable). This is a defect: please report it"
        )
    absent = tuple(missing)
    check_count(len(videos), len(absent), expected)
    blank = np.zeros(num_classes, np.float32)
    return Scores(
        ids=tuple(video.id for video in videos),
        logits=np.stack([logits.get(video.id, blank) for video in videos]),
        labels=np.array([video.label for video in videos], np.int64),
        groups=tuple(video.group for video in videos),
        undecodable=broken,
        missing=absent,
    )
