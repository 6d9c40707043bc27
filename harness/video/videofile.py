"""One video file being decoded: timed frames out of it, pictures out of those. The only file that imports PyAV to read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.errors import BrokenVideo, DataMissing
from harness.video.views import short_side_size, timeline_frames

if TYPE_CHECKING:
    import av

MAX_PIXELS = 64 * 2**20
"""Largest picture that is decoded (8K is 33 M). A damaged header otherwise asks for gigabytes."""

MAX_GAP_S = 60.0
"""Longest time between two frames. Damaged timestamps otherwise make hours out of seconds."""

FFMPEG_TIMEOUT_S = 10.0

STORED = "harness frames"
"""Begins the comment of a file of the frame store; the size without its padding follows."""

FULL_RANGE = 2
"""FFmpeg's AVCOL_RANGE_JPEG."""


class VideoFile:
    """An open video: its header, its frames with their times, from the start or from anywhere. A context manager."""

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)

    def __enter__(self) -> VideoFile:
        import av

        self.error = av.error.FFmpegError
        try:
            # Through the file protocol, so that a name with a colon is a name and not a URL.
            self._container = av.open(f"file:{self.path}", timeout=FFMPEG_TIMEOUT_S, metadata_errors="replace")
        except av.error.FileNotFoundError:
            raise DataMissing(f"no file at {self.path}") from None
        except (av.error.FFmpegError, ValueError) as error:
            raise self.broken(f"cannot be opened: {cause(error)}") from error
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
            raise self.broken(f"holds no video stream{', only ' if kinds else ''}{', '.join(kinds)}")
        self._stream = self._container.streams.video[0]
        context = self._stream.codec_context
        if context is None or context.width <= 0 or context.height <= 0:
            raise self.broken("the header gives no picture size, or a codec that is not known")
        if context.width * context.height > MAX_PIXELS:
            raise self.broken(f"the header claims pictures of {context.width}x{context.height} px")
        context.thread_count = 1
        context.thread_type = "NONE"
        context.options = {"max_pixels": str(MAX_PIXELS)}
        self.stored_size = context.height, context.width
        self.kept_size = kept_size(self._container.metadata.get("comment", ""))
        self.codec = context.name
        rate = self._stream.average_rate or self._stream.guessed_rate or self._stream.base_rate
        self.fps = float(rate) if rate else 25.0
        self.frame_s = 1.0 / self.fps
        self._tick_s = float(self._stream.time_base or 0) or self.frame_s
        # AVI stores no presentation times; FFmpeg's guesses are out of order where there are B-frames.
        self._counted = self._container.format.name == "avi"
        self._anchor: int | None = None

    # ---------------------------------------------------------------- header

    def header(self) -> tuple[int, float]:
        """(frames, seconds); packets are counted where the header says neither. Raises BrokenVideo."""
        count, duration_s = self._stream.frames, self._header_duration_s()
        if count <= 0 or duration_s <= 0:
            count, duration_s = self._count_packets()
        if count == 0:
            raise self.broken("holds no frames")
        if duration_s > count * MAX_GAP_S:
            raise self.broken(f"the header claims {duration_s:.0f} s for {count} frames")
        return count, duration_s

    def count_packets(self) -> int:
        """Frames' packets from here to the end of the file, which is read but not decoded. Raises BrokenVideo."""
        return self._count_packets()[0]

    def claimed_frames(self, fps: float) -> int:
        """Frames on a timeline of `fps`, if the header is right."""
        return timeline_frames(self._header_duration_s(), fps)

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
        except (self.error, ValueError) as error:
            raise self.broken(f"cannot be read to its end: {cause(error)}") from error
        known = [stamp for stamp in stamps if stamp is not None]
        if len(known) < 2:
            return len(stamps), len(stamps) * self.frame_s
        return len(stamps), (max(known) - min(known)) * self._tick_s + self.frame_s

    # ---------------------------------------------------------------- frames

    def timed(self) -> Iterator[tuple[float, av.VideoFrame]]:
        """(seconds since the first frame, frame) from where the file stands. Raises BrokenVideo."""
        previous_s = None
        try:
            for frame in self._container.decode(self._stream):
                time_s = self._time_s(frame, previous_s)
                if previous_s is not None and time_s - previous_s > MAX_GAP_S:
                    raise self.broken(f"{time_s - previous_s:.0f} s lie between two frames; the timestamps are damaged")
                yield time_s, frame
                previous_s = time_s
        except (self.error, ValueError, OverflowError) as error:
            raise self.broken(f"cannot be decoded: {cause(error)}") from error
        if previous_s is None and self._anchor is None:
            raise self.broken("holds no frame that can be decoded")

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
            except self.error:
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
        claimed = self.claimed_frames(fps)
        if num_frames < 0.95 * claimed - 2:
            raise self.broken(f"truncated: {num_frames} of {claimed} frames (at {fps:g} fps) can be decoded")

    def broken(self, cause: str) -> BrokenVideo:
        return BrokenVideo(f"{self.path}: {cause}")


