"""Video files and pictures -> uint8 RGB at a fixed frame rate and short side.

The rules, all of which are part of `decoder_key`:

* Time starts at the first decoded frame, whatever the header says. (In real files it is often neither 0 nor `start_time`:
  an .avi whose first timestamp is 1 while its start time is 0 is read one frame off by naive seeking.)
* Frame k of the result is the decoded frame nearest to k / fps, the earlier one on a tie. AVI carries no presentation
  times, only a count; there the decoder's output order is the time.
* Pictures in yuv420p of limited range are converted by OpenCV (BT.601, as nearly every tool does), everything else by one
  shared swscale context. Resizing is bilinear without antialiasing, aspect kept (paper section 2.5), pixels taken as
  square, rotation metadata honoured.
* One decoder thread: processes scale better than threads (twice the frames on two cores).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.core import registry
from harness.core.contract import Resize
from harness.core.errors import BrokenVideo, DataMissing
from harness.video import decoder as decoders
from harness.video.convert import FrameConverter
from harness.video.decoder import DEFAULT
from harness.video.file import VideoFile
from harness.video.resample import nearest
from harness.video.sampling import resized

RULES_VERSION = 1
"""Raised when the rules above change, so that job ids and stores change too."""
LONGEST_GUESS = 4096
"""Frames for which memory is allocated because of the header alone."""

Crop = Callable[[int, int], tuple[int, int, int]]
"""(height, width) of the picture -> (top, left, side) of a square, in px."""


@dataclass(frozen=True)
class VideoInfo:
    """A video file's header."""

    num_frames: int
    """Frames in the file, before resampling."""
    fps: float
    width: int
    """Width of the stored picture in px, before rotation."""
    height: int
    duration_s: float
    codec: str


def probe(path: str | Path) -> VideoInfo:
    """The header of a video; packets are counted where the header has no count. Raises BrokenVideo, DataMissing."""
    with VideoFile(path) as video:
        count, duration_s = video.header()
        height, width = video.stored_size
        return VideoInfo(count, video.fps, width, height, duration_s, video.codec)


def count_packets(path: str | Path) -> int:
    """Packets of pictures in a file, which is read to its end but not decoded. Raises BrokenVideo, DataMissing."""
    with VideoFile(path) as video:
        return video.count_packets()[0]


def read_video(
    path: str | Path, *, fps: float = 25.0, short_side_px: Resize = 256, decoder: str = DEFAULT
) -> np.ndarray:
    """The whole video: uint8 (T, H, W, 3) RGB at `fps`, short side `short_side_px`, or of that (height, width).

    Raises BrokenVideo, naming file and cause, for a file without pictures, one that cannot be decoded, and one that
    holds clearly fewer frames than its header says (truncated); DataMissing when there is no file.
    """
    with VideoFile(path, decoder) as video:
        expected = min(video.claimed_frames(fps), LONGEST_GUESS)
        whole: np.ndarray | None = None
        count = 0
        for picture in _pictures(video, fps, short_side_px):
            if whole is None:
                whole = np.empty((expected, *picture.shape), np.uint8)
            elif count == len(whole):
                whole = np.concatenate([whole, np.empty_like(whole)])
            whole[count] = picture
            count += 1
    assert whole is not None
    return whole if count == len(whole) else whole[:count].copy()


def iter_video(
    path: str | Path, *, fps: float = 25.0, short_side_px: Resize = 256, decoder: str = DEFAULT
) -> Iterator[np.ndarray]:
    """The frames of `read_video` one by one, so that a long video never has to fit into memory.

    Each is valid until the next one is asked for.
    """
    with VideoFile(path, decoder) as video:
        yield from _pictures(video, fps, short_side_px)


class NotStorable(Exception):
    """Pictures that a raw frame store cannot hold as decoded."""


