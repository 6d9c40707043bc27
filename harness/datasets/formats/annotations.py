"""The official annotation files, as text -> values. Nothing here touches the disk.

====================  ==================================================  ==========================================
data set              a line                                              what goes wrong
====================  ==================================================  ==========================================
UCF-101 train list    ``Class/v_Class_g08_c01.avi 1``                     CRLF; labels count from 1
UCF-101 test list     ``Class/v_Class_g01_c01.avi``                       no label: it is the folder's
HMDB-51               ``name.avi 1``                                      trailing space; odd characters in names;
                                                                          1 train, 2 test, 0 unused
Kinetics              ``label,youtube_id,time_start,time_end,split``      quoted labels; a further ``is_cc``; test files
                                                                          without ``label``; 'val' or 'validate'
====================  ==================================================  ==========================================

Every parser takes ``name``, the file's name, for its errors: BadLists, with every line that is wrong and its number.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from harness.core.errors import BadLists, Fault, HarnessError, unknown

AGAIN = "Fetch the official lists again."
HMDB_FLAGS = {"0": "unused", "1": "train", "2": "test"}
KINETICS_COLUMNS = "the columns label,youtube_id,time_start,time_end,split, times in seconds"
HMDB_SUFFIX = re.compile(r"_test_split([123])\.txt$")

_UCF_GROUP = re.compile(r"_(g\d+)_c\d+$")
# What follows movie and class in an HMDB-51 name: visible part, camera motion, people, viewpoint, quality, number.
_HMDB_TAIL = re.compile(r"_[a-z]_(?:cm|nm)_np\d+_(?:ba|fr|le|ri)_(?:bad|med|goo)_\d+$")


@dataclass(frozen=True)
class Line:
    """One listed video of UCF-101 or HMDB-51."""

    path: str
    """As listed: 'Class/file.avi' (UCF-101) or 'file.avi' (HMDB-51)."""
    label: int | None
    """0-based class of a UCF-101 line; None for HMDB-51, whose class is the file's that lists it."""
    subset: str
    """'train', 'test' or 'unused'."""


@dataclass(frozen=True)
class KineticsRow:
    """One line of a Kinetics CSV."""

    label: str | None
    """None where the file has no labels (the test list as it was first published)."""
    youtube_id: str
    start_s: int
    end_s: int
    split: str
    """'train', 'val' or 'test'; '' where the file does not say."""

    @property
    def stem(self) -> str:
        """Name of the clip's file without its suffix, as every crawler writes it."""
        return f"{self.youtube_id}_{self.start_s:06d}_{self.end_s:06d}"


# ------------------------------------------------------------------------------------------------- UCF-101


def ucf_classes(text: str, *, name: str) -> tuple[str, ...]:
    """Class names in the order of `classInd.txt`, whose numbers must run 1, 2, 3, ..."""
    classes: list[str] = []
    for number, line in _lines(text):
        fields = line.split()
        if len(fields) != 2 or fields[0] != str(len(classes) + 1):
            raise _bad(name, number, line, f"'{len(classes) + 1} ClassName'")
        if fields[1] in classes:
            raise _fault("listed twice", f"{name}, line {number}: class '{fields[1]}' is listed twice. {AGAIN}")
        classes.append(fields[1])
    if not classes:
        raise HarnessError(f"{name} names no class. {AGAIN}")
    return tuple(classes)


def ucf_list(text: str, classes: Sequence[str], *, subset: str, name: str) -> tuple[Line, ...]:
    """The videos of a train or test list. The label is the folder's: class 37 is `HandstandPushups` in folders and
    `HandStandPushups` in file names. Where the line also has a number, the two must agree."""
    label_of = {cls: label for label, cls in enumerate(classes)}

    def read(number: int, line: str) -> Line:
        path, _, said = line.partition(" ")
        folder = inside(path, name=name, number=number).split("/")[0]
        if path.count("/") != 1 or (said and not said.strip().isdigit()):
            raise _bad(name, number, line, "'Class/file.avi' or 'Class/file.avi 1'")
        if folder not in label_of:
            raise _fault("unknown class", f"{name}, line {number}: {unknown('class', folder, classes)}.")
        if said and int(said) != label_of[folder] + 1:
            raise _fault(
                "wrong label",
                f"{name}, line {number}: '{path}' has label {said.strip()}, but its folder is class "
                f"{label_of[folder] + 1} of classInd.txt. {AGAIN}",
            )
        return Line(path=path, label=label_of[folder], subset=subset)

    return _each(text, read, name=name)


def ucf_group(path: str) -> str:
    """'Class/v_Class_g08_c01.avi' -> 'Class/g08': the 25 source videos of a class. Other names are a group each."""
    pure = PurePosixPath(path)
    found = _UCF_GROUP.search(pure.stem)
    return f"{pure.parent}/{found.group(1)}" if found else f"{pure.parent}/{pure.stem}"


# ------------------------------------------------------------------------------------------------- HMDB-51


def hmdb_class(file_name: str, split: int) -> str | None:
    """'climb_stairs_test_split1.txt' -> 'climb_stairs'; None if it is not a list of this split. Class names contain '_'
    and begin with one another (climb, climb_stairs), so only the suffix tells."""
    found = HMDB_SUFFIX.search(file_name)
    return file_name[: found.start()] if found and int(found.group(1)) == split else None


