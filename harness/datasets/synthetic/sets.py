"""Contents of the micro data sets: video and image files, and annotation files, in the official layouts.

Plain values and text, so that cards can count without loading the renderer. The cards describe splits and layouts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness.datasets.synthetic.catalogue import ACTIONS, FILM, HALL, PARK, WORLDS, ClipSpec, ImageSpec

VERSION = 3
"""Raised when the content of any file changes; folders of another version are rendered again."""

KINETICS_SIZES = {"train": 40, "val": 10, "test": 20}
UCF_GROUPS, UCF_CLIPS, UCF_TESTED = 12, 5, 4
HMDB_CLIPS, HMDB_TESTED = 4, 5
HMDB_TRAINED = (2, 1, 1, 1)
"""Training clips from each movie that a split does not test."""
IMAGE_SIZES = {"train": 60, "val": 20}
SPLITS = (1, 2, 3)

# As odd as the official names: a reader that globs, splits at '_' or passes them to a shell fails.
MOVIES = (
    "Movie01_Night_Train_(Part_2)",
    "Movie02_[NEW]_Rooftop",
    "Movie03_Ask_Me!___;-)",
    "Movie04_salt&pepper",
    "Movie05_Room#9",
    "Movie06_Two+Two@Noon",
    "Movie07_~quiet~",
    "Movie08_Mr._Late",
    "Movie09_turn_the_page",
)


@dataclass(frozen=True)
class Contents:
    """Everything below the root of a micro data set."""

    files: Mapping[str, ClipSpec | ImageSpec]
    """Path -> the clip or image in it."""
    texts: Mapping[str, str]
    """Path -> the annotation file, with its line ends."""


def image_classes() -> tuple[str, ...]:
    """The objects of all worlds, their kinds of actors and of scenery, in alphabetical order."""
    worlds = WORLDS.values()
    shapes = [shape for world in worlds for shape in world.shapes]
    return tuple(sorted([*shapes, *(world.body for world in worlds), *(world.scenery for world in worlds)]))


def contents(name: str) -> Contents:
    """Contents of `micro-kinetics`, `micro-ucf101`, `micro-hmdb51` or `micro-imagenet`."""
    return _SETS[name]()


def _micro_kinetics() -> Contents:
    files: dict[str, ClipSpec | ImageSpec] = {}
    texts: dict[str, str] = {}
    for subset, size in KINETICS_SIZES.items():
        lines = ["label,youtube_id,time_start,time_end,split"]
        for action in ACTIONS:
            label = PARK.classes[action]
            for number in range(size):
                youtube_id, start_s = _youtube(subset, action, number)
                path = f"{label}/{youtube_id}_{start_s:06d}_{start_s + 1:06d}.mp4"
                files[path] = ClipSpec("park", action, group=f"{subset}-{number}", clip="0")
                quoted = f'"{label}"' if " " in label else label
                lines.append(f"{quoted},{youtube_id},{start_s},{start_s + 1},{subset}")
        texts[f"{subset}.csv"] = "\n".join(lines) + "\n"
    return Contents(files, texts)


def _youtube(*name: object) -> tuple[str, int]:
    """An id of 11 characters such as YouTube's, which may begin with '-' or '_', and a start in seconds."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    digest = hashlib.sha256("/".join(map(str, name)).encode()).digest()
    return "".join(letters[byte % 64] for byte in digest[:11]), digest[11] + 1


def _micro_ucf101() -> Contents:
    files: dict[str, ClipSpec | ImageSpec] = {}
    texts = {"classInd.txt": [f"{n} {cls}" for n, cls in enumerate(sorted(HALL.classes.values()), start=1)]}
    number_of = {line.split()[1]: line.split()[0] for line in texts["classInd.txt"]}
    for split in SPLITS:
        texts[f"trainlist{split:02d}.txt"], texts[f"testlist{split:02d}.txt"] = [], []
    for cls, action in sorted((cls, action) for action, cls in HALL.classes.items()):
        for group in range(UCF_GROUPS):
            for clip in range(UCF_CLIPS):
                path = f"{cls}/v_{cls}_g{group + 1:02d}_c{clip + 1:02d}.avi"
                files[f"UCF-101/{path}"] = ClipSpec("hall", action, group=str(group), clip=str(clip))
                for split in SPLITS:
                    if group // UCF_TESTED == split - 1:
                        texts[f"testlist{split:02d}.txt"].append(path)
                    else:
                        texts[f"trainlist{split:02d}.txt"].append(f"{path} {number_of[cls]}")
    crlf = {f"ucfTrainTestlist/{name}": "".join(f"{line}\r\n" for line in lines) for name, lines in texts.items()}
    return Contents(files, crlf)


def _micro_hmdb51() -> Contents:
    files: dict[str, ClipSpec | ImageSpec] = {}
    lines: dict[str, list[str]] = {}
    for action in ACTIONS:
        cls = FILM.classes[action]
        for movie, title in enumerate(MOVIES):
            for clip in range(HMDB_CLIPS):
                name = f"{title}_{cls}_f_cm_np1_fr_{('bad', 'med', 'goo')[movie % 3]}_{clip}.avi"
                files[f"{cls}/{name}"] = ClipSpec("film", action, group=str(movie), clip=str(clip))
                for split in SPLITS:
                    lines.setdefault(f"{cls}_test_split{split}", []).append(f"{name} {_hmdb_flag(split, movie, clip)} ")
    texts = {f"testTrainMulti_7030_splits/{name}.txt": "\n".join(part) + "\n" for name, part in lines.items()}
    return Contents(files, texts)


def _hmdb_flag(split: int, movie: int, clip: int) -> int:
    """1 train, 2 test, 0 unused. A movie is on one side of a split in all classes; test sets overlap, as the official ones."""
    turn = (movie - 3 * (split - 1)) % len(MOVIES)
    if turn < HMDB_TESTED:
        return 2
    return int(clip < HMDB_TRAINED[turn - HMDB_TESTED])


def _micro_imagenet() -> Contents:
    files: dict[str, ClipSpec | ImageSpec] = {}
    for cls in image_classes():
        for number in range(sum(IMAGE_SIZES.values())):
            trained = number < IMAGE_SIZES["train"]
            path = f"train/{cls}/{cls}_{number:04d}.jpg" if trained else f"val/{cls}/{cls}_{number:04d}.png"
            files[path] = ImageSpec(cls, number)
    return Contents(files, {})


_SETS: dict[str, Callable[[], Contents]] = {
    "micro-kinetics": _micro_kinetics,
    "micro-ucf101": _micro_ucf101,
    "micro-hmdb51": _micro_hmdb51,
    "micro-imagenet": _micro_imagenet,
}
