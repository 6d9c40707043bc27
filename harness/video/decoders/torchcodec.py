"""Frames by torchcodec: its demuxer and decoder, FFmpeg of the system, our conversion and our rules of time.

yuv420p pictures, as nearly all are, are converted as PyAV's are, from the same planes, and are the same bit for bit.
torchcodec converts the others, by the colour space that a file names.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from harness.core.errors import HarnessError
from harness.core.plugins import Decoder
from harness.video.decoder import VARIABLE, installed_version

if TYPE_CHECKING:
    from torchcodec.decoders import RawFrame

    from harness.video.file import VideoFile

REMEDY = f"pip install quovadis-harness[torchcodec] (it needs the shared libraries of FFmpeg on the system), or unset {VARIABLE}"


class TorchcodecFrames:
    """See `plugins.Frames`."""

    errors: tuple[type[Exception], ...] = (RuntimeError, ValueError, OverflowError)

    def __init__(self, file: VideoFile) -> None:
        decoders = _decoders()
        self._tick_s = file.tick_s
        # AVI has no presentation times and torchcodec gives no others, so the packets' own are used, by number.
        self._packets = file.packet_times() if file.counted else None
        self._next = 0
        self._converter: Any = None
        self._opened: BinaryIO | None = None
        try:
            self._demuxer = decoders.Demuxer(self._source(file.path), streams=file.stream.index)
            self._decoder = self._demuxer.streams[0].make_decoder("cpu", num_ffmpeg_threads=1)
        except self.errors as error:
            self.close()
            raise file.broken(f"cannot be opened by torchcodec: {_first_line(error)}") from error

    def _source(self, path: str) -> str | BinaryIO:
        try:
            path.encode()
        except UnicodeEncodeError:  # torchcodec cannot take a name that is not UTF-8
            self._opened = Path(path).open("rb")  # noqa: SIM115 (closed by `close`)
            return self._opened
        return f"file:{path}"

    def decode(self, start: int | None = None) -> Iterator[tuple[int | None, RawFrame]]:
        for packet in self._demuxer:
            sent = self._packet_time()
            for frame in self._decoder.decode(packet):
                yield self._stamp(frame, sent), frame
        for frame in self._decoder.drain():
            yield self._stamp(frame, None), frame

    def _packet_time(self) -> int | None:
        """Time of the packet just read, where packets have their own."""
        if self._packets is None:
            return None
        number, self._next = self._next, self._next + 1
        return self._packets[number][0] if number < len(self._packets) else None

    def _stamp(self, frame: RawFrame, sent: int | None) -> int | None:
        return sent if self._packets is not None else round(frame.pts_seconds / self._tick_s)

    def seek(self, stamp: int) -> bool:
        if self._packets is not None:
            keys = [(at, number) for number, (at, is_key) in enumerate(self._packets) if is_key and at is not None]
            place = bisect.bisect_right(keys, (stamp, len(self._packets))) - 1
            if place < 0:
                return False
            stamp, self._next = keys[place]
        try:
            self._demuxer.seek(stamp * self._tick_s)
        except self.errors:
            return False
        self._decoder.reset()
        return True

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()

    def size(self, frame: RawFrame) -> tuple[int, int]:
        return frame.height, frame.width

    def turns(self, frame: RawFrame) -> int:
        return round(frame.rotation / 90) % 4

    def planes(self, frame: RawFrame) -> list[np.ndarray] | None:
        even = frame.width % 2 == 0 and frame.height % 2 == 0
        if frame.pixel_format != "yuv420p" or not even or frame.color_range == "pc":
            return None
        return [plane.numpy() for plane in frame.planes]

    def rgb(self, frame: RawFrame) -> np.ndarray:
        if self._converter is None:
            self._converter = _decoders().ColorConverter("cpu")
        upright = self._converter.convert(frame).data.permute(1, 2, 0).numpy()
        return np.rot90(upright, -self.turns(frame))


def _decoders() -> Any:
    """torchcodec.decoders. Raises HarnessError where it is not installed, or its libraries cannot be loaded."""
    installed_version("torchcodec", REMEDY)
    try:
        import torchcodec.decoders as decoders
    except (ImportError, RuntimeError, OSError) as error:
        raise HarnessError(
            f"torchcodec is installed but cannot be loaded ({_first_line(error)}); it needs the shared libraries of FFmpeg 4 to "
            f"9 and a torch of the same kind (CPU or CUDA). Install those, or unset {VARIABLE}"
        ) from error
    return decoders


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


DECODER = Decoder(name="torchcodec", version=lambda: installed_version("torchcodec", REMEDY), open=TorchcodecFrames)
