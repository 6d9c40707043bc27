"""The frame store: every video once more, on the scale's timeline, at its short side, in a codec made for seeking.

Or raw, where disks are large and fast: nothing is decoded then. Pictures no larger than the scale wants are kept as they
were decoded, so that what is read is bit for bit what the original gives; larger ones are made smaller first.
Preparing it is optional: training straight from the originals works too. What recoding costs in size and in grey
levels, and what it saves in time, stands in docs/performance.md. Flow is computed from the originals, never from here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.core.contract import Scale, Video
from harness.core.errors import BrokenVideo
from harness.core.plain import digest
from harness.data import derived
from harness.data.index import Progress
from harness.video import decode, encode
from harness.video.decoder import DEFAULT
from harness.video.file import STORED
from harness.video.sampling import short_side_size

if TYPE_CHECKING:
    from harness.data.prepare import Prepared

FORMAT = 1
"""Raised when the files change their meaning."""
CODECS = {"store": "mpeg4-store", "raw-store": "raw"}
"""By what `Scale.frames` says."""
SUFFIXES = {"mpeg4-store": ".mp4", "raw": ".avi"}
BYTES_PER_PIXEL = {"mpeg4-store": 0.35, "raw": 1.52}
"""At most. Recoded, real clips take 0.035 to 0.08, noise 0.3."""


def store_key(scale: Scale, decoder: str = "") -> dict[str, Any]:
    """All that decides the stored pixels, the part "decoder" of a job that reads them. Imports nothing heavy.

    By default with the decoder that HARNESS_DECODER names, as `decode.decoder_key` has it.
    """
    return {
        "format": FORMAT,
        "codec": codec_of(scale),
        "options": encode.CODECS[codec_of(scale)],
        "fps": scale.fps,
        "short_side_px": scale.short_side_px,
        "from": decode.decoder_key(decoder),
    }


def codec_of(scale: Scale) -> str:
    """The codec of the scale's frame store, whether the scale reads it or not."""
    return CODECS.get(scale.video_source, CODECS["store"])


@dataclass(frozen=True)
class FrameStore:
    """Recoded videos of one data set at one scale."""

    folder: Path
    codec: str
    sizes: Mapping[str, int]
    """Video id -> bytes of the original."""
    broken: Mapping[str, str]
    """Video id -> why the original cannot be decoded."""

    def path(self, video: Video) -> Path:
        """The file to decode instead of the original. Raises BrokenVideo for an original that could not be decoded."""
        if video.id in self.broken:
            raise BrokenVideo(self.broken[video.id])
        return _file(self.folder, video.id, self.sizes[video.id], self.codec)


@dataclass(frozen=True)
class StoreRecipe:
    """The original -> its frames at `fps` and `short_side_px`, recoded, or raw."""

    fps: float
    short_side_px: int
    codec: str
    decoder: str
    what: str = "frame store"
    sample_frames: int = 40

    def make(self, source: Path, target: Path, limit: int | None = None) -> int:
        rules: dict[str, Any] = {"fps": self.fps, "short_side_px": self.short_side_px, "decoder": self.decoder}
        if self.codec == "raw":
            with contextlib.suppress(decode.NotStorable):
                planes = decode.iter_planes(source, **rules)
                # No comment: these are read as the original is.
                return self._write(target, islice(planes, limit), "")
        frames = islice(decode.iter_video(source, **rules), limit)
        first = next(frames)
        return self._write(target, _with(first, frames), f"{STORED} {first.shape[1]}x{first.shape[0]}")

    def _write(self, target: Path, frames: Iterator[np.ndarray], comment: str) -> int:
        with target.open("wb") as file:
            return encode.write_stream(file, frames, codec=self.codec, fps=self.fps, comment=comment)

    def bytes_at_most(self, height: int, width: int, frames: int) -> int:
        if self.codec != "raw" or min(height, width) > self.short_side_px:
            height, width = short_side_size(height, width, self.short_side_px)
        return round(BYTES_PER_PIXEL[self.codec] * height * width * frames)


def build_store(
    prepared: Prepared,
    scale: Scale,
    *,
    videos: Sequence[Video],
    decoder: str = DEFAULT,
    workers: int = 1,
    progress: Progress | None = None,
    announce: Callable[[derived.Estimate], None] | None = None,
) -> FrameStore:
    """The frame store of `videos`, made from the originals where it is not there yet; see `derive.build`."""
    codec, key = codec_of(scale), store_key(scale, decoder)
    folder = prepared.store / f"frames-{digest(key)}"
    sizes = {video.id: prepared.rows[video.id].bytes for video in videos}
    files = {video_id: _file(folder, video_id, size, codec) for video_id, size in sizes.items()}
    recipe = StoreRecipe(scale.fps, scale.short_side_px, codec, decoder)
    tasks = derived.tasks_of(prepared, recipe, videos, files, scale.fps)
    broken = derived.build(
        recipe,
        tasks,
        key=key,
        folder=folder,
        name=prepared.dataset.name,
        there=len(files) - len(tasks),
        workers=workers,
        progress=progress,
        announce=announce,
    )
    return FrameStore(folder, codec, sizes, broken)


def _with(first: np.ndarray, frames: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    # The next frame comes in the same memory, so that one has to be gone before the other is asked for.
    yield first
    yield from frames


def _file(folder: Path, video_id: str, size: int, codec: str) -> Path:
    # The size of the original is part of the name: a file that was replaced is recoded.
    return folder / f"{video_id}.{size}{SUFFIXES[codec]}"
