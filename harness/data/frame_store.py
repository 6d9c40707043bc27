"""The frame store: every video once more, at the scale's frame rate and short side, in a codec made for seeking.

Or raw, where disks are large and fast: nothing is decoded then. Pictures no larger than the scale's are stored as decoded,
so that reading them gives the original's pixels bit for bit; larger ones are resized first. Preparing it is optional:
training straight from the originals works too. docs/how-to/performance.md has what transcoding costs in size and in grey levels,
and what it saves in time. Flow is computed from the originals, never from here.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.core.contract import Scale, Video
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
"""By `Scale.video_source`."""
SUFFIXES = {"mpeg4-store": ".mp4", "raw": ".avi"}
BYTES_PER_PIXEL = {"mpeg4-store": 0.35, "raw": 1.52}
"""At most. Transcoded, real clips take 0.035 to 0.08, noise 0.3."""


def store_key(scale: Scale, decoder: str = "") -> dict[str, Any]:
    """Everything that decides the stored pixels: the part "decoder" of a job that reads them. Imports nothing large.

    By default with the decoder that HARNESS_DECODER names, as `decode.decoder_key` has it.
    """
    return recipe_of(scale, decoder).key()


def recipe_of(scale: Scale, decoder: str) -> StoreRecipe:
    """The recipe of the scale's frame store, whether the scale reads it or not."""
    codec = CODECS.get(scale.video_source, CODECS["store"])
    return StoreRecipe(scale.fps, scale.short_side_px, codec, decoder)


@dataclass(frozen=True)
class StoreRecipe:
    """The original -> its frames at `fps` and `short_side_px`, transcoded or raw."""

    fps: float
    short_side_px: int
    codec: str
    decoder: str = DEFAULT
    title: str = "frame store"
    folder: str = "frames"
    sample_frames: int = 40

    @property
    def suffix(self) -> str:
        return SUFFIXES[self.codec]

    def key(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "codec": self.codec,
            "options": encode.CODECS[self.codec],
            "fps": self.fps,
            "short_side_px": self.short_side_px,
            "from": decode.decoder_key(self.decoder),
        }

    def make(self, source: Path, target: Path, limit: int | None = None) -> int:
        rules: dict[str, Any] = {"fps": self.fps, "short_side_px": self.short_side_px, "decoder": self.decoder}
        if self.codec == "raw":
            with contextlib.suppress(decode.NotStorable):
                planes = decode.iter_planes(source, **rules)
                # No comment: these are read as the original is.
                return self._write(target, itertools.islice(planes, limit), "")
        frames = itertools.islice(decode.iter_video(source, **rules), limit)
        first = next(frames)
        # The next frame overwrites the memory of this one, but `chain` asks for it only after this one is used.
        return self._write(target, itertools.chain([first], frames), f"{STORED} {first.shape[1]}x{first.shape[0]}")

    def _write(self, target: Path, frames: Iterator[np.ndarray], comment: str) -> int:
        with target.open("wb") as file:
            return encode.write_stream(file, frames, codec=self.codec, fps=self.fps, comment=comment)

    def max_bytes(self, height: int, width: int, frames: int) -> int:
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
) -> derived.Store:
    """The frame store of `videos`, made from the originals where it is not there yet; see `derived.make_store`."""
    recipe = recipe_of(scale, decoder)
    return derived.make_store(prepared, recipe, videos, workers=workers, progress=progress, announce=announce)
