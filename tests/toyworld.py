"""Renders the toy data sets of tests/toys: micro-world clips, real files, official layouts, seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.datasets.synthetic.catalogue import WORLDS, ClipSpec, ImageSpec

ACTIONS = ("open", "close", "approach", "recede")
SOURCE_SIZES = {"train": 16, "test": 10}
MOVIES, CLIPS, TESTED = 8, 2, 5
STILLS = ("ball", "star", "park")

Progress = Callable[[int, int], None] | None


def render_source(root: Path, progress: Progress = None) -> None:
    """Kinetics' layout."""
    for subset, size in SOURCE_SIZES.items():
        lines = ["label,youtube_id,time_start,time_end,split"]
        for action in ACTIONS:
            label = WORLDS["park"].classes[action]
            for number in range(size):
                name = f"{action[:2]}{subset[:2]}{number:07d}"
                _video(root / label / f"{name}_000001_000002.mp4", ClipSpec("park", action, f"{subset}-{number}", "0"))
                lines.append(f'"{label}",{name},1,2,{subset}')
        (root / f"{subset}.csv").write_text("\n".join(lines) + "\n")


def render_target(root: Path, progress: Progress = None) -> None:
    """HMDB-51's layout, three splits."""
    for action in ACTIONS:
        label = WORLDS["film"].classes[action]
        flags: dict[int, list[str]] = {1: [], 2: [], 3: []}
        for movie in range(MOVIES):
            for clip in range(CLIPS):
                name = f"Movie{movie:02d}_{label}_f_cm_np1_fr_med_{clip}.avi"
                _video(root / label / name, ClipSpec("film", action, str(movie), str(clip)))
                for split, lines in flags.items():
                    lines.append(f"{name} {2 if (movie + split) % MOVIES < TESTED else 1} ")
        for split, lines in flags.items():
            path = root / "testTrainMulti_7030_splits" / f"{label}_test_split{split}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text("\n".join(lines) + "\n")


def render_stills(root: Path, progress: Progress = None) -> None:
    """ImageNet's layout."""
    from harness.datasets.synthetic.scene import image_of
    from harness.video.encode import write_image

    for subset, numbers in {"train": range(16), "val": range(100, 108)}.items():
        for what in STILLS:
            for number in numbers:
                path = root / subset / what / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_image(path, image_of(ImageSpec(what, number)))


def _video(path: Path, spec: ClipSpec) -> None:
    # Imported here: cards, which name these functions, must load without OpenCV.
    from harness.datasets.synthetic.scene import frames_of
    from harness.video.encode import write_video

    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, frames_of(spec), codec="h264" if path.suffix == ".mp4" else "mpeg4")
