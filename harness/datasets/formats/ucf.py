"""UCF-101's folders and lists, whose lines end in CRLF.

A line of a training list is ``Class/v_Class_g08_c01.avi 1``, with labels from 1; test lists have no labels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from harness.core.contract import Listing
from harness.core.errors import HarnessError, unknown
from harness.datasets.formats import listing as base

# The archive's own folder first; then other common names.
LISTS, VIDEOS = ("ucfTrainTestlist", "."), ("UCF-101", "UCF101", "videos", ".")
_GROUP = re.compile(r"_(g\d+)_c\d+$")


def read_ucf(root: Path, split: int, *, remedy: str = "") -> Listing:
    """`UCF-101/<Class>/*.avi` and `ucfTrainTestlist/*.txt` -> Listing. Ids are the lists' lines without '.avi'."""
    lists = base.find_folder(root, LISTS, "classInd.txt", remedy, lambda name: name == "classInd.txt")
    classes = class_index(base.read_text(lists / "classInd.txt", remedy), name="classInd.txt")
    videos = base.find_folder(root, VIDEOS, f"the class folder '{classes[0]}'", remedy, classes.__contains__)
    files = base.files_in(videos, base.VIDEO_SUFFIXES)
    listed: list[base.Listed] = []
    faults = base.Faults()
    for subset in ("train", "test"):
        name = f"{subset}list{split:02d}.txt"
        with faults:
            for line in video_list(base.read_text(lists / name, remedy), classes, subset=subset, name=name):
                path = base.below(root, videos, line.path) if line.path in files else None
                listed.append(
                    base.Listed(base.stem_of(line.path), subset, int(line.label or 0), group_of(line.path), path)
                )
    faults.refuse()
    return base.listing_of(root, classes, listed, remedy=remedy)


def class_index(text: str, *, name: str) -> tuple[str, ...]:
    """Class names in the order of `classInd.txt`, whose numbers must run 1, 2, 3, ..."""
    classes: list[str] = []
    for number, line in base.lines_of(text):
        fields = line.split()
        if len(fields) != 2 or fields[0] != str(len(classes) + 1):
            raise base.bad_line(name, number, line, f"'{len(classes) + 1} ClassName'")
        if fields[1] in classes:
            raise base.fault(
                "listed twice", f"{name}, line {number}: class '{fields[1]}' is listed twice. {base.AGAIN}"
            )
        classes.append(fields[1])
    if not classes:
        raise HarnessError(f"{name} names no class. {base.AGAIN}")
    return tuple(classes)


def video_list(text: str, classes: Sequence[str], *, subset: str, name: str) -> tuple[base.Line, ...]:
    """The videos of a train or test list. The label is the folder's: class 37 is `HandstandPushups` in folders and
    `HandStandPushups` in file names. Where the line also has a number, the two must agree."""
    label_of = {cls: label for label, cls in enumerate(classes)}

    def read(number: int, line: str) -> base.Line:
        path, _, label = line.partition(" ")
        folder = base.inside(path, name=name, number=number).split("/")[0]
        if path.count("/") != 1 or (label and not label.strip().isdigit()):
            raise base.bad_line(name, number, line, "'Class/file.avi' or 'Class/file.avi 1'")
        if folder not in label_of:
            raise base.fault("unknown class", f"{name}, line {number}: {unknown('class', folder, classes)}.")
        if label and int(label) != label_of[folder] + 1:
            place = f"its folder is class {label_of[folder] + 1} of classInd.txt. {base.AGAIN}"
            raise base.fault("wrong label", f"{name}, line {number}: '{path}' has label {label.strip()}, but {place}")
        return base.Line(path=path, label=label_of[folder], subset=subset)

    return base.each_line(text, read, name=name)


def group_of(path: str) -> str:
    """'Class/v_Class_g08_c01.avi' -> 'Class/g08': the 25 source videos of a class. Other names are a group each."""
    pure = PurePosixPath(path)
    match = _GROUP.search(pure.stem)
    return f"{pure.parent}/{match.group(1)}" if match else f"{pure.parent}/{pure.stem}"
