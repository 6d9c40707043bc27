"""Frames by OpenCV's own reader: FFmpeg out of another wheel, and an independent count of frames.

It converts to RGB itself (swscale), so that pixels differ by about a grey level from PyAV's. It tells times only after a
fashion (a frame at time 0 is given its decoding time, an .avi's are guessed), so that the k-th frame has the k-th time of
the packets, and it must deliver as many. It seeks by a mean frame rate, so that it always starts at the first frame.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.core.errors import HarnessError
from harness.video.decoder import VARIABLE

if TYPE_CHECKING:
    from harness.video.file import VideoFile


class OpencvFrames:
    """See `frames.Frames`. A frame is its BGR picture."""

    def __init__(self, file: VideoFile) -> None:
        import cv2

        self.errors: tuple[type[Exception], ...] = (cv2.error, ValueError)
        self._file = file
        times = [time for time, _ in file.packet_times()]
        known = [time for time in times if time is not None]
        self._times = sorted(known) if len(known) == len(times) else None
        self._number = len(times)
        self._refuse_guesses()
        self._start()

    def _refuse_guesses(self) -> None:
        """Raises BrokenVideo for an AVI that leaves frames out and has B-frames: which picture has which time is not said."""
        times = self._times
        gaps = bool(times) and times[-1] - times[0] >= len(times)  # type: ignore[index, arg-type]
        if self._file.counted and gaps and self._file.stream.codec_context.has_b_frames:
            raise self._file.broken(f"has gaps and B-frames, and OpenCV tells no times for that; unset {VARIABLE}")

    def _start(self) -> None:
        import cv2

        self._grabbed = self._wanted = 0
        self._capture = cv2.VideoCapture(_name(self._file.path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        if not self._capture.isOpened():
            raise self._file.broken("cannot be opened by OpenCV")
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
        self._turns = round(-self._capture.get(cv2.CAP_PROP_ORIENTATION_META) / 90) % 4

    def decode(self, start: int | None = None) -> Iterator[tuple[int | None, np.ndarray]]:
        while self._capture.grab():
            number, self._grabbed = self._grabbed, self._grabbed + 1
            if number < self._wanted:
                continue
            there, bgr = self._capture.retrieve()
            if not there:
                raise ValueError(f"OpenCV has no picture for frame {number}")
            yield self._times[number] if self._times is not None and number < len(self._times) else None, bgr
        if self._grabbed != self._number:
            raise ValueError(f"OpenCV decodes {self._grabbed} frames of {self._number} packets")

    def seek(self, stamp: int) -> bool:
        place = bisect.bisect_right(self._times or [], stamp) - 1
        if place < 0:
            return False
        if self._grabbed > place:
            self.close()
            self._start()
        self._wanted = place
        return True

    def close(self) -> None:
        self._capture.release()

    def size(self, frame: np.ndarray) -> tuple[int, int]:
        return frame.shape[0], frame.shape[1]

    def turns(self, frame: np.ndarray) -> int:
        return self._turns

    def planes(self, frame: np.ndarray) -> None:
        return None

    def rgb(self, frame: np.ndarray) -> Any:
        return frame[..., ::-1]


def _name(path: str) -> str:
    """As OpenCV takes it. Raises HarnessError for a name that is not UTF-8, which ends its process (5.0)."""
    try:
        path.encode()
    except UnicodeEncodeError:
        shown = path.encode(errors="surrogateescape").decode(errors="replace")
        raise HarnessError(
            f"{shown}: OpenCV cannot open a file whose name is not UTF-8; rename it, or unset {VARIABLE}"
        ) from None
    return f"file:{path}"
