"""Lists of one's own videos, as text -> values. Nothing here touches the disk.

==========================  ===========================================  ============================================
list                        a line                                       what goes wrong
==========================  ===========================================  ============================================
CSV with a header           ``path,label`` and perhaps ``split``         columns under other names; labels are names
mmaction2, videos           ``some/clip.mp4 3``                          names with spaces; labels count from 0
mmaction2, frames           ``some/folder 300 3``                        frames, not videos: refused
SlowFast                    ``some/clip.mp4 3`` or ``some/clip.mp4,3``   called .csv, has no header, often no commas
==========================  ===========================================  ============================================
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from harness.core.errors import BadLists, Fault

COLUMNS = {
    "path": ("path", "video", "video_path", "file", "filename", "file_name", "name"),
    "label": ("label", "class", "class_name", "action", "target"),
    "subset": ("split", "subset", "set", "partition"),
}
SUBSET_WORDS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validate": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test", "eval": "test",
}  # fmt: skip
EXPECTED = "'path label', 'path,label', or columns under a header with path and label"


@dataclass(frozen=True)
class UserLine:
    """One video of a list."""

    path: str
    """As listed; not yet checked against any root."""
    label: str
    """A class name, or a number that counts from 0."""
    subset: str
    """'train', 'val' or 'test'; '' where the line does not say."""
    number: int
    """Of the line, from 1."""


def subset_of_name(file_name: str) -> str:
    """'kinetics_train_list_videos.txt', 'trainlist01.txt', 'val.csv' -> 'train', 'train', 'val'; '' if it says none."""
    words = re.findall(r"[a-z]+", PurePosixPath(file_name).stem.lower())
    said = {SUBSET_WORDS[word.removesuffix("list")] for word in words if word.removesuffix("list") in SUBSET_WORDS}
    return said.pop() if len(said) == 1 else ""


def user_list(text: str, *, name: str) -> tuple[UserLine, ...]:
    """The lines of a list in any of the forms above. Raises BadLists with every line that is wrong."""
    lines = [(number, line) for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1) if line.strip()]
    if not lines:
        raise BadLists([Fault("unreadable line", f"{name} lists no video.")])
    header = _header(lines[0][1])
    faults: list[Fault] = []
    found: list[UserLine] = []
    for number, line in lines[1:] if header else lines:
        try:
            found.append(_by_header(line, header, number, name) if header else _plain(line, number, name))
        except BadLists as bad:
            faults += bad.faults
    if faults:
        raise BadLists(faults)
    if not found:
        raise BadLists([Fault("unreadable line", f"{name} has a header and no video.")])
    return tuple(found)


def class_names(text: str) -> tuple[str, ...]:
    """One name a line; a number before it ('0 archery') is left out where every line has its own."""
    lines = [line.strip() for line in text.removeprefix("\ufeff").splitlines() if line.strip()]
    for first in (0, 1):
        if all(line.split(maxsplit=1)[0] == str(i) and " " in line for i, line in enumerate(lines, first)):
            return tuple(line.split(maxsplit=1)[1] for line in lines)
    return tuple(lines)


def _header(line: str) -> dict[str, int] | None:
    """What a column holds -> its place, if the line is a header."""
    fields = [field.strip().lower() for field in next(csv.reader([line]))]
    places = {what: fields.index(name) for what, names in COLUMNS.items() for name in names[::-1] if name in fields}
    return places if {"path", "label"} <= set(places) else None


def _by_header(line: str, header: dict[str, int], number: int, name: str) -> UserLine:
    fields = [field.strip() for field in next(csv.reader([line]))]
    if len(fields) <= max(header.values()):
        raise _bad(name, number, line, f"{max(header.values()) + 1} columns, as the header has")
    said = fields[header["subset"]].lower() if "subset" in header else ""
    if said and said not in SUBSET_WORDS:
        raise _bad(name, number, line, f"train, val or test where '{said}' stands")
    return _line(fields[header["path"]], fields[header["label"]], SUBSET_WORDS.get(said, ""), number, name, line)


def _plain(line: str, number: int, name: str) -> UserLine:
    """The label is what follows the last comma or blank; a path may have blanks."""
    before, comma, label = line.strip().rpartition("," if "," in line else " ")
    if not comma or not before.strip():
        raise _bad(name, number, line, EXPECTED)
    words = before.split()
    if len(words) > 1 and words[-1].isdigit() and label.strip().isdigit() and not PurePosixPath(words[-2]).suffix:
        raise _bad(name, number, line, f"{EXPECTED}; a list of folders of frames cannot be read, name the videos")
    return _line(before.strip(), label.strip(), "", number, name, line)


def _line(path: str, label: str, subset: str, number: int, name: str, line: str) -> UserLine:
    if not path or not label:
        raise _bad(name, number, line, EXPECTED)
    return UserLine(path, label, subset, number)


def _bad(name: str, number: int, line: str, expected: str) -> BadLists:
    return BadLists([Fault("unreadable line", f"{name}, line {number}: expected {expected}, got '{line[:120]}'.")])


def numbered(labels: Sequence[str]) -> bool:
    """Whether labels are numbers, not names."""
    return all(label.isdigit() for label in labels)
