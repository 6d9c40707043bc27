"""A data set: 60 videos of a bright square that moves up or down. (Not left or right: training mirrors half of the clips.)

The videos are rendered when they are first used, which is why the harness treats the data set as a micro data set. For a
data set that has to be downloaded, leave out `render`, and let `download` name the source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from harness import Dataset
from harness.datasets.formats import read_custom

CLASSES = ("down", "up")
VIDEOS = {"train": 10, "test": 20}
"""Subset -> videos per class."""
FRAMES, HEIGHT_PX, WIDTH_PX, SQUARE_PX, STEP_PX = 12, 64, 80, 16, 4


def paths() -> Iterator[tuple[str, str, int]]:
    """(path below the root, class, number that decides where the square starts) of every video."""
    for subset, count in VIDEOS.items():
        for cls in CLASSES:
            for number in range(count):
                yield f"{subset}/{cls}/{number:02d}.avi", cls, number + 100 * (subset == "test")


def render(root: Path, progress: Callable[[int, int], None] | None = None) -> None:
    """Writes all videos below `root`: the same files on every machine."""
    import numpy as np  # imported here, so that the card loads quickly

    from harness.video.encode import write_video

    for path, cls, number in paths():
        rng = np.random.default_rng(number)
        travel = STEP_PX * (FRAMES - 1)
        highest, left = rng.integers(HEIGHT_PX - SQUARE_PX - travel + 1), rng.integers(WIDTH_PX - SQUARE_PX + 1)
        frames = np.full((FRAMES, HEIGHT_PX, WIDTH_PX, 3), 40, np.uint8)
        for time, frame in enumerate(frames):
            top = highest + STEP_PX * (time if cls == "down" else FRAMES - 1 - time)
            frame[top : top + SQUARE_PX, left : left + SQUARE_PX] = 220
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        write_video(root / path, frames, codec="mpeg4")


DATASET = Dataset(
    name="moving-square",
    title="Moving square",
    kind="video",
    num_classes=len(CLASSES),
    splits=(1,),
    subsets=("test",),
    counts={(1, subset): len(CLASSES) * count for subset, count in VIDEOS.items()},
    read=partial(read_custom, remedy="`harness data prepare moving-square` renders the videos."),
    layout="train/<class>/*.avi\ntest/<class>/*.avi",
    download="none needed: rendered on first use",
    licence="the same as this program",
    render=render,
)