def hmdb_flags(text: str, *, name: str) -> tuple[Line, ...]:
    """The videos of one class in one split; those with flag 0 have subset 'unused'."""

    def read(number: int, line: str) -> Line:
        path, _, flag = line.rpartition(" ")
        path = path.strip()
        if not path or flag not in HMDB_FLAGS:
            raise _bad(name, number, line, "'file.avi 0', 1 (train) or 2 (test)")
        if "/" in inside(path, name=name, number=number):
            raise _bad(name, number, line, "a file name without a folder")
        return Line(path=path, label=None, subset=HMDB_FLAGS[flag])

    return _each(text, read, name=name)


def hmdb_group(cls: str, path: str) -> str:
    """('kick', 'The_Matrix_3_kick_f_cm_np1_fr_med_5.avi') -> 'kick/The_Matrix_3': the movie that the clip was cut from.

    The official splits keep the clips of a movie on one side within a class; a movie also gives clips to other classes,
    and those are not kept together.
    """
    stem = PurePosixPath(path).stem
    return f"{cls}/{_HMDB_TAIL.sub('', stem).removesuffix(f'_{cls}')}"


# ------------------------------------------------------------------------------------------------ Kinetics


def kinetics_csv(text: str, *, name: str) -> tuple[KineticsRow, ...]:
    """Rows of a Kinetics CSV: columns by their header, or the usual order where there is none."""
    reader = csv.reader(text.removeprefix("\ufeff").splitlines())
    columns: list[str] | None = None
    rows: list[KineticsRow] = []
    seen: dict[str, int] = {}
    faults: list[Fault] = []
    for fields in reader:
        if not any(field.strip() for field in fields):
            continue
        if columns is None:
            columns = _kinetics_columns(fields, name)
            if "youtube_id" in fields:
                continue
        try:
            row = _kinetics_row(dict(zip(columns, fields, strict=False)), reader.line_num, name)
            if row.stem in seen:
                what = f"{name}, line {reader.line_num}: '{row.stem}' is on line {seen[row.stem]} already."
                raise _fault("listed twice", what)
        except BadLists as bad:
            faults += bad.faults
            continue
        seen[row.stem] = reader.line_num
        rows.append(row)
    if faults:
        raise BadLists(faults)
    if not rows:
        raise HarnessError(f"{name} lists no video. Fetch it again.")
    return tuple(rows)


def _kinetics_columns(first: list[str], name: str) -> list[str]:
    if "youtube_id" in first:
        absent = {"time_start", "time_end"} - set(first)
        if absent:
            raise HarnessError(f"{name} has no column {sorted(absent)[0]}. {KINETICS_COLUMNS}")
        return [column.strip() for column in first]
    usual = ["label", "youtube_id", "time_start", "time_end", "split", "is_cc"]
    if len(first) < 4:
        raise _bad(name, 1, ",".join(first), KINETICS_COLUMNS)
    return usual[1:] if len(first) == 4 else usual


def _kinetics_row(said: dict[str, str], number: int, name: str) -> KineticsRow:
    try:
        start_s, end_s = int(float(said["time_start"])), int(float(said["time_end"]))
        youtube_id = said["youtube_id"].strip()
    except (KeyError, ValueError, OverflowError) as cause:
        raise _bad(name, number, ",".join(said.values()), KINETICS_COLUMNS) from cause
    if not youtube_id or "/" in youtube_id or "\\" in youtube_id or not 0 <= start_s <= end_s:
        raise _bad(name, number, ",".join(said.values()), "a YouTube id and 0 <= time_start <= time_end")
    label = said.get("label", "").strip()
    if label:
        inside(label, name=name, number=number)
    split = {"validate": "val", "validation": "val"}.get(said.get("split", "").strip(), said.get("split", "").strip())
    return KineticsRow(label=label or None, youtube_id=youtube_id, start_s=start_s, end_s=end_s, split=split)


# -------------------------------------------------------------------------------------------------- shared


def inside(path: str, *, name: str, number: int) -> str:
    """The path itself, if it stays below the root. Raises BadLists for '..', an absolute path or a NUL."""
    parts = path.replace("\\", "/").split("/")
    if not path or ".." in parts or parts[0] == "" or re.match(r"^[A-Za-z]:$", parts[0]) or "\0" in path:
        raise _fault(
            "leaves the root", f"{name}, line {number}: '{path}' leaves the data set's folder; refused. {AGAIN}"
        )
    return path


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """(number from 1, line without blanks at its ends), empty lines left out."""
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        if line.strip():
            yield number, line.strip()


def _each(text: str, read: Callable[[int, str], Line], *, name: str) -> tuple[Line, ...]:
    """`read(number, line)` for every line, and every fault at once; a path may be listed only once."""
    listed: dict[str, Line] = {}
    faults: list[Fault] = []
    for number, text_line in _lines(text):
        try:
            line = read(number, text_line)
        except BadLists as bad:
            faults += bad.faults
            continue
        if line.path in listed:
            faults.append(Fault("listed twice", f"{name}, line {number}: '{line.path}' is listed twice. {AGAIN}"))
        listed[line.path] = line
    if faults:
        raise BadLists(faults)
    return tuple(listed.values())


def _bad(name: str, number: int, line: str, expected: str) -> BadLists:
    return _fault("unreadable line", f"{name}, line {number}: expected {expected}, got '{line[:120]}'. {AGAIN}")


def _fault(kind: str, text: str) -> BadLists:
    return BadLists([Fault(kind, text)])