class Painter:
    """Frames of one file -> upright RGB pictures of one short side, into arrays that the caller owns.

    Working memory is kept from frame to frame: fresh memory for each picture would cost as much as the conversion. What
    a crop leaves out is not converted where frames have their size already.
    """

    def __init__(self, video: VideoFile, short_side_px: int) -> None:
        self._video = video
        self._size = video.kept_size or short_side_size(*video.stored_size, short_side_px)
        self._ready = video.stored_size if video.kept_size else self._size
        """Frames of this size need no resizing: those of the frame store, but for their padding, and whatever fits by chance."""
        self._planes: np.ndarray | None = None
        self._rgb: np.ndarray | None = None
        self._resized: np.ndarray | None = None
        self._formats: Any = None

    def size(self, frame: av.VideoFrame) -> tuple[int, int]:
        """(height, width) of the upright picture."""
        return self._size[::-1] if _turns(frame) % 2 else self._size

    def paint(self, frame: av.VideoFrame, out: np.ndarray, *, top: int = 0, left: int = 0) -> None:
        """Fill `out`, uint8 (h, w, 3) RGB, with the part of the picture that starts at (top, left). Raises BrokenVideo."""
        try:
            turns = _turns(frame)
            if turns == 0 and (frame.height, frame.width) == self._ready:
                self._cut(frame, out, top, left)
                return
            if turns == 0 and out.shape[:2] == self._size:
                self._resize(self._convert(frame), out)
                return
            if self._resized is None:
                self._resized = np.empty((*self._size, 3), np.uint8)
            self._resize(self._convert(frame), self._resized)
        except (self._video.error, ValueError) as error:
            raise self._video.broken(f"cannot be converted to RGB: {cause(error)}") from error
        upright = np.rot90(self._resized, turns) if turns else self._resized
        out[...] = upright[top : top + out.shape[0], left : left + out.shape[1]]

    def _cut(self, frame: av.VideoFrame, out: np.ndarray, top: int, left: int) -> None:
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

    def _convert(self, frame: av.VideoFrame, part: tuple[int, int, int, int] | None = None) -> np.ndarray:
        """RGB of a frame, or of the (top, left, height, width) of it, which may be cut short at odd borders."""
        import cv2

        top, left, height, width = part or (0, 0, frame.height, frame.width)
        even = frame.width % 2 == 0 and frame.height % 2 == 0
        if frame.format.name == "yuv420p" and even and int(frame.color_range) != FULL_RANGE:
            # OpenCV fills the array it is given if that fits, and makes a new one if the size changed on the way.
            self._planes = _planes(frame, top, left, height, width, self._planes)
            self._rgb = cv2.cvtColor(self._planes, cv2.COLOR_YUV2RGB_I420, dst=self._rgb)
            return self._rgb
        if self._formats is None:
            from av.video.reformatter import VideoReformatter

            self._formats = VideoReformatter()
        whole = self._formats.reformat(frame, format="rgb24").to_ndarray()
        return whole[top : top + height, left : left + width]


def _planes(frame: av.VideoFrame, top: int, left: int, height: int, width: int, room: np.ndarray | None) -> np.ndarray:
    """Part of a yuv420p frame, all four numbers even, as OpenCV takes it: uint8 (3/2 height, width); in `room` if it fits."""
    if room is None or room.shape != (height * 3 // 2, width):
        room = np.empty((height * 3 // 2, width), np.uint8)
    flat, start = room.reshape(-1), 0
    for number, plane in enumerate(frame.planes):
        half = 2 if number else 1
        rows, columns = height // half, width // half
        pixels = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        target = flat[start : start + rows * columns].reshape(rows, columns)
        target[...] = pixels[top // half : top // half + rows, left // half : left // half + columns]
        start += rows * columns
    return room


def kept_size(comment: str) -> tuple[int, int] | None:
    """(height, width) that a file of the frame store says it holds; None for any other file."""
    words = comment.removeprefix(STORED).split("x")
    if not comment.startswith(STORED) or len(words) != 2 or not all(word.strip().isdigit() for word in words):
        return None
    return int(words[1]), int(words[0])


def _turns(frame: av.VideoFrame) -> int:
    """Quarter turns counter-clockwise that the metadata asks for."""
    return round(frame.rotation / 90) % 4


def cause(error: BaseException) -> str:
    """FFmpeg's own words for what went wrong."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
