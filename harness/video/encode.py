"""Video and picture files, written so that the same frames give the same bytes (for the same library versions).

One encoder thread, no wall-clock metadata and fixed options: bytes depend on the pixels alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from harness.core.errors import HarnessError

if TYPE_CHECKING:
    import numpy as np

CODECS: dict[str, dict[str, str]] = {
    # A key frame every 12 keeps seeking cheap. 'superfast' spends a third of the time of 'medium' at this size, and
    # at this crf the quality is the same: only the file grows.
    "h264": {"crf": "17", "preset": "superfast", "g": "12", "sc_threshold": "0"},
    # Quantiser 2, the encoder's lowest by default: it reads the quantiser of frames, which have none, not this one.
    "mpeg4": {"flags": "+qscale", "global_quality": "354", "g": "12"},
    # The frame store (docs/how-to/performance.md): the fastest to decode of those tried, with a key frame every 12.
    "mpeg4-store": {"qmin": "2", "qmax": "2", "g": "12", "bf": "0"},
    # Exact RGB, for tests that compare pixels.
    "ffv1": {},
    # The raw frame store: uncompressed planes.
    "raw": {},
}
"""Name -> encoder options."""

_PIXELS = {"h264": "yuv420p", "mpeg4": "yuv420p", "mpeg4-store": "yuv420p", "ffv1": "bgr0", "raw": "yuv420p"}
_ENCODERS = {"h264": "libx264", "mpeg4-store": "mpeg4", "raw": "rawvideo"}
_CONTAINERS = {"mpeg4-store": "mp4", "raw": "avi"}
"""Containers of files that are written frame by frame."""
JPEG_QUALITY = 95


def write_video(path: Path, frames: np.ndarray, *, codec: str = "h264", fps: Fraction | int = 25) -> None:
    """A video file of frames (T, H, W, 3) uint8 RGB, one after the other at a constant rate.

    The container follows from the suffix (.mp4, .avi, .mkv). Codecs: 'h264', 'mpeg4' (both 4:2:0, BT.601, even sides
    only) and 'ffv1' (lossless RGB). Raises HarnessError for frames of another shape or type, an unknown codec
    and a file that cannot be written.
    """
    import av

    _check(frames, codec)
    try:
        with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
            stream = _add_stream(container, codec, Fraction(fps), frames.shape[1:3])
            for index, picture in enumerate(frames):
                frame = _frame(picture, _PIXELS[codec])
                frame.pts = index
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    except OSError as cause:  # av's errors are OSErrors too, where the system is to blame
        raise HarnessError(
            f"cannot write the video '{path}': {cause}. Free some disk space, or choose a folder that can be written."
        ) from cause


def write_stream(file: BinaryIO, frames: Iterable[np.ndarray], *, codec: str, fps: float, comment: str) -> int:
    """Writes frames one after the other as a file of a frame store -> their number. Raises OSError where it cannot.

    'mpeg4-store' (.mp4) and 'raw' (.avi) take (H, W, 3) uint8 RGB of any size; an odd side gets one more px. 'raw' also
    takes planes as `decode.iter_planes` gives them.
    """
    import av

    count, stream = 0, None
    rate = Fraction(fps).limit_denominator(1001)
    sink = _Sink(file)
    with av.open(sink, "w", format=_CONTAINERS[codec], options={"fflags": "+bitexact"}) as container:
        container.metadata["comment"] = comment
        for picture in frames:
            if stream is None:
                stream = _add_stream(container, codec, rate, _size(picture))
            if picture.ndim == 2:
                frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            else:
                frame = _frame(_even(picture), _PIXELS[codec])
            frame.pts = count
            container.mux(stream.encode(frame))
            count += 1
            sink.check()
        if stream is not None:
            container.mux(stream.encode())
    sink.check()
    return count


class _Sink:
    """A file that PyAV writes to. `check` raises the first error: PyAV itself would raise it from a write, but from a seek,
    which flushes a buffer, it prints a traceback and continues."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._error: OSError | None = None

    def check(self) -> None:
        if self._error is not None:
            raise self._error

    def write(self, content: bytes) -> int:
        if self._error is None:
            try:
                self._file.write(content)
            except OSError as error:
                self._error = error
        return len(content)

    def seek(self, offset: int, whence: int = 0) -> int:
        if self._error is None:
            try:
                return self._file.seek(offset, whence)
            except OSError as error:
                self._error = error
        return offset

    def tell(self) -> int:
        return self._file.tell()


def _size(picture: np.ndarray) -> tuple[int, int]:
    """(height, width) that a picture, or its planes, are stored with."""
    if picture.ndim == 2:
        return picture.shape[0] * 2 // 3, picture.shape[1]
    return picture.shape[0] + picture.shape[0] % 2, picture.shape[1] + picture.shape[1] % 2


def _even(picture: np.ndarray) -> np.ndarray:
    """`picture`, with its last row and column repeated where a side is odd."""
    import numpy as np

    height, width = picture.shape[:2]
    if height % 2 == width % 2 == 0:
        return picture
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), "edge")


def write_image(path: Path, picture: np.ndarray) -> None:
    """A picture file of (H, W, 3) uint8 RGB: lossless for '.png', JPEG of quality 95 for '.jpg' and '.jpeg'."""
    import cv2

    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if path.suffix in (".jpg", ".jpeg") else []
    success, encoded = cv2.imencode(path.suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)
    if not success:
        raise HarnessError(f"cannot encode a picture as '{path.suffix}' for '{path}'; use .png or .jpg.")
    try:
        path.write_bytes(encoded.tobytes())
    except OSError as cause:
        message = f"cannot write the picture '{path}': {cause}. Free some disk space, or choose another folder."
        raise HarnessError(message) from cause


def _add_stream(container: Any, codec: str, rate: Fraction, size: tuple[int, ...]) -> Any:
    options = {"threads": "1", **CODECS[codec], "flags": "+bitexact" + CODECS[codec].get("flags", "")}
    stream = container.add_stream(_ENCODERS.get(codec, codec), rate=rate, options=options)
    stream.height, stream.width = size
    stream.pix_fmt = _PIXELS[codec]
    stream.codec_context.thread_count = 1
    stream.codec_context.time_base = 1 / rate
    return stream


def _check(frames: np.ndarray, codec: str) -> None:
    if codec not in CODECS:
        raise HarnessError(f"no codec '{codec}'; have: {', '.join(CODECS)}.")
    if frames.ndim != 4 or frames.shape[3] != 3 or not len(frames) or frames.dtype != "uint8":
        raise HarnessError(f"a video is (T, H, W, 3) uint8 with T >= 1; got {frames.shape} {frames.dtype}.")
    if _PIXELS[codec] == "yuv420p" and (frames.shape[1] % 2 or frames.shape[2] % 2):
        raise HarnessError(f"{codec} needs even sides; got {frames.shape[2]}x{frames.shape[1]}.")


def _frame(picture: np.ndarray, pixels: str):
    """One av.VideoFrame. Converted by OpenCV: PyAV would build a new scaler for every frame."""
    import av
    import cv2

    if pixels == "yuv420p":
        return av.VideoFrame.from_ndarray(cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420), format="yuv420p")
    return av.VideoFrame.from_ndarray(cv2.cvtColor(picture, cv2.COLOR_RGB2BGRA), format="bgra").reformat(format="bgr0")
