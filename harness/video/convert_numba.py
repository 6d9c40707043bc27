"""What OpenCV makes of a frame, bit for bit, but only the part that is wanted, in one pass over the file's memory."""

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
"""Pixels that a process paints by OpenCV first, in 1.5 s: having the compiled code takes 0.5 s where it is kept, 3 s where it has
to be made, and small jobs need no Numba."""

PX_A_BLOCK = 8
"""At least so many neighbours of a resized row, on average, lie at one distance from what they are made of: pictures that
shrink are OpenCV's."""

LEAST_WIDTH = 32
"""Columns of a frame and of what is painted of it: whole vectors have to fit."""

ROOM = 64
"""Columns beyond a row's end that whole vectors may reach."""

FRACTION_BITS = 11
"""Of OpenCV's weights."""
ONE = 1 << FRACTION_BITS

_painted_px = 0


def brush(frame: tuple[int, int], size: tuple[int, int], part: tuple[int, ...]) -> FastConverter | None:
    """For yuv420p frames (height, width), both even, of whose pictures of `size` a `part` (h, w, 3) is to be painted next.

    None while OpenCV is to do it: for shapes that gain nothing, before compiling pays, where Numba does not work,
    and where this OpenCV gives other pictures.
    """
    global _painted_px
    if part[1] < LEAST_WIDTH or not _gains(frame, size):
        return None
    _painted_px += part[0] * part[1]
    if _painted_px < COMPILE_AFTER_PX or not _agrees(frame, size):
        return None
    return FastConverter(frame, size)


def compile_at_once() -> None:
    """For a process that will paint a lot."""
    global _painted_px
    _painted_px = COMPILE_AFTER_PX


