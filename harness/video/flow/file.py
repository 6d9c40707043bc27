"""Stored optical flow of one video: a file of compressed frames, any of which can be read alone. Lossless.

Chosen by measurement (docs/how-to/performance.md): each component is a plane of differences between a row and the row above
it, compressed by zstd at level 1. Real clips shrink to a tenth or less, and reading a frame is faster than decoding a frame
of video. PNG, LZ4, DEFLATE, higher levels and differences in time were larger or slower.

The frames come first, then the end of each of them (int64), then a trailer of fixed size, written last: a file
without it is incomplete.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from harness.core.errors import HarnessError

MAGIC = b"qv-flow1"
TRAILER = struct.Struct("<8sIII")
"""Magic, frames, height, width."""
LEVEL = 1
"""Level of zstd. Level 3 takes 0 to 5% more space and twice the time, level 9 14% less space and ten times the time."""

Square = tuple[int, int, int]
"""(top, left, side) in px."""


def write(path: Path, codes: Iterable[np.ndarray]) -> int:
    """Writes frames (H, W, 2) uint8, at least one, to `path` -> their number. Raises OSError."""
    codec = _codec()
    ends: list[int] = []
    shape, end = (0, 0), 0
    with path.open("wb") as file:
        for frame in codes:
            packed = codec.compress(_differences(frame).data, asbytes=True)
            file.write(packed)
            end += len(packed)
            ends.append(end)
            shape = frame.shape[:2]
        file.write(np.array(ends, "<i8").tobytes())
        file.write(TRAILER.pack(MAGIC, len(ends), *shape))
    return len(ends)


class FlowFile:
    """An open file of stored flow. Raises HarnessError for an incomplete file, FileNotFoundError where there is none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._codec = _codec()
        stored = path.stat().st_size
        if stored < TRAILER.size:
            raise self._damaged("it is too short")
        self._bytes = np.memmap(path, np.uint8, "r")
        magic, frames, height, width = TRAILER.unpack(self._bytes[-TRAILER.size :].tobytes())
        first = stored - TRAILER.size - 8 * frames
        if magic != MAGIC or frames == 0 or first < 0:
            raise self._damaged("its end is missing")
        self._ends = np.frombuffer(self._bytes[first : first + 8 * frames].tobytes(), "<i8")
        if self._ends[-1] != first or (np.diff(self._ends, prepend=0) <= 0).any():
            raise self._damaged("its table of frames is wrong")
        self.shape: tuple[int, int, int, int] = (frames, height, width, 2)

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, numbers: Sequence[int] | np.ndarray | None = None, square: Square | None = None) -> np.ndarray:
        """uint8 codes (len(numbers), H, W, 2) of these frames (None: of all), or only this square of each."""
        wanted = np.arange(len(self)) if numbers is None else np.asarray(numbers)
        _, height, width, _ = self.shape
        top, left, bottom, right = 0, 0, height, width
        if square is not None:
            top, left, side = square
            bottom, right = top + side, left + side
        out = np.empty((len(wanted), bottom - top, right - left, 2), np.uint8)
        for target, number in zip(out, wanted, strict=True):
            # Rows below the square and columns outside of it are not summed.
            rows = np.add.accumulate(self._planes(int(number))[:, :bottom, left:right], axis=1, dtype=np.uint8)
            target[..., 0], target[..., 1] = rows[0, top:], rows[1, top:]
        return out

    def _planes(self, number: int) -> np.ndarray:
        import pyarrow as pa

        _, height, width, _ = self.shape
        start = int(self._ends[number - 1]) if number else 0
        try:
            stored = self._bytes[start : int(self._ends[number])]
            packed = self._codec.decompress(stored, decompressed_size=2 * height * width)
        except (OSError, pa.ArrowInvalid) as error:
            raise self._damaged(f"frame {number}: {error}") from error
        return np.frombuffer(packed, np.uint8).reshape(2, height, width)

    def _damaged(self, cause: str) -> HarnessError:
        message = f"the stored optical flow {self._path} is damaged ({cause}); delete it, and it is computed again"
        return HarnessError(message)


def _differences(codes: np.ndarray) -> np.ndarray:
    """(H, W, 2) -> (2, H, W), each row minus the one above it, modulo 256."""
    planes = np.ascontiguousarray(codes.transpose(2, 0, 1))
    planes[:, 1:] -= planes[:, :-1].copy()
    return planes


def _codec():
    import pyarrow as pa

    return pa.Codec("zstd", LEVEL)
