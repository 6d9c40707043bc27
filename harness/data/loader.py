"""Batches of clips: which video, which frames, which square, mirrored or not; the same for any number of workers.

Everything random about a video in an epoch follows from (seed, epoch, video id), and step k of a training is a function
of k, so that a resumed training sees exactly what an uninterrupted one would have seen. Pixels stay uint8 until they are on
the device.
"""

from __future__ import annotations

import functools
import itertools
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing import util
from typing import Any, TypeVar

import numpy as np

from harness.core import processes, registry
from harness.core.contract import CHANNELS, Clip, Video
from harness.core.errors import BrokenVideo
from harness.data.batch import Batch, View, batch_of, stacked, to_network
from harness.data.columns import Columns
from harness.data.reader import VideoReader
from harness.video.sampling import rng_for, test_crops, test_positions, train_crop, train_positions

__all__ = ["Batch", "VideoReader", "test_batches", "to_network", "train_batches"]

WHOLE_VIEWS_BYTES = 128 * 2**20
"""Views of one test video that are held in memory together: half a minute at the paper's size. Longer videos are decoded
twice instead, so that a file of any length is scored in less than 1 GiB."""
BATCH_BYTES = 40 * 2**20
"""Views of a batch in testing, and of a longer video that are read together: one of 250 frames at the paper's size, for which
I3D needs 1 GiB more for each further view. While the network has one batch, the next is read and assembled: three times this
much in all."""
BROKEN, LONG = "broken", "long"
"""What a process reports about a video instead of its views."""
BATCHES_AHEAD = 2
"""Batches that a decoding process prepares: the default of torch's loader."""
LAST = -1000
"""Priority of what a process does when everything else is done."""
ORDER = "\0order"
"""Used like a video id for the random order of an epoch; no file name can be equal to it."""

Spec = TypeVar("Spec")
Made = TypeVar("Made")


def train_batches(
    reader: VideoReader,
    videos: Sequence[Video],
    *,
    clip: Clip,
    batch: int,
    seed: int,
    steps: int | None = None,
    flip: bool = False,
    workers: int = 0,
    pinned: bool = False,
    skipped: set[str] | None = None,
    numbers: Iterable[int] | None = None,
) -> Iterator[Batch]:
    """The batches of the first `steps` steps (None: without end) of a training, or of the steps with these `numbers`.

    Each epoch is a new permutation of all videos; a batch may hold the end of one and the beginning of the next.
    Positions, crops and flips are drawn again for each epoch. A video that cannot be
    decoded raises BrokenVideo; with `skipped` its id is added there, and the next video of the epoch that can be
    decoded replaces it. `workers` processes work ahead; they change only the time. With `pinned`, their clips are in
    pinned memory, for copies to a GPU.
    """
    if not videos:
        raise ValueError("no videos to train on")
    if numbers is None:
        numbers = itertools.count() if steps is None else range(steps)
    # For other processes in columns: 30 MB of a quarter of a million videos instead of 100, made once for all of them.
    shared = Columns.of(videos) if workers else tuple(videos)
    step = _TrainStep(reader, shared, clip, batch, seed, flip, tolerant=skipped is not None)
    for made in ordered_map(step, numbers, workers, pinned=pinned):
        if skipped is not None:
            skipped.update(made.broken)
        yield made


@dataclass(frozen=True)
class _TrainStep:
    """step number -> Batch, a pure function of its fields."""

    reader: VideoReader
    videos: Sequence[Video] | Columns[Video]
    clip: Clip
    batch: int
    seed: int
    flip: bool
    tolerant: bool

    def __call__(self, step: int) -> Batch:
        broken: list[str] = []
        # Clips are decoded into the memory of the batch: stacking them afterwards would take milliseconds per clip.
        clips = {stream: np.empty((self.batch, *_shape(stream, self.clip)), np.uint8) for stream in self.reader.streams}
        views = []
        for row, index in enumerate(range(step * self.batch, (step + 1) * self.batch)):
            epoch, position = divmod(index, len(self.videos))
            out = {stream: clip[row] for stream, clip in clips.items()}
            views.append(self._view(epoch, position, out, broken))
        return batch_of(views, clips, broken)

    def _view(self, epoch: int, position: int, out: Mapping[str, np.ndarray], broken: list[str]) -> View:
        count = len(self.videos)
        order = _epoch_order(self.seed, epoch, count)
        for offset in range(count):
            video = self.videos[int(order[(position + offset) % count])]
            try:
                return self._cut(video, epoch, out)
            except BrokenVideo:
                if not self.tolerant:
                    raise
                broken.append(video.id)
        raise BrokenVideo(
            f"none of the {len(self.videos)} training videos can be decoded; {broken[0]} is the first. "
            "`harness data verify NAME --thorough` lists their faults; HARNESS_DECODER selects another decoder"
        )

    def _cut(self, video: Video, epoch: int, out: Mapping[str, np.ndarray]) -> View:
        rng = rng_for(self.seed, epoch, video.id)
        frames = train_positions(self.reader.num_frames(video), self.clip, rng)
        # Drawn whether it is used or not, so that switching flips off changes nothing else.
        mirror = bool(rng.integers(2))
        side = self.clip.side_px
        self.reader.clip_into(video, frames, side, lambda height, width: train_crop(height, width, side, rng), out)
        return View(video, 0, self.flip and mirror, out)


@functools.lru_cache(maxsize=2)
def _epoch_order(seed: int, epoch: int, count: int) -> np.ndarray:
    """The order of an epoch, read-only. Two are cached: a batch may hold the end of one and the beginning of the next."""
    order = rng_for(seed, epoch, ORDER).permutation(count)
    order.flags.writeable = False
    return order


