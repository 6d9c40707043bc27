"""Conversion, resizing and crop of a frame in one pass, compiled by Numba: OpenCV's pixels bit for bit."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from types import ModuleType

logger = logging.getLogger(__name__)

COMPILE_AFTER_PX = 4_000 * 224 * 224
"""Pixels that a process converts by OpenCV first, in 1.5 s: loading the compiled code takes 0.5 s from its cache, or 3 s to
compile, and small jobs need no Numba."""
PX_PER_BLOCK = 8
"""Least mean length of the runs of pixels in a resized row that have one offset to their source. Pictures that shrink have
shorter ones: OpenCV converts them."""
MIN_WIDTH = 32
"""Least columns of a frame and of the part that is converted: whole vectors must fit."""
MARGIN = 64
"""Columns beyond the end of a row that whole vectors may touch."""
FRACTION_BITS = 11
"""Fractional bits of OpenCV's weights."""
ONE = 1 << FRACTION_BITS

_converted_px = 0


def fast_converter(frame: tuple[int, int], size: tuple[int, int], part: tuple[int, ...]) -> FastConverter | None:
    """For yuv420p frames (height, width), both even, of which a `part` (h, w, 3), once resized to `size`, is converted next.

    None where OpenCV should convert: shapes that gain nothing, before compiling pays, without a working Numba, and
    where the installed OpenCV gives different pictures.
    """
    global _converted_px
    if part[1] < MIN_WIDTH or not _gains(frame, size):
        return None
    _converted_px += part[0] * part[1]
    if _converted_px < COMPILE_AFTER_PX or not _agrees(frame, size):
        return None
    return FastConverter(frame, size)


def compile_at_once() -> None:
    """Use compiled code from now on, in a process that will convert many frames."""
    global _converted_px
    _converted_px = COMPILE_AFTER_PX


