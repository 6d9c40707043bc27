"""One video file being decoded: what its header says, and its frames with their times."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.core import registry
from harness.core.errors import BrokenVideo, DataMissing
from harness.core.plugins import Frames
from harness.video import decoder as decoders
from harness.video.container import open_container
from harness.video.resample import MAX_GAP_S
from harness.video.sampling import timeline_frames

MAX_PIXELS = 64 * 2**20
"""Largest picture that is decoded (8K is 33 M): a damaged header may ask for gigabytes."""
STORED = "harness frames"
"""Start of the comment in a file of the frame store; the size without padding follows."""


class VideoFile:
    """An open video: its header, its frames with their times, from the start or from anywhere. A context manager.

    PyAV reads the header, whatever decodes the frames (`frames`). No decoder is given a file of a format that is refused here.
    """

    def __init__(self, path: str | Path, decoder: str = decoders.DEFAULT) -> None:
        self.path = str(path)
        self.decoder = decoder
        self._frames: Frames | None = None

    def __enter__(self) -> VideoFile:
        import av

        self.error = av.error.FFmpegError
        try:
            self.container = open_container(self.path)
        except av.error.FileNotFoundError:
            raise DataMissing(f"no file at {self.path}") from None
        except (av.error.FFmpegError, ValueError) as error:
            raise self.broken(f"cannot be opened: {cause(error)}") from error
        try:
            self._prepare()
        except BaseException:
            self.container.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._frames is not None:
            self._frames.close()
        self.container.close()

    @property
    def frames(self) -> Frames:
        """Frames by the decoder, which is loaded here: a header alone needs none. Raises HarnessError where it is missing."""
        if self._frames is None:
            self._frames = registry.load("decoder", self.decoder).open(self)
        return self._frames

    def _prepare(self) -> None:
        if not self.container.streams.video:
            kinds = sorted({stream.type for stream in self.container.streams})
            raise self.broken(f"holds no video stream{', only ' if kinds else ''}{', '.join(kinds)}")
        self.stream = self.container.streams.video[0]
        context = self.stream.codec_context
        if context is None or context.width <= 0 or context.height <= 0:
            raise self.broken("the header has no frame size or names an unknown codec")
        if context.width * context.height > MAX_PIXELS:
            raise self.broken(f"the header claims pictures of {context.width}x{context.height} px")
        context.thread_count = 1
        context.thread_type = "NONE"
        context.options = {"max_pixels": str(MAX_PIXELS)}
        self.stored_size = context.height, context.width
        self.unpadded_size = unpadded_size(self.container.metadata.get("comment", ""))
        self.codec = context.name
        rate = self.stream.average_rate or self.stream.guessed_rate or self.stream.base_rate
        self.fps = float(rate) if rate else 25.0
        self.frame_s = 1.0 / self.fps
        self.tick_s = float(self.stream.time_base or 0) or self.frame_s
        # AVI stores no presentation times; FFmpeg's guesses are out of order where there are B-frames.
        self.counted = self.container.format.name == "avi"
        self._anchor: int | None = None
        self._frames = None

    def header(self) -> tuple[int, float]:
        """(frames, seconds); packets are counted where the header lacks one. Raises BrokenVideo."""
        count, duration_s = self.stream.frames, self._header_duration_s()
        if count <= 0 or duration_s <= 0:
            count, duration_s = self.count_packets()
        if count == 0:
            raise self.broken("holds no frames")
        if duration_s > count * MAX_GAP_S:
            raise self.broken(f"the header claims {duration_s:.0f} s for {count} frames")
        return count, duration_s

    def packet_times(self) -> list[tuple[int | None, bool]]:
        """(time in ticks, whether a key frame) of every packet whose picture is shown, in the order of the file, which is read
        to its end. The time is that of decoding in an AVI, else that of presentation. Raises BrokenVideo."""
        shown = (packet for packet in self._packets() if not packet.is_discard)
        return [(packet.dts if self.counted else packet.pts, packet.is_keyframe) for packet in shown]

    def claimed_frames(self, fps: float) -> int:
        """Frames on a timeline of `fps`, if the header is right."""
        return timeline_frames(self._header_duration_s(), fps)

    def _header_duration_s(self) -> float:
        if self.stream.duration:
            return self.stream.duration * self.tick_s
        if self.stream.frames:
            return self.stream.frames * self.frame_s
        # Matroska stores the length of the whole file only; sound may be longer than the pictures.
        alone = len(self.container.streams) == 1
        late = max(0, self.container.start_time or 0)
        return max(0, (self.container.duration or 0) - late) / 1e6 if alone else 0.0

    def count_packets(self) -> tuple[int, float]:
        """(number, seconds) of the packets from here to the end of the file, read but not decoded. Raises BrokenVideo."""
        stamps = [packet.pts for packet in self._packets()]
        known = [stamp for stamp in stamps if stamp is not None]
        if len(known) < 2:
            return len(stamps), len(stamps) * self.frame_s
        return len(stamps), (max(known) - min(known)) * self.tick_s + self.frame_s

    def _packets(self) -> Iterator[Any]:
        try:
            yield from (packet for packet in self.container.demux(self.stream) if packet.size)
        except (self.error, ValueError) as error:
            raise self.broken(f"cannot be read to its end: {cause(error)}") from error

    def timed(self, start_s: float | None = None) -> Iterator[tuple[float, Any]]:
        """(seconds since the first frame, frame) from the current position on; with a start, some frames that end before it
        may be left out. Raises BrokenVideo."""
        previous_s = None
        start = None if start_s is None else (self._anchor or 0) + int(start_s / self.tick_s)
        try:
            for stamp, frame in self.frames.decode(start):
                time_s = self._time_s(stamp, previous_s)
                if previous_s is not None and time_s - previous_s > MAX_GAP_S:
                    raise self.broken(f"{time_s - previous_s:.0f} s between two frames; the timestamps are damaged")
                yield time_s, frame
                previous_s = time_s
        except self.frames.errors as error:
            raise self.broken(f"cannot be decoded: {cause(error)}") from error
        if previous_s is None and self._anchor is None:
            raise self.broken("holds no frame that can be decoded")

    def _time_s(self, stamp: int | None, previous_s: float | None) -> float:
        after_s = 0.0 if previous_s is None else previous_s + self.frame_s
        if stamp is None:
            self._anchor = 0 if self._anchor is None else self._anchor
            return after_s
        if self._anchor is None:
            self._anchor = stamp
        time_s = (stamp - self._anchor) * self.tick_s
        return time_s if previous_s is None or time_s > previous_s else after_s

    def timed_from(self, start_s: float) -> Iterator[tuple[float, Any]]:
        """As `timed`, from a key frame at or before `start_s`; nothing where seeking fails."""
        if start_s <= 1.0:
            yield from self.timed()
            return
        if self._anchor is None:
            next(self.timed(), None)
        back_s = 0.0
        while True:
            target_s = max(0.0, start_s - back_s)
            if not self.frames.seek((self._anchor or 0) + int(target_s / self.tick_s)):
                return
            timed = self.timed(start_s)
            head = next(timed, None)
            if head is not None and head[0] <= start_s:
                yield head
                yield from timed
                return
            if target_s == 0.0:
                return
            back_s = 2 * back_s + 1.0

    def restarted(self) -> Iterator[tuple[float, Any]]:
        """`timed`, from the first frame."""
        self.__exit__()
        self.__enter__()
        return self.timed()

    def check_length(self, num_frames: int, fps: float) -> None:
        """Raises BrokenVideo where the file ended clearly before the length that its header gives."""
        claimed = self.claimed_frames(fps)
        if self.stream.start_time is None and self._anchor:
            # Matroska counts its length from 0, and does not always store the time of the first frame.
            claimed -= round(self._anchor * self.tick_s * fps)
        if num_frames < 0.95 * claimed - 2:
            raise self.broken(f"truncated: {num_frames} of {claimed} frames (at {fps:g} fps) can be decoded")

    def broken(self, cause: str) -> BrokenVideo:
        return BrokenVideo(f"{self.path}: {cause}")


def unpadded_size(comment: str) -> tuple[int, int] | None:
    """(height, width) of the pictures in a file of the frame store, without padding; None for any other file."""
    words = comment.removeprefix(STORED).split("x")
    if not comment.startswith(STORED) or len(words) != 2 or not all(word.strip().isdigit() for word in words):
        return None
    return int(words[1]), int(words[0])


def cause(error: BaseException) -> str:
    """FFmpeg's message."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
