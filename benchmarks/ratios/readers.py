"""The same clip by our reader and by plain readers: 64 frames from a random place, 256 px, a square of 224 px."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from benchmarks.ratios.videos import FILE_FRAMES

FRAMES, SHORT_PX, SIDE_PX = 64, 256, 224

Reader = Callable[[str, np.random.Generator], np.ndarray]
"""(path, generator that draws place and square) -> uint8 (64, 224, 224, 3), RGB."""


def _start(rng: np.random.Generator) -> int:
    return int(rng.integers(0, FILE_FRAMES - FRAMES + 1))


def _corner(height: int, width: int, rng: np.random.Generator) -> tuple[int, int]:
    return int(rng.integers(0, height - SIDE_PX + 1)), int(rng.integers(0, width - SIDE_PX + 1))


def ours(path: str, rng: np.random.Generator) -> np.ndarray:
    from harness.video import decode

    start = _start(rng)
    return decode.read_window(
        path,
        np.arange(start, start + FRAMES),
        short_side_px=SHORT_PX,
        crop=lambda height, width: (*_corner(height, width, rng), SIDE_PX),
    )


def _cropped(frames: Iterator[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Whole RGB frames resized and cropped, the plain way."""
    import cv2

    clip, corner = np.empty((FRAMES, SIDE_PX, SIDE_PX, 3), np.uint8), None
    for number, frame in enumerate(frames):
        height, width = frame.shape[:2]
        size = (round(width * SHORT_PX / height), SHORT_PX)
        resized = cv2.resize(frame, size)
        top, left = corner = corner or _corner(SHORT_PX, size[0], rng)
        clip[number] = resized[top : top + SIDE_PX, left : left + SIDE_PX]
    return clip


def opencv(path: str, rng: np.random.Generator) -> np.ndarray:
    import cv2

    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    capture.set(cv2.CAP_PROP_POS_FRAMES, _start(rng))
    clip = _cropped((capture.read()[1] for _ in range(FRAMES)), rng)
    capture.release()
    return np.stack([cv2.cvtColor(frame, cv2.COLOR_BGR2RGB) for frame in clip])


def pyav(path: str, rng: np.random.Generator) -> np.ndarray:
    import av

    start_s = _start(rng) / 25

    def frames() -> Iterator[np.ndarray]:
        with av.open(path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "NONE"
            container.seek(int(start_s / stream.time_base), stream=stream)
            count = 0
            for frame in container.decode(stream):
                if (frame.time or 0.0) >= start_s - 1e-3 and count < FRAMES:
                    count += 1
                    yield frame.to_ndarray(format="rgb24")
                if count == FRAMES:
                    return

    return _cropped(frames(), rng)


def decord(path: str, rng: np.random.Generator) -> np.ndarray:
    from decord import VideoReader, cpu

    start = _start(rng)
    frames = VideoReader(path, ctx=cpu(0), num_threads=1).get_batch(range(start, start + FRAMES)).asnumpy()
    return _cropped(iter(frames), rng)


def torchcodec(path: str, rng: np.random.Generator) -> np.ndarray:
    from torchcodec.decoders import VideoDecoder

    start = _start(rng)
    decoder = VideoDecoder(path, dimension_order="NHWC", num_ffmpeg_threads=1, seek_mode="approximate")
    return _cropped(iter(decoder.get_frames_in_range(start, start + FRAMES).data.numpy()), rng)


READERS: Mapping[str, Reader] = {
    "ours": ours,
    "OpenCV": opencv,
    "PyAV": pyav,
    "decord": decord,
    "torchcodec": torchcodec,
}
MODULES = {"OpenCV": "cv2", "PyAV": "av", "decord": "decord", "torchcodec": "torchcodec"}


def plain_readers() -> list[str]:
    """Names of those that are installed."""
    return [name for name, module in MODULES.items() if importlib.util.find_spec(module)]
