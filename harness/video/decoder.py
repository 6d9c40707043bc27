"""What a decoder has to offer, and which one decodes: PyAV, unless HARNESS_DECODER names another.

The header of a file, the room for its pictures and the rules of its time are the same for all (`videofile`), and PyAV
reads them in any case; the decoders differ in where frames and their timestamps come from. Which one made a number is
part of a job's id: a plan takes it from the environment, a job from its spec.
"""

from __future__ import annotations

import functools
import importlib.metadata
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from harness.core.errors import HarnessError, unknown

if TYPE_CHECKING:
    import numpy as np

    from harness.video.file import VideoFile

VARIABLE = "HARNESS_DECODER"
DEFAULT = "pyav"
DECODERS = (DEFAULT, "torchcodec", "opencv")
OPENCV_DISTRIBUTIONS = ("opencv-contrib-python-headless", "opencv-contrib-python")


class Frames(Protocol):
    """The decoded frames of one open file. What a frame is only its decoder knows."""

    errors: tuple[type[Exception], ...]
    """What decoding raises for files that are broken."""

    def decode(self, start: int | None = None) -> Iterator[tuple[int | None, Any]]:
        """(timestamp in ticks of the stream, or None where there is none; frame), in the order they are shown, from where
        the file stands. Each frame is good until the one after the next is asked for. Frames that are over before the
        one shown at `start` may be left out."""

    def seek(self, stamp: int) -> bool:
        """Stand at a key frame, at or before `stamp` if there is one. False: this file cannot be entered there."""

    def close(self) -> None: ...

    def size(self, frame: Any) -> tuple[int, int]:
        """(height, width) in px as decoded, before rotation."""

    def turns(self, frame: Any) -> int:
        """Quarter turns counter-clockwise, 0 to 3, that set the picture upright."""

    def planes(self, frame: Any) -> list[np.ndarray] | None:
        """Luma and the two chroma planes, uint8 (rows, columns or more), of yuv420p pictures of limited range with even
        sides, which nearly all are; None for others."""

    def rgb(self, frame: Any) -> np.ndarray:
        """uint8 (H, W, 3) as decoded, before rotation."""


def open_frames(file: VideoFile) -> Frames:
    """The frames of a file whose header has been read. Raises HarnessError where the decoder is not installed."""
    name = chosen()
    if name == "torchcodec":
        from harness.video.decoders.torchcodec import TorchcodecFrames

        return TorchcodecFrames(file)
    if name == "opencv":
        from harness.video.decoders.opencv import OpencvFrames

        return OpencvFrames(file)
    from harness.video.decoders.pyav import PyavFrames

    return PyavFrames(file)


def chosen() -> str:
    """The decoder's name. Raises UnknownName, and HarnessError where it is not installed: another never stands in."""
    name = os.environ.get(VARIABLE, "").strip().lower() or DEFAULT
    if name not in DECODERS:
        raise unknown(f"decoder ({VARIABLE})", name, DECODERS)
    version(name)
    return name


def choose(key: Mapping[str, Any]) -> None:
    """From now on, here and in processes started from here, decode as a `decoder_key` (or a store's key) says."""
    name = str(key.get("from", key)["decoder"]).partition(" ")[0]
    os.environ[VARIABLE] = "" if name == DEFAULT else name


@functools.cache
def version(name: str) -> str:
    """Of an installed decoder, without importing it. Raises HarnessError, naming the remedy, where it is not."""
    if name == "opencv":
        return opencv_version()
    try:
        return importlib.metadata.version("av" if name == DEFAULT else name)
    except importlib.metadata.PackageNotFoundError:
        raise HarnessError(
            f"the decoder '{name}' is not installed; pip install quovadis-harness[{name}] (it wants the FFmpeg of the system "
            f"beside it), or unset {VARIABLE}"
        ) from None


@functools.cache
def opencv_version() -> str:
    """Version of the installed OpenCV, without importing it. Raises HarnessError when the contrib build is absent."""
    for name in OPENCV_DISTRIBUTIONS:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    raise HarnessError(
        f"OpenCV with its contrib modules is not installed; install {OPENCV_DISTRIBUTIONS[0]} "
        "(the builds without 'contrib' have no TV-L1 optical flow, and two builds side by side break each other)"
    )
