"""Decoded frames -> upright RGB pictures of one size."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.core.contract import Resize
from harness.video.convert_numba import MIN_WIDTH, FastConverter, fast_converter
from harness.video.file import VideoFile, cause
from harness.video.sampling import resized

LANES = 64
"""Columns that OpenCV converts at a time. It converts the rest of a row one by one: 224 columns take the time of 400."""


class FrameConverter:
    """Frames of one file -> upright RGB pictures of one short side, or of one size, into arrays that the caller owns.

    Working memory is reused from frame to frame: fresh memory for each picture would cost as much as the conversion.
    Where frames need no resizing, only the crop is converted.
    """

    def __init__(self, video: VideoFile, resize: Resize) -> None:
        self._video = video
        self._frames = video.frames
        self._size = video.unpadded_size or resized(*video.stored_size, resize)
        self._fixed = isinstance(resize, tuple) and not video.unpadded_size
        self._unresized = video.stored_size if video.unpadded_size else self._size
        """Frames of this size need no resizing: those of the frame store, except for their padding, and others that fit."""
        self._fast: FastConverter | None = None
        self._planes: np.ndarray | None = None
        self._rgb: np.ndarray | None = None
        self._resized: np.ndarray | None = None

    def size(self, frame: Any) -> tuple[int, int]:
        """(height, width) of the upright picture."""
        return self._size[::-1] if self._frames.turns(frame) % 2 and not self._fixed else self._size

    def convert(self, frame: Any, out: np.ndarray, *, top: int = 0, left: int = 0) -> None:
        """Fill `out`, uint8 (h, w, 3) RGB, with the part of the picture that starts at (top, left). Raises BrokenVideo."""
        try:
            turns = self._frames.turns(frame)
            if turns == 0 and self._converted_fast(frame, out, top, left):
                return
            if turns == 0 and self._frames.size(frame) == self._unresized:
                self._crop(frame, out, top, left)
                return
            if turns == 0 and out.shape[:2] == self._size:
                self._resize(self._rgb_of(frame), out)
                return
            if self._resized is None:
                # A fixed size is that of the upright picture.
                size = self._size[::-1] if turns % 2 and self._fixed else self._size
                self._resized = np.empty((*size, 3), np.uint8)
            self._resize(self._rgb_of(frame), self._resized)
        except self._frames.errors as error:
            raise self._video.broken(f"cannot be converted to RGB: {cause(error)}") from error
        upright = np.rot90(self._resized, turns) if turns else self._resized
        out[...] = upright[top : top + out.shape[0], left : left + out.shape[1]]

    def _converted_fast(self, frame: Any, out: np.ndarray, top: int, left: int) -> bool:
        """Converts with compiled kernels, if they give the same pixels faster: whether it did. The kernels check no arguments."""
        stored, planes = self._video.stored_size, self._frames.planes(frame)
        if planes is None or self._frames.size(frame) != stored:
            return False
        if out.shape[1] < MIN_WIDTH or out.dtype != np.uint8 or not (out.flags.c_contiguous and out.flags.writeable):
            return False
        if any(plane.strides[1] != 1 for plane in planes):
            return False
        if self._fast is None:
            self._fast = fast_converter(stored, self._unresized, out.shape)
        if self._fast is not None:
            self._fast.convert(planes, out, top, left)
        return self._fast is not None

    def _crop(self, frame: Any, out: np.ndarray, top: int, left: int) -> None:
        """A part of a frame that needs no resizing."""
        # Chroma has half the rows and columns, so the part begins and ends on even ones.
        extra_top, extra_left = top % 2, left % 2
        height, width = out.shape[0] + extra_top, out.shape[1] + extra_left
        rgb = self._rgb_of(frame, (top - extra_top, left - extra_left, height + height % 2, width + width % 2))
        out[...] = rgb[extra_top:height, extra_left:width]

    def _resize(self, rgb: np.ndarray, out: np.ndarray) -> None:
        import cv2

        if rgb.shape == out.shape:
            out[...] = rgb
        else:
            cv2.resize(rgb, (out.shape[1], out.shape[0]), dst=out, interpolation=cv2.INTER_LINEAR)

    def _rgb_of(self, frame: Any, part: tuple[int, int, int, int] | None = None) -> np.ndarray:
        """RGB of a frame, or of a `part` of it (top, left, height, width), which may end early at odd borders."""
        import cv2

        top, left, height, width = part or (0, 0, *self._frames.size(frame))
        planes = self._frames.planes(frame)
        if planes is not None:
            # OpenCV fills the array it is given if that fits, and makes a new one if the size changed on the way.
            self._planes = _packed(planes, top, left, height, width, self._planes)
            self._rgb = cv2.cvtColor(self._planes, cv2.COLOR_YUV2RGB_I420, dst=self._rgb)
            return self._rgb[:, :width]
        return self._frames.rgb(frame)[top : top + height, left : left + width]


def _packed(
    planes: list[np.ndarray], top: int, left: int, height: int, width: int, buffer: np.ndarray | None
) -> np.ndarray:
    """Part of a yuv420p frame, all four numbers even, as OpenCV takes it: uint8 (3/2 height, width or more); in `buffer` if
    it fits. Columns beyond the width are arbitrary."""
    wide = -(-width // LANES) * LANES
    if buffer is None or buffer.shape != (height * 3 // 2, wide):
        buffer = np.zeros((height * 3 // 2, wide), np.uint8)
    flat, start = buffer.reshape(-1), 0
    for number, plane in enumerate(planes):
        half = 2 if number else 1
        rows, columns = height // half, wide // half
        target = flat[start : start + rows * columns].reshape(rows, columns)
        y, x = top // half, left // half
        target[:, : width // half] = plane[y : y + rows, x : x + width // half]
        start += rows * columns
    return buffer