class FastConverter:
    """Paints parts of frames of one size. Working memory and tables are kept from frame to frame."""

    def __init__(self, frame: tuple[int, int], size: tuple[int, int]) -> None:
        kernels = _kernels()
        assert kernels is not None
        self._kernels = kernels
        self._frame, self._size = frame, size
        self._room = np.zeros((3, frame[1] + ROOM), np.int16)
        self._ring = np.zeros((2, 3, size[1] + ROOM), np.int16)
        self._part: tuple[int, ...] | None = None

    def paint(self, planes: Sequence[np.ndarray], out: np.ndarray, top: int, left: int) -> None:
        """Fill `out`, uint8 (h, w, 3) RGB, `LEAST_WIDTH` wide or more, with the part of the picture that starts at (top, left).

        Raises ValueError for a part that is not in the picture.
        """
        part = top, left, *out.shape
        if part != self._part:
            self._part = part
            self._plan(top, left, *out.shape[:2])
        if self._frame == self._size:
            self._kernels.cut(*planes, self._spots, top, self._beside, self._places, self._room, out)
        else:
            across, down = (self._blocks, self._nearer, self._weights), (self._rows, self._heights, self._places)
            self._kernels.resize(*planes, self._spots, *across, *down, self._room, self._ring, out)

    def _plan(self, top: int, left: int, height: int, width: int) -> None:
        """What of a frame, and how much of it, each pixel is made of."""
        # The kernels look at no bounds.
        inside = 0 <= top <= self._size[0] - height and 0 <= left <= self._size[1] - width
        if not inside or width < LEAST_WIDTH:
            raise ValueError(f"no {width}x{height} px from ({left}, {top}) in {self._size[1]}x{self._size[0]}")
        self._places = np.minimum(np.arange(0, width, self._kernels.DOWN), width - self._kernels.DOWN)
        if self._frame == self._size:
            self._spots, self._beside = self._conversion(left, left + width)
            return
        columns, weights = _taps(self._frame[1], self._size[1])
        # Along a row, unlike between rows, a pixel beyond the border is not mixed with itself.
        outside = (columns < 0) | (columns >= self._frame[1] - 1)
        second = np.where(outside, 0, weights[1])[left : left + width]
        columns = np.clip(columns, 0, self._frame[1] - 1)[left : left + width]
        self._spots, beside = self._conversion(columns[0], min(columns[-1] + 2, self._frame[1]))
        starts = _starts(columns, self._kernels.ACROSS)
        self._blocks = np.stack([columns[starts] - columns[0] + beside, starts])
        nearer = second >= ONE // 2
        self._nearer = np.pad(-nearer.astype(np.int16), (0, ROOM))
        # In 16 bits, which hold a half at most: from the nearer pixel, so that the other one's weight is below it.
        towards = (second - ONE * nearer) * (1 << 16 - FRACTION_BITS)
        self._weights = np.pad(towards.astype(np.int16), (0, ROOM))
        rows, weights = _taps(self._frame[0], self._size[0])
        rows = np.stack([rows, rows + 1])[:, top : top + height]
        self._rows = np.clip(rows, 0, self._frame[0] - 1)
        self._heights = np.ascontiguousarray(weights[:, top : top + height])

    def _conversion(self, first: int, end: int) -> tuple[np.ndarray, int]:
        """Columns of luma -> (the kernels' spots for them, where the first one is put). The last spot ends with the frame."""
        step = self._kernels.PAIRS
        last = self._frame[1] // 2 - step
        spots = np.minimum(np.arange(first // 2, -(-end // 2), step), last)
        return np.stack([spots, 2 * (spots - spots[0])]), first - 2 * int(spots[0])


@functools.cache
def _kernels() -> ModuleType | None:
    """None, and a line that says why, where they cannot be had: OpenCV's way to the same pixels is always there."""
    try:
        from harness.video import convert_kernels

        # Numba imports, and fails to compile, where it is switched off.
        planes = [np.zeros((2, 64), np.uint8), *np.zeros((2, 1, 32), np.uint8)]
        spots, places, room = np.zeros((2, 1), np.int64), np.zeros(1, np.int64), np.zeros((3, 128), np.int16)
        convert_kernels.cut(*planes, spots, 0, 0, places, room, np.zeros((1, 32, 3), np.uint8))
    except Exception as error:  # noqa: BLE001 - Numba and its files fail in many ways, and none of them is a fault of a video's
        kept = os.environ.get("NUMBA_CACHE_DIR")
        logger.warning(
            "clips are read more slowly, without compiled code: %s: %s%s",
            type(error).__name__,
            error,
            f" (Numba keeps its code in {kept}, which can be deleted)" if kept else "",
        )
        return None
    return convert_kernels


@functools.cache
def _taps(have: int, want: int) -> tuple[np.ndarray, np.ndarray]:
    """(the first of both pixels that each of `want` is made of, the weights of both (2, want) int16), by OpenCV's rules: a
    pixel's middle is at a half, positions are float32."""
    place = ((np.arange(want) + 0.5) * (1 / (want / have)) - 0.5).astype(np.float32)
    first = np.floor(place)
    second = place - first
    both = np.stack([np.float32(1) - second, second]) * np.float32(ONE)
    return first.astype(np.int64), np.rint(both).astype(np.int16)


def _starts(columns: np.ndarray, lanes: int) -> np.ndarray:
    """Where blocks begin within which all are at one distance from `columns`, none longer than `lanes`."""
    distance = columns - np.arange(len(columns))
    starts = [0]
    for x in range(1, len(columns)):
        if distance[x] != distance[starts[-1]] or x - starts[-1] == lanes:
            starts.append(x)
    return np.array(starts)


@functools.cache
def _gains(frame: tuple[int, int], size: tuple[int, int]) -> bool:
    if frame[1] < LEAST_WIDTH:
        return False
    if frame == size:
        return True
    columns, weights = _taps(frame[1], size[1])
    # 16 stands for the kernels' ACROSS: to ask them would load Numba.
    return len(columns) >= PX_A_BLOCK * len(_starts(columns, lanes=16)) and bool((weights.sum(0) == ONE).all())


@functools.cache
def _agrees(frame: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether it can be had, and gives what the OpenCV that is installed gives, for a picture of noise."""
    import cv2

    if _kernels() is None:
        return False
    chance = np.random.default_rng(0)
    height, width = frame
    planes = [chance.integers(0, 256, (height // half, width // half), dtype=np.uint8) for half in (1, 2, 2)]
    together = np.concatenate([plane.reshape(-1) for plane in planes]).reshape(height * 3 // 2, width)
    expected = cv2.cvtColor(together, cv2.COLOR_YUV2RGB_I420)
    if frame != size:
        expected = cv2.resize(expected, size[::-1], interpolation=cv2.INTER_LINEAR)
    top, left = size[0] // 3, max(LEAST_WIDTH, size[1] // 3)
    for part in (np.s_[:, :], np.s_[top:, -left:], np.s_[:top, :left]):
        wanted = expected[part]
        painted = np.empty_like(wanted, order="C")
        FastConverter(frame, size).paint(planes, painted, part[0].start or 0, (part[1].start or 0) % size[1])
        if not np.array_equal(painted, wanted):
            return False
    return True
