"""A third-party decoder in one file: PyAV again, but every frame decoded by as many threads as FFmpeg likes.

It opens the file itself and leaves the conversion to RGB to FFmpeg, so that its pixels may differ from PyAV's by a grey level.
"""

from __future__ import annotations

from harness.core.plugins import Decoder


class ThreadedFrames:
    def __init__(self, file):
        import av

        self.errors = (av.error.FFmpegError, ValueError, OverflowError)
        self._counted = file.counted
        try:
            self._container = av.open(f"file:{file.path}")
            self._stream = self._container.streams[file.stream.index]
            self._stream.thread_type = "AUTO"
        except self.errors as error:
            raise file.broken(f"cannot be opened by PyAV: {error}") from error

    def decode(self, start=None):
        for frame in self._container.decode(self._stream):
            yield (frame.dts if self._counted else frame.pts), frame

    def seek(self, stamp):
        try:
            self._container.seek(stamp, stream=self._stream)
        except self.errors:
            return False
        return True

    def close(self):
        self._container.close()

    def size(self, frame):
        return frame.height, frame.width

    def turns(self, frame):
        return round(frame.rotation / 90) % 4

    def planes(self, frame):
        return None

    def rgb(self, frame):
        return frame.to_ndarray(format="rgb24")


def version() -> str:
    from importlib.metadata import version

    return version("av")


DECODER = Decoder(name="threaded", version=version, open=ThreadedFrames)
