"""Video files and pictures -> uint8 RGB at a fixed frame rate and short side. The only file that imports PyAV to read.

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

import importlib.metadata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.errors import BrokenVideo, DataMissing, HarnessError
from harness.video.timeline import nearest
from harness.video.views import short_side_size, timeline_frames

if TYPE_CHECKING:
    import av

RULES_VERSION = 1
"""Raised when the rules above change, so that job ids and stores change with them."""

MAX_PIXELS = 64 * 2**20
"""Largest picture that is decoded (8K is 33 M). A damaged header otherwise asks for gigabytes."""

MAX_GAP_S = 60.0
"""Longest time between two frames. Damaged timestamps otherwise make hours out of seconds."""

FFMPEG_TIMEOUT_S = 10.0

OPENCV_DISTRIBUTIONS = ("opencv-contrib-python-headless", "opencv-contrib-python")


@dataclass(frozen=True)
class VideoInfo:
    """What a file's header says."""

    num_frames: int
    """Frames in the file, before resampling."""
    fps: float
    width: int
    """Of the stored picture in px, before rotation."""
    height: int
    duration_s: float
    codec: str


def probe(path: str | Path) -> VideoInfo:
    """The header of a video; packets are counted where the header has no count. Raises BrokenVideo, DataMissing."""
    with _Opened(path) as video:
        return video.info()


def read_video(path: str | Path, *, fps: float = 25.0, short_side_px: int = 256) -> np.ndarray:
    """The whole video: uint8 (T, H, W, 3) RGB at `fps`, short side `short_side_px`.

    Raises BrokenVideo, naming file and cause, for a file without pictures, one that cannot be decoded, and one that
    holds clearly fewer frames than its header says (truncated); DataMissing when there is no file.
    """
    return np.stack(list(iter_video(path, fps=fps, short_side_px=short_side_px)))


def iter_video(path: str | Path, *, fps: float = 25.0, short_side_px: int = 256) -> Iterator[np.ndarray]:
    """The frames of `read_video` one by one, so that a long video never has to fit into memory."""
    with _Opened(path) as video:
        last: tuple[Any, np.ndarray] | None = None
        given = 0
        for _, frame in nearest(video.timed(), fps=fps, frame_s=video.frame_s):
            if last is None or last[0] is not frame:
                last = frame, video.picture(frame, short_side_px)
            given += 1
            yield last[1]
        video.check_length(given, fps)


def read_window(
    path: str | Path, indices: Sequence[int] | np.ndarray, *, fps: float = 25.0, short_side_px: int = 256
) -> np.ndarray:
    """The frames `read_video(path)[indices]`, bit for bit, decoding from the key frame before the first one only.

    Indices may repeat and come in any order. Those past the end (a header may promise a frame or two too many) give
    the last frame. Raises as `read_video` does, as far as the damage lies in what had to be decoded.
    """
    wanted = np.unique(np.asarray(indices, dtype=np.int64))
    if len(wanted) == 0 or wanted[0] < 0:
        raise ValueError("a window needs at least one index, and none below 0")
    with _Opened(path) as video:
        found = _collect(video, wanted, fps, short_side_px, seek=True)
        if not found:
            found = _collect(video, wanted, fps, short_side_px, seek=False)
    last = max(found)
    return np.stack([found[min(int(k), last)] for k in indices])


def _collect(
    video: _Opened, wanted: np.ndarray, fps: float, short_side_px: int, *, seek: bool
) -> dict[int, np.ndarray]:
    """wanted index -> picture; the file's last frame too, where it ends before. {}: seeking led nowhere."""
    first, final = int(wanted[0]), int(wanted[-1])
    timed = video.timed_from(first / fps) if seek else video.restarted()
    missing = set(wanted.tolist())
    found: dict[int, np.ndarray] = {}
    shown: tuple[int, Any] | None = None
    for k, frame in nearest(timed, fps=fps, frame_s=video.frame_s, first=first if seek else 0):
        if k in missing:
            same = shown is not None and shown[1] is frame and shown[0] in found
            found[k] = found[shown[0]] if same and shown else video.picture(frame, short_side_px)
        shown = k, frame
        if k >= final:
            return found
    if shown is None:
        return {}
    video.check_length(shown[0] + 1, fps)
    found.setdefault(shown[0], video.picture(shown[1], short_side_px))
    return found