class FastConverter:
    """Converts parts of frames of one size. Working memory and tables are reused from frame to frame."""

    def __init__(self, frame: tuple[int, int], size: tuple[int, int]) -> None:
        kernels = _kernels()
        assert kernels is not None
        self._kernels = kernels
        self._frame, self._size = frame, size
        self._buffer = np.zeros((3, frame[1] + MARGIN), np.int16)
        self._ring = np.zeros((2, 3, size[1] + MARGIN), np.int16)
        self._part: tuple[int, ...] | None = None

    def convert(self, planes: Sequence[np.ndarray], out: np.ndarray, top: int, left: int) -> None:
        """Fill `out`, uint8 (h, w, 3) RGB, `MIN_WIDTH` wide or more, with the part of the picture that starts at (top, left).

        Raises ValueError for a part that is not inside the picture.
        """
        part = top, left, *out.shape
        if part != self._part:
            self._part = part
            self._plan(top, left, *out.shape[:2])
        if self._frame == self._size:
            self._kernels.crop(*planes, self._spans, top, self._skipped, self._offsets, self._buffer, out)
        else:
            across, down = (self._blocks, self._nearer, self._weights), (self._rows, self._heights, self._offsets)
            self._kernels.resize(*planes, self._spans, *across, *down, self._buffer, self._ring, out)

    def _plan(self, top: int, left: int, height: int, width: int) -> None:
        """The source pixels of each pixel, and their weights."""
        # The kernels check no bounds.
        inside = 0 <= top <= self._size[0] - height and 0 <= left <= self._size[1] - width
        if not inside or width < MIN_WIDTH:
            raise ValueError(f"no {width}x{height} px from ({left}, {top}) in {self._size[1]}x{self._size[0]}")
        self._offsets = np.minimum(np.arange(0, width, self._kernels.DOWN), width - self._kernels.DOWN)
        if self._frame == self._size:
            self._spans, self._skipped = self._conversion(left, left + width)
            return
        columns, weights = _taps(self._frame[1], self._size[1])
        # Along a row, unlike between rows, OpenCV does not mix a pixel beyond the border with itself.
        outside = (columns < 0) | (columns >= self._frame[1] - 1)
        second = np.where(outside, 0, weights[1])[left : left + width]
        columns = np.clip(columns, 0, self._frame[1] - 1)[left : left + width]
        self._spans, skipped = self._conversion(columns[0], min(columns[-1] + 2, self._frame[1]))
        starts = _starts(columns, self._kernels.ACROSS)
        self._blocks = np.stack([columns[starts] - columns[0] + skipped, starts])
        nearer = second >= ONE // 2
        self._nearer = np.pad(-nearer.astype(np.int16), (0, MARGIN))
        # 16 bits hold a half at most: weights count from the nearer pixel, so that the other one has less than that.
        towards = (second - ONE * nearer) * (1 << 16 - FRACTION_BITS)
        self._weights = np.pad(towards.astype(np.int16), (0, MARGIN))
        rows, weights = _taps(self._frame[0], self._size[0])
        rows = np.stack([rows, rows + 1])[:, top : top + height]
        self._rows = np.clip(rows, 0, self._frame[0] - 1)
        self._heights = np.ascontiguousarray(weights[:, top : top + height])

    def _conversion(self, first: int, end: int) -> tuple[np.ndarray, int]:
        """Columns of luma -> (the kernels' spans of them, index of the first one in its span). The last span ends with the frame."""
        step = self._kernels.PAIRS
        last = self._frame[1] // 2 - step
        spans = np.minimum(np.arange(first // 2, -(-end // 2), step), last)
        return np.stack([spans, 2 * (spans - spans[0])]), first - 2 * int(spans[0])


@functools.cache
def _kernels() -> ModuleType | None:
    """The compiled kernels; None, and a logged reason, where they are not available: OpenCV gives the same pixels."""
    try:
        from harness.video import convert_kernels

        # If Numba is disabled, it can be imported but fails to compile.
        planes = [np.zeros((2, 64), np.uint8), *np.zeros((2, 1, 32), np.uint8)]
        spans, offsets, buffer = np.zeros((2, 1), np.int64), np.zeros(1, np.int64), np.zeros((3, 128), np.int16)
        convert_kernels.crop(*planes, spans, 0, 0, offsets, buffer, np.zeros((1, 32, 3), np.uint8))
    except Exception as error:  # noqa: BLE001 - Numba and its files fail in many ways, none of which is the fault of a video
        folder = os.environ.get("NUMBA_CACHE_DIR")
        logger.warning(
            "clips are read more slowly, without compiled code: %s: %s%s",
            type(error).__name__,
            error,
            f" (Numba stores its code in {folder}, which can be deleted)" if folder else "",
        )
        return None
    return convert_kernels


@functools.cache
def _taps(source: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """(the first of the two source pixels of each of `size`, the weights of both (2, size) int16), by OpenCV's rules: the
    centre of a pixel is at a half, positions are float32."""
    position = ((np.arange(size) + 0.5) * (1 / (size / source)) - 0.5).astype(np.float32)
    first = np.floor(position)
    second = position - first
    both = np.stack([np.float32(1) - second, second]) * np.float32(ONE)
    return first.astype(np.int64), np.rint(both).astype(np.int16)


def _starts(columns: np.ndarray, lanes: int) -> np.ndarray:
    """Starts of blocks with one offset between a pixel and its column, none longer than `lanes`."""
    distance = columns - np.arange(len(columns))
    starts = [0]
    for x in range(1, len(columns)):
        if distance[x] != distance[starts[-1]] or x - starts[-1] == lanes:
            starts.append(x)
    return np.array(starts)


@functools.cache
def _gains(frame: tuple[int, int], size: tuple[int, int]) -> bool:
    if frame[1] < MIN_WIDTH:
        return False
    if frame == size:
        return True
    columns, weights = _taps(frame[1], size[1])
    # 16 is the kernels' ACROSS: reading it there would load Numba.
    return len(columns) >= PX_PER_BLOCK * len(_starts(columns, lanes=16)) and bool((weights.sum(0) == ONE).all())


@functools.cache
def _agrees(frame: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether the kernels are available, and give the pixels of the installed OpenCV for a picture of noise."""
    import cv2

    if _kernels() is None:
        return False
    rng = np.random.default_rng(0)
    height, width = frame
    planes = [rng.integers(0, 256, (height // half, width // half), dtype=np.uint8) for half in (1, 2, 2)]
    packed = np.concatenate([plane.reshape(-1) for plane in planes]).reshape(height * 3 // 2, width)
    expected = cv2.cvtColor(packed, cv2.COLOR_YUV2RGB_I420)
    if frame != size:
        expected = cv2.resize(expected, size[::-1], interpolation=cv2.INTER_LINEAR)
    top, left = size[0] // 3, max(MIN_WIDTH, size[1] // 3)
    for part in (np.s_[:, :], np.s_[top:, -left:], np.s_[:top, :left]):
        out = np.empty_like(expected[part], order="C")
        FastConverter(frame, size).convert(planes, out, part[0].start or 0, (part[1].start or 0) % size[1])
        if not np.array_equal(out, expected[part]):
            return False
    return True