def iter_planes(
    path: str | Path, *, fps: float = 25.0, short_side_px: int = 256, decoder: str = DEFAULT
) -> Iterator[np.ndarray]:
    """The decoded planes that `read_video` converts: uint8 (3/2 H, W), luma above both chroma planes (I420).

    Raises NotStorable where some are larger than the short side asks for, turned, or not yuv420p of limited range with
    even sides; else as `read_video` does.
    """
    with VideoFile(path, decoder) as video:
        count = 0
        for _, frame in nearest(video.timed(), fps=fps, frame_s=video.frame_s):
            height, width = video.frames.size(frame)
            planes = None if video.frames.turns(frame) else video.frames.planes(frame)
            if planes is None or min(height, width) > short_side_px or (height, width) != video.stored_size:
                raise NotStorable
            halves = zip(planes, (1, 2, 2), strict=True)
            flat = [plane[: height // half, : width // half].ravel() for plane, half in halves]
            yield np.concatenate(flat).reshape(-1, width)
            count += 1
        video.check_length(count, fps)


def _pictures(video: VideoFile, fps: float, short_side_px: Resize) -> Iterator[np.ndarray]:
    """Every frame in turn, in the same memory; at least one. Raises BrokenVideo."""
    converter = FrameConverter(video, short_side_px)
    converted = picture = None
    count = 0
    for _, frame in nearest(video.timed(), fps=fps, frame_s=video.frame_s):
        if picture is None:
            picture = np.empty((*converter.size(frame), 3), np.uint8)
        if converted is not frame:
            converter.convert(frame, picture)
            converted = frame
        count += 1
        yield picture
    video.check_length(count, fps)


def read_window(
    path: str | Path,
    indices: Sequence[int] | np.ndarray,
    *,
    fps: float = 25.0,
    short_side_px: Resize = 256,
    crop: Crop | None = None,
    out: np.ndarray | None = None,
    decoder: str = DEFAULT,
) -> np.ndarray:
    """The frames `read_video(path)[indices]`, bit for bit, decoding from the key frame before the first one only.

    Indices may repeat and come in any order. Those past the end (a header may promise a frame or two too many) give
    the last frame. With a `crop`, only that square of each. With `out`, uint8 of the result's shape, the frames are
    written to it and it is returned. Raises as `read_video` does, for damage in the part that had to be decoded;
    ValueError for an `out` of another shape.
    """
    indices = np.asarray(indices, dtype=np.int64)
    wanted = np.unique(indices)
    if len(wanted) == 0 or wanted[0] < 0:
        raise ValueError("a window needs at least one index, and indices must be >= 0")
    in_order = len(indices) == len(wanted) and bool((indices == wanted).all())
    with VideoFile(path, decoder) as video:
        window = _Window(wanted, FrameConverter(video, short_side_px), crop, out if in_order else None)
        first = int(wanted[0])
        if not window.fill(nearest(video.timed_from(first / fps), fps=fps, frame_s=video.frame_s, first=first)):
            window.fill(nearest(video.restarted(), fps=fps, frame_s=video.frame_s))
        if window.ended is not None:
            video.check_length(window.ended, fps)
    assert window.pictures is not None
    if in_order:
        return window.pictures
    return np.take(window.pictures, np.searchsorted(wanted, indices), axis=0, out=out)


class _Window:
    """The pictures of some frame numbers, filled from a stream of numbered frames."""

    def __init__(
        self, wanted: np.ndarray, converter: FrameConverter, crop: Crop | None, out: np.ndarray | None
    ) -> None:
        self.pictures: np.ndarray | None = None
        self.ended: int | None = None
        """Number of frames of the video, if its end was reached."""
        self._wanted = wanted
        self._converter = converter
        self._crop = crop
        self._out = out
        self._corner = (0, 0)
        self._filled = 0
        self._converted: Any = None

    def fill(self, numbered: Iterator[tuple[int, Any]]) -> bool:
        """True once all are filled; numbers past the end get the last frame. False: there were no frames."""
        last: tuple[int, Any] | None = None
        for last in numbered:
            number, frame = last
            if number == self._wanted[self._filled]:
                self._add(frame)
                if self._filled == len(self._wanted):
                    return True
        if last is None:
            return False
        self.ended = last[0] + 1
        while self._filled < len(self._wanted):
            self._add(last[1])
        return True

    def _add(self, frame: Any) -> None:
        if self.pictures is None:
            self.pictures = self._allocated(frame)
        target = self.pictures[self._filled]
        if frame is self._converted:
            target[...] = self.pictures[self._filled - 1]
        else:
            self._converter.convert(frame, target, top=self._corner[0], left=self._corner[1])
            self._converted = frame
        self._filled += 1

    def _allocated(self, frame: Any) -> np.ndarray:
        height, width = self._converter.size(frame)
        if self._crop is not None:
            top, left, side = self._crop(height, width)
            self._corner = top, left
            height = width = side
        shape = len(self._wanted), height, width, 3
        if self._out is None:
            return np.empty(shape, np.uint8)
        if self._out.shape != shape:
            raise ValueError(f"a window of {shape} does not fit into an array of {self._out.shape}")
        return self._out


def read_image(path: str | Path, *, short_side_px: Resize) -> np.ndarray:
    """A picture file: uint8 (H, W, 3) RGB, short side `short_side_px`, or of that (height, width). Raises BrokenVideo, DataMissing."""
    import cv2

    try:
        stored = np.fromfile(path, dtype=np.uint8)
    except FileNotFoundError:
        raise DataMissing(f"no file at {path}") from None
    picture = cv2.imdecode(stored, cv2.IMREAD_COLOR_RGB) if len(stored) else None
    if picture is None:
        raise BrokenVideo(f"{path}: not a picture that can be decoded ({len(stored)} bytes)")
    height, width = resized(picture.shape[0], picture.shape[1], short_side_px)
    if picture.shape[:2] == (height, width):
        return picture
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)


def decoder_key(name: str = "") -> dict[str, str]:
    """Names and versions of everything that decodes and resizes, for job ids and stores. Imports none of it.

    By default with the decoder that HARNESS_DECODER names. Raises UnknownName, and HarnessError where it is not installed.
    """
    decoder = registry.load("decoder", name or decoders.preferred())
    return {
        "decoder": f"{decoder.name} {decoder.version()}",
        "convert": f"opencv {decoders.opencv_version()}",
        "rules": str(RULES_VERSION),
    }