def test_batches(
    reader: VideoReader,
    videos: Sequence[Video],
    *,
    clip: Clip,
    batch: int,
    broken: list[str] | None = None,  # noqa: PT028 (not a test)
    workers: int = 0,  # noqa: PT028
) -> Iterator[Batch]:
    """Every view of every video exactly once, in order, no flip: `clip.crops` squares of each clip, the centre first. The last
    batch may be smaller; all are, where `batch` views would take more than BATCH_BYTES.

    A video is given completely or not at all: the id of one that cannot be decoded to its end is appended to `broken`,
    for the scorer to count as wrong; without a list it raises BrokenVideo.
    """
    waiting: list[View] = []
    batch = min(batch, max(1, BATCH_BYTES // clip_bytes(reader, clip)))
    views_of = _TestVideo(reader, clip, tolerant=broken is not None)
    for video, made in zip(videos, ordered_map(views_of, videos, workers), strict=True):
        if made == BROKEN and broken is not None:
            broken.append(video.id)
            continue
        for view in views_of.views(video) if isinstance(made, str) else _rows(video, made):
            waiting.append(view)
            if len(waiting) == batch:
                yield batch_of(waiting, stacked(waiting))
                waiting = []
    if waiting:
        yield batch_of(waiting, stacked(waiting))


test_batches.__test__ = False  # type: ignore[attr-defined]  # not a test, in spite of its name


@dataclass(frozen=True)
class _TestVideo:
    """video -> its views, or BROKEN, or LONG if its views are too many to hold them in memory together."""

    reader: VideoReader
    clip: Clip
    tolerant: bool

    def __call__(self, video: Video) -> list[View] | str:
        try:
            cuts = self._cuts(video)
            if len(cuts) * self.clip.crops * clip_bytes(self.reader, self.clip) <= WHOLE_VIEWS_BYTES:
                return list(self.views(video))
            self.reader.check(video)
            return LONG
        except BrokenVideo:
            if not self.tolerant:
                raise
            return BROKEN

    def _cuts(self, video: Video) -> Sequence[Mapping[str, np.ndarray]]:
        return test_positions(self.reader.num_frames(video), self.clip)

    def views(self, video: Video) -> Iterator[View]:
        """All views, BATCH_BYTES of them in memory at a time. Raises BrokenVideo."""
        cuts = self._cuts(video)
        together = max(1, BATCH_BYTES // (clip_bytes(self.reader, self.clip) * self.clip.crops))
        numbers = itertools.count()
        for start in range(0, len(cuts), together):
            part = cuts[start : start + together]
            by_crop = [self._cropped(video, part, crop) for crop in range(self.clip.crops)]
            for clip in itertools.chain.from_iterable(zip(*by_crop, strict=True)):
                yield View(video, next(numbers), False, clip)

    def _cropped(
        self, video: Video, cuts: Sequence[Mapping[str, np.ndarray]], crop: int
    ) -> list[dict[str, np.ndarray]]:
        """One square of each of these clips."""
        return self.reader.clips(
            video, cuts, self.clip.side_px, lambda height, width: test_crops(height, width, self.clip)[crop]
        )


def _rows(video: Video, made: list[View] | Batch) -> list[View]:
    """The views of a video, as another process may have sent them."""
    if isinstance(made, list):
        return made
    numbers = made.views.tolist()
    return [View(video, number, False, {s: clips[number] for s, clips in made.clips.items()}) for number in numbers]


def clip_bytes(reader: VideoReader, clip: Clip) -> int:
    """Bytes of a clip, in all streams."""
    return sum(math.prod(_shape(stream, clip)) for stream in reader.streams)


def _shape(stream: str, clip: Clip) -> tuple[int, int, int, int]:
    return clip.frames(stream), clip.side_px, clip.side_px, CHANNELS[stream]


def ordered_map(
    make: Callable[[Spec], Made], specs: Iterable[Spec], workers: int, *, pinned: bool = False
) -> Iterator[Made]:
    """make(spec) for each spec, in order; computed ahead by `workers` processes if there are any, batches in pinned memory."""
    if workers == 0:
        yield from map(make, specs)
        return
    from torch.utils.data import DataLoader

    loading = DataLoader(
        _Made(make),  # type: ignore[arg-type]
        sampler=specs,  # type: ignore[arg-type]
        batch_size=None,
        num_workers=workers,
        prefetch_factor=BATCHES_AHEAD,
        collate_fn=_as_tensors,
        multiprocessing_context="spawn",
        pin_memory=pinned,
        worker_init_fn=functools.partial(_begin_worker, registry.plugin_folders()),
    )
    with processes.starting():
        batches = iter(loading)
    yield from batches


def _begin_worker(plugins: str, number: int) -> None:
    """torch watches the parent too, but begins late: a parent killed before that would go unnoticed."""
    processes.begin_worker(plugins)
    # Exit at once at the end, before Python is torn down under a thread that is sending a batch: C++ would abort the process.
    util.Finalize(None, os._exit, args=(0,), exitpriority=LAST)


@dataclass(frozen=True)
class _Made:
    """A data set, in torch's sense, whose items are computed."""

    make: Callable[[Any], Any]

    def __getitem__(self, spec: Any) -> Any:
        return self.make(spec)


def _as_tensors(made: Any) -> Any:
    """Clips as torch tensors, which travel between processes through shared memory instead of a pipe.

    One tensor per stream: each takes a file descriptor in both processes.
    """
    import torch

    if isinstance(made, str):
        return made
    if isinstance(made, list):
        made = batch_of(made, stacked(made))
    return replace(made, clips={stream: torch.from_numpy(clip) for stream, clip in made.clips.items()})
