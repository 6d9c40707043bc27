"""UCF-101's folders and lists.

==========================  ==========================================  ==================
list                        a line                                      what goes wrong
==========================  ==========================================  ==================
train                       ``Class/v_Class_g08_c01.avi 1``             CRLF; labels count from 1
test                        ``Class/v_Class_g01_c01.avi``               no label: it is the folder's
==========================  ==========================================  ==================
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from harness.core.contract import Listing
from harness.core.errors import HarnessError, unknown
from harness.datasets.formats.listing import (
    AGAIN,
    VIDEO_SUFFIXES,
    Faults,
    Line,
    Listed,
    bad_line,
    below,
    each_line,
    fault,
    files_in,
    find_folder,
    inside,
    lines_of,
    listing_of,
    read_text,
    stem_of,
)

# The archive's own folder first; then other common names.
LISTS, VIDEOS = ("ucfTrainTestlist", "."), ("UCF-101", "UCF101", "videos", ".")
_GROUP = re.compile(r"_(g\d+)_c\d+$")


def read_ucf(root: Path, split: int, *, remedy: str = "") -> Listing:
    """`UCF-101/<Class>/*.avi` and `ucfTrainTestlist/*.txt` -> Listing. Ids are the lists' lines without '.avi'."""
    lists = find_folder(root, LISTS, "classInd.txt", remedy, lambda name: name == "classInd.txt")
    classes = class_index(read_text(lists / "classInd.txt", remedy), name="classInd.txt")
    videos = find_folder(root, VIDEOS, f"the class folder '{classes[0]}'", remedy, classes.__contains__)
    files = files_in(videos, VIDEO_SUFFIXES)
    listed: list[Listed] = []
    faults = Faults()
    for subset in ("train", "test"):
        name = f"{subset}list{split:02d}.txt"
        with faults:
            for line in video_list(read_text(lists / name, remedy), classes, subset=subset, name=name):
                path = below(root, videos, line.path) if line.path in files else None
                listed.append(Listed(stem_of(line.path), subset, int(line.label or 0), group_of(line.path), path))
    faults.refuse()
    return listing_of(root, classes, listed, remedy=remedy)


def class_index(text: str, *, name: str) -> tuple[str, ...]:
    """Class names in the order of `classInd.txt`, whose numbers must run 1, 2, 3, ..."""
    classes: list[str] = []
    for number, line in lines_of(text):
        fields = line.split()
        if len(fields) != 2 or fields[0] != str(len(classes) + 1):
            raise bad_line(name, number, line, f"'{len(classes) + 1} ClassName'")
        if fields[1] in classes:
            raise fault("listed twice", f"{name}, line {number}: class '{fields[1]}' is listed twice. {AGAIN}")
        classes.append(fields[1])
    if not classes:
        raise HarnessError(f"{name} names no class. {AGAIN}")
    return tuple(classes)


def video_list(text: str, classes: Sequence[str], *, subset: str, name: str) -> tuple[Line, ...]:
    """The videos of a train or test list. The label is the folder's: class 37 is `HandstandPushups` in folders and
    `HandStandPushups` in file names. Where the line also has a number, the two must agree."""
    label_of = {cls: label for label, cls in enumerate(classes)}

    def read(number: int, line: str) -> Line:
        path, _, label = line.partition(" ")
        folder = inside(path, name=name, number=number).split("/")[0]
        if path.count("/") != 1 or (label and not label.strip().isdigit()):
            raise bad_line(name, number, line, "'Class/file.avi' or 'Class/file.avi 1'")
        if folder not in label_of:
            raise fault("unknown class", f"{name}, line {number}: {unknown('class', folder, classes)}.")
        if label and int(label) != label_of[folder] + 1:
            place = f"its folder is class {label_of[folder] + 1} of classInd.txt. {AGAIN}"
            raise fault("wrong label", f"{name}, line {number}: '{path}' has label {label.strip()}, but {place}")
        return Line(path=path, label=label_of[folder], subset=subset)

    return each_line(text, read, name=name)


def group_of(path: str) -> str:
    """'Class/v_Class_g08_c01.avi' -> 'Class/g08': the 25 source videos of a class. Other names are a group each."""
    pure = PurePosixPath(path)
    match = _GROUP.search(pure.stem)
    return f"{pure.parent}/{match.group(1)}" if match else f"{pure.parent}/{pure.stem}"
