"""Frames by PyAV: the default, and what all numbers of this repository were made with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import av

    from harness.video.videofile import VideoFile

FULL_RANGE = 2
"""FFmpeg's AVCOL_RANGE_JPEG."""


class PyavFrames:
    """The frames of the container that the file's header was read from; see `frames.Frames`."""

    def __init__(self, file: VideoFile) -> None:
        self.errors: tuple[type[Exception], ...] = (file.error, ValueError, OverflowError)
        self._container, self._stream, self._counted = file.container, file.stream, file.counted
        self._formats: Any = None

    def decode(self) -> Iterator[tuple[int | None, av.VideoFrame]]:
        for frame in self._container.decode(self._stream):
            yield frame.dts if self._counted else frame.pts, frame

    def seek(self, stamp: int) -> bool:
        try:
            self._container.seek(stamp, stream=self._stream)
        except self.errors:
            return False
        return True

    def close(self) -> None:
        """The container is the file's."""

    def size(self, frame: av.VideoFrame) -> tuple[int, int]:
        return frame.height, frame.width

    def turns(self, frame: av.VideoFrame) -> int:
        return round(frame.rotation / 90) % 4

    def planes(self, frame: av.VideoFrame) -> list[np.ndarray] | None:
        even = frame.width % 2 == 0 and frame.height % 2 == 0
        if frame.format.name != "yuv420p" or not even or int(frame.color_range) == FULL_RANGE:
            return None
        return [np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size) for plane in frame.planes]

    def rgb(self, frame: av.VideoFrame) -> np.ndarray:
        if self._formats is None:
            from av.video.reformatter import VideoReformatter

            # One for the file: a fresh one for each frame would cost as much as the conversion.
            self._formats = VideoReformatter()
        return self._formats.reformat(frame, format="rgb24").to_ndarray()  # type: ignore[no-any-return]
