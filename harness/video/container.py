"""Opening a video file: only formats that hold their own pictures, and no protocol other than that of files.

FFmpeg takes the format from the content, whatever the name ends in. A playlist (ffconcat, HLS, DASH, SDP) called `y.avi` would
be decoded as the other files, or addresses, that it names: a data set could show any video of this machine, or a test video as
a training video, and the checks for duplicates and leaks, which compare files, would not notice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

TIMEOUT_S = 10.0
FORMATS = (
    "mov,mp4,3gp,3g2,matroska,webm,avi,flv,live_flv,asf,mpeg,mpegts,mpegvideo,ogg,rm,swf,wtv,dv,mxf,gxf,nut,nuv,ivf,gif,apng,"
    "yuv4mpegpipe,mjpeg,h261,h263,h264,hevc,m4v,vc1,av1,obu"
)
"""FFmpeg's names of the formats that are read. Each of them holds all of its pictures in the file itself."""
REFUSED = "Format not on whitelist"
"""Start of FFmpeg's message about a format that is not in FORMATS."""


def open_container(path: str) -> Any:
    """PyAV's container of a file. Raises PyAV's errors, and ValueError with the name of a format that is not read."""
    import av

    try:
        return _open(path)
    except av.error.ArgumentError as error:
        if name := _refused_format(path):
            raise ValueError(
                f"by its content it is of the format '{name}', which is not read: lists of other files and files without video are "
                "refused; replace it by the video itself"
            ) from error
        raise


def _open(path: str) -> Any:
    import av

    # With the protocol in front, a name with a colon is a name and not a URL.
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    return av.open(f"file:{path}", timeout=TIMEOUT_S, container_options=options, **_tolerant())


def _tolerant() -> dict[str, str]:
    """Arguments of `av.open` with which tags that are not UTF-8 are no error. PyAV 19 has no such argument and needs none."""
    import av

    return {} if int(av.__version__.partition(".")[0]) >= 19 else {"metadata_errors": "replace"}


def _refused_format(path: str) -> str:
    """FFmpeg's name of the format of a file; '' unless the format is why it cannot be opened. Only FFmpeg's log has it."""
    import av

    with (
        _errors_logged(),
        av.logging.Capture(local=True) as lines,
        contextlib.suppress(av.error.FFmpegError, ValueError),
    ):
        _open(path).close()
    return next((str(name) for _, name, text in lines if text.startswith(REFUSED)), "")


@contextlib.contextmanager
def _errors_logged() -> Iterator[None]:
    """FFmpeg's log of errors, which is off otherwise because damaged files fill it; also a message like the one before."""
    from av import logging

    level, skip = logging.get_level(), logging.get_skip_repeated()
    logging.set_level(logging.ERROR)
    logging.set_skip_repeated(False)
    try:
        yield
    finally:
        logging.set_level(level)
        logging.set_skip_repeated(skip)
