"""Tiny synthetic videos for tests, whose frames tell their own number.

Each picture carries its number as a row of black and white blocks, which survives any codec, resizing and colour
conversion; the rest is a moving texture, so that flow and pixel comparisons have something to see.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from harness.data.batch import Batch

BITS = 8


def numbered(count: int, *, height: int = 48, width: int = 64, first: int = 0, speed_px: float = 1.5) -> np.ndarray:
    """uint8 (count, height, width, 3): frame i shows the number first + i and a texture moving right by `speed_px`."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    frames = np.empty((count, height, width, 3), np.uint8)
    for i in range(count):
        shifted = x - speed_px * i
        wave = 90 * np.sin(shifted / 3.1) * np.cos(y / 4.3) + 20 * np.sin(shifted / 7)
        frames[i] = np.clip(np.stack([128 + wave, 120 + 0.6 * wave + 0.2 * y, 140 - 0.5 * wave], -1), 0, 255)
        frames[i, : height // 3] = _blocks(first + i, height // 3, width)
    return frames


def _blocks(number: int, height: int, width: int) -> np.ndarray:
    bits = [(number >> bit) & 1 for bit in range(BITS)]
    row = np.repeat(np.array(bits, np.uint8) * 255, width // BITS)
    return np.broadcast_to(np.pad(row, (0, width - len(row)))[None, :, None], (height, width, 3))


def numbers(frames: np.ndarray) -> list[int]:
    """The numbers that frames (T, H, W, 3) show, at any size."""
    height, width = frames.shape[1:3]
    columns = (np.arange(BITS) + 0.5) * (width / BITS)
    row = frames[:, height // 6, columns.astype(int)].astype(np.float32).mean(-1)
    return [sum(1 << bit for bit, value in enumerate(blocks) if value > 127) for blocks in row]


def write(
    path: Path,
    frames: np.ndarray,
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    fps: int = 25,
    gop: int = 12,
    ticks: Sequence[int] | None = None,
    tick: Fraction | None = None,
    rotation: int = 0,
    options: dict[str, str] | None = None,
) -> Path:
    """Encode frames (T, H, W, 3) uint8 RGB. `ticks` in units of `tick` make the frame rate variable."""
    import av

    lossless = {"libx264": {"qp": "0", "preset": "ultrafast"}, "mpeg4": {"flags": "+qscale", "global_quality": "118"}}
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps, options={**lossless.get(codec, {}), **(options or {})})
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], pix_fmt
        stream.codec_context.gop_size = gop
        if tick is not None:
            stream.codec_context.time_base = tick
        if rotation:
            stream.set_display_rotation(rotation)
        for i, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24").reformat(format=pix_fmt)
            frame.pts = i if ticks is None else ticks[i]
            frame.time_base = tick or Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_tone(path: Path, *, pictures: bool = False) -> Path:
    """A file that holds sound and no picture; with `pictures`, its header promises some."""
    import av

    with av.open(str(path), "w") as container:
        if pictures:
            promised = container.add_stream("mpeg4", rate=25)
            promised.height, promised.width, promised.pix_fmt = 48, 64, "yuv420p"
            promised.codec_context.open()
        stream = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 8000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def large_batch(number: int) -> Batch:
    """29 MB of black clips, which take a while to send to another process."""
    clips = {"rgb": np.zeros((12, 16, 224, 224, 3), np.uint8)}
    return Batch(clips, np.zeros(12, bool), np.zeros(12, np.int64), ("video",) * 12, np.zeros(12, np.int64))
