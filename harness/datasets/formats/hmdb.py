"""HMDB-51's folders and lists: one list per class and split, a line ``name.avi 1`` (1 train, 2 test, 0 unused).

Lines end in a blank, and file names have odd characters.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from harness.core.contract import Listing
from harness.datasets.formats import listing as base

# The archive's own folder first; then other common names.
LISTS, VIDEOS = ("testTrainMulti_7030_splits", "test_train_splits", "."), ("hmdb51_org", "videos", ".")
FLAGS = {"0": "unused", "1": "train", "2": "test"}
SUFFIX = re.compile(r"_test_split([123])\.txt$")
# What follows movie and class in a file name: visible part, camera motion, people, viewpoint, quality, number.
_TAIL = re.compile(r"_[a-z]_(?:cm|nm)_np\d+_(?:ba|fr|le|ri)_(?:bad|med|goo)_\d+$")


def read_hmdb(root: Path, split: int, *, remedy: str = "") -> Listing:
    """`<class>/*.avi` and `testTrainMulti_7030_splits/<class>_test_splitN.txt` -> Listing.

    Classes in alphabetical order, as there is no index file. Ids are '<class>/<file without .avi>'. Clips with flag 0
    belong to no subset.
    """
    lists = base.find_folder(
        root, LISTS, f"brush_hair_test_split{split}.txt or the like", remedy, lambda name: bool(class_of(name, split))
    )
    files = {cls: path for path in base.visible_entries(lists) if (cls := class_of(path.name, split))}
    classes = tuple(sorted(files))
    videos = base.find_folder(root, VIDEOS, f"the class folder '{classes[0]}'", remedy, files.__contains__)
    present = base.files_in(videos, base.VIDEO_SUFFIXES)
    listed: list[base.Listed] = []
    faults = base.Faults()
    for label, cls in enumerate(classes):
        with faults:
            for line in flagged(base.read_text(files[cls], remedy), name=files[cls].name):
                inner = f"{cls}/{line.path}"
                path = base.below(root, videos, inner) if inner in present else None
                listed.append(base.Listed(base.stem_of(inner), line.subset, label, group_of(cls, inner), path))
    faults.refuse()
    return base.listing_of(root, classes, listed, remedy=remedy)


def class_of(file_name: str, split: int) -> str | None:
    """'climb_stairs_test_split1.txt' -> 'climb_stairs'; None if it is not a list of this split. Class names contain '_'
    and may be prefixes of each other (climb, climb_stairs), so only the suffix decides."""
    match = SUFFIX.search(file_name)
    return file_name[: match.start()] if match and int(match.group(1)) == split else None


def flagged(text: str, *, name: str) -> tuple[base.Line, ...]:
    """The videos of one class in one split; those with flag 0 have subset 'unused'."""

    def read(number: int, line: str) -> base.Line:
        path, _, flag = line.rpartition(" ")
        path = path.strip()
        if not path or flag not in FLAGS:
            raise base.bad_line(name, number, line, "'file.avi 0', 1 (train) or 2 (test)")
        if "/" in base.inside(path, name=name, number=number):
            raise base.bad_line(name, number, line, "a file name without a folder")
        return base.Line(path=path, label=None, subset=FLAGS[flag])

    return base.each_line(text, read, name=name)


def group_of(cls: str, path: str) -> str:
    """('kick', 'The_Matrix_3_kick_f_cm_np1_fr_med_5.avi') -> 'kick/The_Matrix_3': the movie that the clip was cut from.

    The official splits keep the clips of a movie on one side within a class; a movie also gives clips to other classes,
    and those are not kept together.
    """
    stem = PurePosixPath(path).stem
    return f"{cls}/{_TAIL.sub('', stem).removesuffix(f'_{cls}')}"
