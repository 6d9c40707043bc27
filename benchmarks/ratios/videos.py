"""A data set of rendered video files like those of UCF-101 and Kinetics."""

from __future__ import annotations

import atexit
import dataclasses
import functools
import tempfile
from pathlib import Path
from typing import Literal

import numpy as np

from harness.core.contract import Dataset, Listing, Scale, Video

FILE_FRAMES, HEIGHT, WIDTH = 180, 240, 320
FILES = 3
"""Per codec."""
SUFFIXES = {"mpeg4": ".avi", "h264": ".mp4"}


def _read(root: Path, split: int) -> Listing:
    names = sorted(path.name for path in root.iterdir() if path.suffix in SUFFIXES.values())
    return Listing(("one", "two"), {"train": tuple(Video(name, name, 0) for name in names), "test": ()})


CARD = Dataset(
    name="bench",
    title="rendered files of the benchmarks",
    kind="video",
    source="",
    num_classes=2,
    splits=(1,),
    subsets=("test",),
    counts={},
    read=_read,
    layout="*.avi, *.mp4",
    download="rendered by the benchmarks",
    licence="the licence of this program",
)


@functools.cache
def data() -> Path:
    """A data folder with the set in it: made at the first call, removed when this process exits."""
    folder = tempfile.TemporaryDirectory(prefix="harness-bench-")
    atexit.register(folder.cleanup)
    root = Path(folder.name) / CARD.name
    root.mkdir()
    for number in range(FILES):
        frames = scene(number)
        for suffix in SUFFIXES.values():
            write(root / f"{number}{suffix}", frames)
    return root.parent


def files_of(corpus: str, folder: Path) -> list[str]:
    """Paths of 'all' files, of those of a codec ('h264'), or of their copies in a frame store ('store of h264', 'raw-store of h264').

    The store is made if it is missing, as by `harness data prepare --store`.
    """
    from harness.data import frame_store, prepare

    store, _, codec = corpus.rpartition(" of ")
    suffixes = tuple(SUFFIXES.values()) if corpus == "all" else (SUFFIXES[codec],)
    prepared = prepare.open_prepared(CARD, folder)
    videos = [video for video in prepared.listing(1).subsets["train"] if video.id.endswith(suffixes)]
    if not store:
        return [str(prepared.path(video)) for video in videos]
    scale = scale_of("raw-store" if store == "raw-store" else "store")
    stored = frame_store.build_store(prepared, scale, videos=videos)
    return [str(stored.path(video)) for video in videos]


def scale_of(source: Literal["originals", "store", "raw-store"]) -> Scale:
    """The paper's scale, reading from that source."""
    from harness.core import registry

    paper: Scale = registry.load("scale", "paper")
    return dataclasses.replace(paper, video_source=source)


def scene(number: int) -> np.ndarray:
    """uint8 (180, 240, 320, 3), RGB: a pan over texture of all sizes, a moving disc, and grain."""
    import cv2

    rng = np.random.default_rng(number)
    wide = np.zeros((3 * HEIGHT, 3 * WIDTH, 3), np.float32)
    for step in (2, 4, 8, 16, 32, 64, 128):
        noise = rng.normal(size=(wide.shape[0] // step + 2, wide.shape[1] // step + 2, 3)).astype(np.float32)
        noise = 0.3 * noise + noise[..., :1]
        wide += step**0.6 * 1.6 * cv2.resize(noise, (wide.shape[1], wide.shape[0]), interpolation=cv2.INTER_CUBIC)
    wide = 120 + wide
    frames = np.empty((FILE_FRAMES, HEIGHT, WIDTH, 3), np.uint8)
    for k in range(FILE_FRAMES):
        angle = k / 40 + number
        top, left = HEIGHT + 60 * np.sin(angle), WIDTH + 90 * np.cos(0.7 * angle)
        frame = cv2.warpAffine(wide, np.array([[1, 0, -left], [0, 1, -top]], np.float32), (WIDTH, HEIGHT))
        center = int(160 + 90 * np.sin(k / 9)), int(120 + 40 * np.cos(k / 7))
        cv2.circle(frame, center, 30, (30.0, 60.0, 200.0), -1)
        frames[k] = np.clip(frame + rng.normal(0, 1.5, frame.shape), 0, 255)
    return frames


def write(path: Path, frames: np.ndarray) -> None:
    """.avi: mpeg4 as DivX files are, at UCF-101's 560 kbit/s; .mp4: h264 by x264's defaults."""
    import av
    import cv2

    xvid = path.suffix == ".avi"
    options = {"g": "12", "b": "560000"} if xvid else {"preset": "medium", "crf": "23"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4" if xvid else "libx264", rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        if xvid:
            stream.codec_context.codec_tag = "XVID"
        for number, rgb in enumerate(frames):
            planes = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