def read_image(path: str | Path, *, short_side_px: int) -> np.ndarray:
    """A picture file: uint8 (H, W, 3) RGB, short side `short_side_px`. Raises BrokenVideo, DataMissing."""
    import cv2

    try:
        stored = np.fromfile(path, dtype=np.uint8)
    except FileNotFoundError:
        raise DataMissing(f"no file at {path}") from None
    picture = cv2.imdecode(stored, cv2.IMREAD_COLOR_RGB) if len(stored) else None
    if picture is None:
        raise BrokenVideo(f"{path}: not a picture that can be decoded ({len(stored)} bytes)")
    return _resized(picture, short_side_px)


def decoder_key() -> dict[str, str]:
    """Names and versions of all that decodes and resizes, for job ids and stores. Imports neither PyAV nor OpenCV."""
    return {
        "decoder": f"pyav {importlib.metadata.version('av')}",
        "convert": f"opencv {opencv_version()}",
        "rules": str(RULES_VERSION),
    }


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


class _Opened:
    """A video file being decoded: timed frames out of it, pictures out of those. A context manager."""

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)

    def __enter__(self) -> _Opened:
        import av

        self._error = av.error.FFmpegError
        try:
            # Through the file protocol, so that a name with a colon is a name and not a URL.
            self._container = av.open(f"file:{self.path}", timeout=FFMPEG_TIMEOUT_S, metadata_errors="replace")
        except av.error.FileNotFoundError:
            raise DataMissing(f"no file at {self.path}") from None
        except (av.error.FFmpegError, ValueError) as error:
            raise self._broken(f"cannot be opened: {_cause(error)}") from error
        try:
            self._prepare()
        except BaseException:
            self._container.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def _prepare(self) -> None:
        if not self._container.streams.video:
            kinds = sorted({stream.type for stream in self._container.streams})
            raise self._broken(f"holds no video stream{', only ' if kinds else ''}{', '.join(kinds)}")
        self._stream = self._container.streams.video[0]
        context = self._stream.codec_context
        if context is None or context.width <= 0 or context.height <= 0:
            raise self._broken("the header gives no picture size, or a codec that is not known")
        if context.width * context.height > MAX_PIXELS:
            raise self._broken(f"the header claims pictures of {context.width}x{context.height} px")
        context.thread_count = 1
        context.thread_type = "NONE"
        context.options = {"max_pixels": str(MAX_PIXELS)}
        self._size = context.height, context.width
        rate = self._stream.average_rate or self._stream.guessed_rate or self._stream.base_rate
        self._rate = float(rate) if rate else 25.0
        self.frame_s = 1.0 / self._rate
        self._tick_s = float(self._stream.time_base or 0) or self.frame_s
        # AVI stores no presentation times; FFmpeg's guesses are out of order where there are B-frames.
        self._counted = self._container.format.name == "avi"
        self._anchor: int | None = None
        self._formats: Any = None

    # ---------------------------------------------------------------- header

    def info(self) -> VideoInfo:
        count, duration_s = self._stream.frames, self._header_duration_s()
        if count <= 0 or duration_s <= 0:
            count, duration_s = self._count_packets()
        if count == 0:
            raise self._broken("holds no frames")
        self._check_claim(count, duration_s)
        height, width = self._size
        return VideoInfo(count, self._rate, width, height, duration_s, self._stream.codec_context.name)

    def _header_duration_s(self) -> float:
        if self._stream.duration:
            return self._stream.duration * self._tick_s
        if self._stream.frames:
            return self._stream.frames * self.frame_s
        # Matroska tells the length of the whole file only; where there is sound as well, that may be the longer one.
        alone = len(self._container.streams) == 1
        late = max(0, self._container.start_time or 0)
        return max(0, (self._container.duration or 0) - late) / 1e6 if alone else 0.0

    def _count_packets(self) -> tuple[int, float]:
        try:
            stamps = [packet.pts for packet in self._container.demux(self._stream) if packet.size]
        except (self._error, ValueError) as error:
            raise self._broken(f"cannot be read to its end: {_cause(error)}") from error
        known = [stamp for stamp in stamps if stamp is not None]
        if len(known) < 2:
            return len(stamps), len(stamps) * self.frame_s
        return len(stamps), (max(known) - min(known)) * self._tick_s + self.frame_s

    def _check_claim(self, count: int, duration_s: float) -> None:
        if duration_s > count * MAX_GAP_S:
            raise self._broken(f"the header claims {duration_s:.0f} s for {count} frames")

    # ---------------------------------------------------------------- frames

    def timed(self) -> Iterator[tuple[float, av.VideoFrame]]:
        """(seconds since the first frame, frame) from where the file stands. Raises BrokenVideo."""
        previous_s = None
        try:
            for frame in self._container.decode(self._stream):
                time_s = self._time_s(frame, previous_s)
                if previous_s is not None and time_s - previous_s > MAX_GAP_S:
                    raise self._broken(
                        f"{time_s - previous_s:.0f} s lie between two frames; the timestamps are damaged"
                    )
                yield time_s, frame
                previous_s = time_s
        except (self._error, ValueError, OverflowError) as error:
            raise self._broken(f"cannot be decoded: {_cause(error)}") from error
        if previous_s is None and self._anchor is None:
            raise self._broken("holds no frame that can be decoded")

    def _time_s(self, frame: av.VideoFrame, previous_s: float | None) -> float:
        stamp = frame.dts if self._counted else frame.pts
        after_s = 0.0 if previous_s is None else previous_s + self.frame_s
        if stamp is None:
            self._anchor = 0 if self._anchor is None else self._anchor
            return after_s
        if self._anchor is None:
            self._anchor = stamp
        time_s = (stamp - self._anchor) * self._tick_s
        return time_s if previous_s is None or time_s > previous_s else after_s

    def timed_from(self, start_s: float) -> Iterator[tuple[float, av.VideoFrame]]:
        """As `timed`, from a key frame at or before `start_s`; nothing where seeking does not get there."""
        if start_s <= 1.0:
            yield from self.timed()
            return
        self._find_anchor()
        back_s = 0.0
        while True:
            target_s = max(0.0, start_s - back_s)
            try:
                self._container.seek((self._anchor or 0) + int(target_s / self._tick_s), stream=self._stream)
            except self._error:
                return
            timed = self.timed()
            head = next(timed, None)
            if head is not None and head[0] <= start_s:
                yield head
                yield from timed
                return
            if target_s == 0.0:
                return
            back_s = 2 * back_s + 1.0

    def restarted(self) -> Iterator[tuple[float, av.VideoFrame]]:
        """`timed`, from the first frame."""
        self._container.close()
        self.__enter__()
        return self.timed()

    def _find_anchor(self) -> None:
        if self._anchor is None:
            next(self.timed(), None)

    def check_length(self, num_frames: int, fps: float) -> None:
        """Raises BrokenVideo where the file ended clearly before the length that its header gives."""
        claimed = timeline_frames(self._header_duration_s(), fps)
        if num_frames < 0.95 * claimed - 2:
            raise self._broken(f"truncated: {num_frames} of {claimed} frames (at {fps:g} fps) can be decoded")

    # ---------------------------------------------------------------- pictures

    def picture(self, frame: av.VideoFrame, short_side_px: int) -> np.ndarray:
        """uint8 (H, W, 3) RGB of one frame, resized and turned upright."""
        import cv2

        try:
            turns = round(frame.rotation / 90) % 4
            size = short_side_size(*self._size, short_side_px)
            rgb = self._rgb(frame)
        except (self._error, ValueError) as error:
            raise self._broken(f"cannot be converted to RGB: {_cause(error)}") from error
        if rgb.shape[:2] != size:
            rgb = cv2.resize(rgb, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
        return np.ascontiguousarray(np.rot90(rgb, turns)) if turns else rgb

    def _rgb(self, frame: av.VideoFrame) -> np.ndarray:
        import cv2

        even = frame.width % 2 == 0 and frame.height % 2 == 0
        if frame.format.name == "yuv420p" and even and int(frame.color_range) != 2:
            return cv2.cvtColor(frame.to_ndarray(), cv2.COLOR_YUV2RGB_I420)
        if self._formats is None:
            from av.video.reformatter import VideoReformatter

            self._formats = VideoReformatter()
        return self._formats.reformat(frame, format="rgb24").to_ndarray()

    def _broken(self, cause: str) -> BrokenVideo:
        return BrokenVideo(f"{self.path}: {cause}")


def _cause(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _resized(picture: np.ndarray, short_side_px: int) -> np.ndarray:
    import cv2

    height, width = short_side_size(picture.shape[0], picture.shape[1], short_side_px)
    if picture.shape[:2] == (height, width):
        return picture
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
