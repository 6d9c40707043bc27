"""Decoded frames -> upright RGB pictures of one short side."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.video.convert_numba import LEAST_WIDTH, FastConverter, brush
from harness.video.file import VideoFile, cause
from harness.video.sampling import short_side_size

LANES = 64
"""Columns that OpenCV converts at a time; what is left of a row it takes one by one, 224 columns in the time of 400."""


class FrameConverter:
    """Frames of one file -> upright RGB pictures of one short side, into arrays that the caller owns.

    Working memory is kept from frame to frame: fresh memory for each picture would cost as much as the conversion. What
    a crop leaves out is not converted where frames have their size already.
    """

    def __init__(self, video: VideoFile, short_side_px: int) -> None:
        self._video = video
        self._frames = video.frames
        self._size = video.kept_size or short_side_size(*video.stored_size, short_side_px)
        self._ready = video.stored_size if video.kept_size else self._size
        """Frames of this size need no resizing: those of the frame store, but for their padding, and whatever fits by chance."""
        self._brush: FastConverter | None = None
        self._planes: np.ndarray | None = None
        self._rgb: np.ndarray | None = None
        self._resized: np.ndarray | None = None

    def size(self, frame: Any) -> tuple[int, int]:
        """(height, width) of the upright picture."""
        return self._size[::-1] if self._frames.turns(frame) % 2 else self._size

    def paint(self, frame: Any, out: np.ndarray, *, top: int = 0, left: int = 0) -> None:
        """Fill `out`, uint8 (h, w, 3) RGB, with the part of the picture that starts at (top, left). Raises BrokenVideo."""
        try:
            turns = self._frames.turns(frame)
            if turns == 0 and self._brushed(frame, out, top, left):
                return
            if turns == 0 and self._frames.size(frame) == self._ready:
                self._cut(frame, out, top, left)
                return
            if turns == 0 and out.shape[:2] == self._size:
                self._resize(self._convert(frame), out)
                return
            if self._resized is None:
                self._resized = np.empty((*self._size, 3), np.uint8)
            self._resize(self._convert(frame), self._resized)
        except self._frames.errors as error:
            raise self._video.broken(f"cannot be converted to RGB: {cause(error)}") from error
        upright = np.rot90(self._resized, turns) if turns else self._resized
        out[...] = upright[top : top + out.shape[0], left : left + out.shape[1]]

    def _brushed(self, frame: Any, out: np.ndarray, top: int, left: int) -> bool:
        """Whether there is a faster way to the same pixels, which was taken then. What the kernels do not look at is asked here."""
        stored, planes = self._video.stored_size, self._frames.planes(frame)
        if planes is None or self._frames.size(frame) != stored:
            return False
        if out.shape[1] < LEAST_WIDTH or out.dtype != np.uint8 or not (out.flags.c_contiguous and out.flags.writeable):
            return False
        if any(plane.strides[1] != 1 for plane in planes):
            return False
        if self._brush is None:
            self._brush = brush(stored, self._ready, out.shape)
        if self._brush is not None:
            self._brush.paint(planes, out, top, left)
        return self._brush is not None

    def _cut(self, frame: Any, out: np.ndarray, top: int, left: int) -> None:
        """The part of a frame that needs no resizing."""
        # Chroma has half the rows and columns, so that the part begins and ends on even ones.
        above, beside = top % 2, left % 2
        height, width = out.shape[0] + above, out.shape[1] + beside
        rgb = self._convert(frame, (top - above, left - beside, height + height % 2, width + width % 2))
        out[...] = rgb[above:height, beside:width]

    def _resize(self, rgb: np.ndarray, out: np.ndarray) -> None:
        import cv2

        if rgb.shape[:2] == self._size:
            out[...] = rgb
        else:
            cv2.resize(rgb, (self._size[1], self._size[0]), dst=out, interpolation=cv2.INTER_LINEAR)

    def _convert(self, frame: Any, part: tuple[int, int, int, int] | None = None) -> np.ndarray:
        """RGB of a frame, or of the (top, left, height, width) of it, which may be cut short at odd borders."""
        import cv2

        top, left, height, width = part or (0, 0, *self._frames.size(frame))
        planes = self._frames.planes(frame)
        if planes is not None:
            # OpenCV fills the array it is given if that fits, and makes a new one if the size changed on the way.
            self._planes = _together(planes, top, left, height, width, self._planes)
            self._rgb = cv2.cvtColor(self._planes, cv2.COLOR_YUV2RGB_I420, dst=self._rgb)
            return self._rgb[:, :width]
        return self._frames.rgb(frame)[top : top + height, left : left + width]


def _together(
    planes: list[np.ndarray], top: int, left: int, height: int, width: int, room: np.ndarray | None
) -> np.ndarray:
    """Part of a yuv420p frame, all four numbers even, as OpenCV takes it: uint8 (3/2 height, width or more); in `room` if it
    fits. What was in the columns beyond stays there."""
    wide = -(-width // LANES) * LANES
    if room is None or room.shape != (height * 3 // 2, wide):
        room = np.zeros((height * 3 // 2, wide), np.uint8)
    flat, start = room.reshape(-1), 0
    for number, plane in enumerate(planes):
        half = 2 if number else 1
        rows, columns = height // half, wide // half
        target = flat[start : start + rows * columns].reshape(rows, columns)
        target[:, : width // half] = plane[
            top // half : top // half + rows, left // half : left // half + width // half
        ]
        start += rows * columns
    return room
