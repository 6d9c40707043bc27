"""Frames by PyAV: the default, which made all numbers of this repository."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.core.plugins import Decoder
from harness.video.decoder import installed_version
from harness.video.resample import MAX_GAP_S

if TYPE_CHECKING:
    import av

    from harness.video.file import VideoFile

FULL_RANGE = 2
"""FFmpeg's AVCOL_RANGE_JPEG."""
MOST_AHEAD = 1024
"""Packets that are read before the first is decoded, at most."""


class PyavFrames:
    """The frames of the container that the file's header was read from; see `plugins.Frames`."""

    def __init__(self, file: VideoFile) -> None:
        self.errors: tuple[type[Exception], ...] = (file.error, ValueError, OverflowError)
        self._container, self._stream, self._counted = file.container, file.stream, file.counted
        self._max_gap = MAX_GAP_S / file.tick_s
        self._formats: Any = None

    def decode(self, start: int | None = None) -> Iterator[tuple[int | None, av.VideoFrame]]:
        packets = self._container.demux(self._stream)
        if start is not None and not self._counted:
            packets = self._lean(packets, start)
        for packet in packets:
            for frame in packet.decode():
                yield frame.dts if self._counted else frame.pts, frame

    def _lean(self, packets: Iterator[av.Packet], start: int) -> Iterator[av.Packet]:
        """The packets; those of frames that end before `start` are decoded only if others are predicted from them."""
        context, ahead = self._stream.codec_context, []
        for packet in packets:
            ahead.append(packet)
            if packet.pts is None or packet.pts >= start or len(ahead) == MOST_AHEAD:
                break
        times = [packet.pts for packet in ahead if packet.pts is not None]
        # The frame shown at `start`, if it is among these packets; a later one is decoded too.
        shown = max((time for time in times if time < start), default=start)
        # Frames left out must not look like the gap of a damaged file.
        skippable = len(times) == len(ahead) and shown - min(times, default=shown) < self._max_gap
        for packet in itertools.chain(ahead, packets):
            early = skippable and packet.pts is not None and packet.pts < shown
            context.skip_frame = "NONREF" if early else "DEFAULT"
            yield packet

    def seek(self, stamp: int) -> bool:
        try:
            self._container.seek(stamp, stream=self._stream)
        except self.errors:
            return False
        return True

    def close(self) -> None:
        """The file closes its container."""

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

            # One per file: a new one for each frame would cost as much as the conversion.
            self._formats = VideoReformatter()
        return self._formats.reformat(frame, format="rgb24").to_ndarray()  # type: ignore[no-any-return]


DECODER = Decoder(name="pyav", version=lambda: installed_version("av", "pip install av"), open=PyavFrames)
