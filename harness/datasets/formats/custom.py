"""A folder of the user's own videos: class folders below train/ and test/ (or val/), or lists.

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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.core.contract import Listing
from harness.core.errors import BadLists, HarnessError, unknown
from harness.datasets.formats import listing as base

LIST_SUFFIXES = (".csv", ".txt")
CLASS_FILES = ("classes.txt", "labels.txt", "label_map.txt", "class_names.txt")
LIST_FOLDERS = (".", "annotations", "lists")
EXPECTED = "train/ and test/ (or val/) with one folder per class, or lists such as train.csv and test.csv"
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
CORRECT_LIST = "Correct the list."
CORRECT_FOLDERS = "Rename, add or remove files or class folders, and try again."
LINE = "'path label', 'path,label', or columns under a header with path and label"


def read_custom(root: Path, split: int, *, list_file: str = "", remedy: str = "") -> Listing:
    """`train/<class>/*` and `test/<class>/*`, or lists -> Listing. Ids are paths below the root without suffix.

    Lists are `.csv` and `.txt` files in the root or in `annotations/` whose names contain a subset, or the only `.csv`,
    with a column `split`; `list_file`, a path below the root, replaces them. Labels are class names, in alphabetical
    order, or numbers from 0, with names in `classes.txt` if there is one. Absolute paths must be below the root. Raises
    DataMissing where there is neither, BadLists for lists that contradict themselves.
    """
    if not root.is_dir():
        raise base.absent(root, EXPECTED, remedy)
    if list_file:
        advice = (
            f"A list that is named alone needs a column 'split'. To use train.csv and test.csv: --dataset folder:{root}"
        )
        return _from_lists(root, {"": root / list_file}, remedy, advice)
    if lists := _lists(root):
        return _from_lists(root, lists, remedy, "Call the lists train.csv and test.csv, or add a column 'split'.")
    return _from_folders(root, remedy)


def _from_folders(root: Path, remedy: str) -> Listing:
    videos = base.files_in(root, base.VIDEO_SUFFIXES)
    folders: dict[str, str] = {}
    for entry in _folders_in(root):
        subset = SUBSET_WORDS.get(entry.lower(), "")
        if subset in folders:
            raise HarnessError(f"'{root}' has '{folders[subset]}' and '{entry}', which mean the same; keep one")
        if subset:
            folders[subset] = entry
    if not folders:
        raise base.absent(root, EXPECTED, _how_to_split(videos) or remedy)
    if "train" not in folders or len(folders) < 2:
        raise base.absent(root, EXPECTED, remedy)
    classes = _folders_in(root / folders["train"])
    listed: list[base.Listed] = []
    faults = base.Faults()
    for subset, folder in folders.items():
        for path in sorted(path for path in videos if path.startswith(f"{folder}/") and path.count("/") > 1):
            cls = path.split("/")[1]
            if cls not in classes:
                message = f"'{path}' below '{root}': {unknown('class', cls, classes)}."
                faults.add("unknown class", f"{message} Classes are the folders of '{folders['train']}'.")
            else:
                listed.append(base.Listed(base.stem_of(path), subset, classes.index(cls), "", path))
    faults.refuse()
    if not listed:
        raise base.absent(root, "a video in the class folders", remedy)
    return base.listing_of(root, classes, listed, remedy=remedy, advice=CORRECT_FOLDERS)


def _how_to_split(videos: set[str]) -> str:
    """Advice for a folder with videos and no subset; '' without a video."""
    if not videos:
        return ""
    return (
        f"It has {len(videos)} videos and no division into training and test videos. Move them to train/<class>/ and "
        "test/<class>/, or write a list videos.csv with the columns path,label,split (split: train or test). Videos cut from "
        "the same recording must be on the same side. docs/tutorials/your-videos.md has a script that writes such a list from class folders."
    )


def _folders_in(folder: Path) -> list[str]:
    return [path.name for path in base.visible_entries(folder) if path.is_dir()]


def _lists(root: Path) -> dict[str, Path]:
    """Subset -> its list; '' -> the only list, with subsets in a column; {} where there are no lists."""
    files = [
        path
        for folder in LIST_FOLDERS
        if (root / folder).is_dir()
        for path in base.visible_entries(root / folder)
        if path.suffix.lower() in LIST_SUFFIXES and path.name.lower() not in CLASS_FILES and path.is_file()
    ]
    by_subset: dict[str, Path] = {}
    for path in files:
        if subset := subset_of_name(path.name):
            if subset in by_subset:
                raise HarnessError(
                    f"'{root}' has two lists of {subset} videos, '{by_subset[subset].name}' and '{path.name}'; keep one, or "
                    "name one list with a column 'split': --dataset folder:/path/to/list.csv"
                )
            by_subset[subset] = path
    tables = [path for path in files if path.suffix.lower() == ".csv"]
    if by_subset:
        return {subset: by_subset[subset] for subset in base.SUBSETS if subset in by_subset}
    return {"": tables[0]} if len(tables) == 1 else {}


def _from_lists(root: Path, lists: Mapping[str, Path], remedy: str, no_subset: str) -> Listing:
    """`no_subset` is the advice for lists that give no subset."""
    faults = base.Faults()
    lines: list[tuple[str, UserLine, Path]] = []
    for subset, path in lists.items():
        with faults:
            text = base.read_text(path, remedy, advice=CORRECT_LIST)
            lines += [(line.subset or subset, line, path) for line in user_list(text, name=path.name)]
    if not faults and not all(subset for subset, _, _ in lines):
        _, line, path = next(item for item in lines if not item[0])
        faults.add("unreadable line", f"{path.name}, line {line.number}: the subset is not given. {no_subset}")
    faults.refuse()
    if {subset for subset, _, _ in lines} in ({"train"}, {"test"}, {"val"}):
        raise base.absent(root, "lists of training and of test (or val) videos", remedy)
    classes = _classes(root, [line.label for subset, line, _ in lines if subset == "train"], lines)
    # A list may name hidden files: they were chosen on purpose.
    videos = base.files_in(root, base.VIDEO_SUFFIXES, hidden=True)
    listed = _listed(root, lines, classes, videos)
    return base.listing_of(root, classes, listed, remedy=remedy, advice=CORRECT_LIST)


def _classes(root: Path, trained: Sequence[str], lines: Sequence[tuple[str, UserLine, Path]]) -> tuple[str, ...]:
    labels = {line.label for _, line, _ in lines}
    for folder in LIST_FOLDERS:
        for name in CLASS_FILES:
            if (root / folder / name).is_file():
                return class_names(base.read_text(root / folder / name, "", advice=CORRECT_LIST))
    if numbered(sorted(labels)):
        return tuple(str(number) for number in range(max(map(int, labels)) + 1))
    return tuple(sorted(set(trained)))


def _listed(
    root: Path, lines: Sequence[tuple[str, UserLine, Path]], classes: Sequence[str], videos: set[str]
) -> list[base.Listed]:
    label_of = {cls: label for label, cls in enumerate(classes)}
    counted = numbered([line.label for _, line, _ in lines]) and not set(label_of) & {lines[0][1].label}
    listed: list[base.Listed] = []
    faults = base.Faults()
    for subset, line, source in lines:
        with faults:
            label = int(line.label) if counted else label_of.get(line.label, -1)
            if not 0 <= label < len(classes):
                message = f"{source.name}, line {line.number}: {unknown('class', line.label, classes)}."
                raise base.fault("unknown class", message)
            path = _below_root(root, line, source)
            present = (inner for inner in _candidates(path, subset) if inner in videos)
            listed.append(base.Listed(base.stem_of(path) or path, subset, label, "", next(present, None)))
    faults.refuse()
    return listed


def _below_root(root: Path, line: UserLine, source: Path) -> str:
    """The listed path below the root. Raises BadLists for one that leaves it."""
    path = PurePosixPath(line.path)  # which drops './' and '//' and keeps '..'
    inner = path.relative_to(root) if path.is_relative_to(root) else path
    return base.inside(str(inner), name=source.name, number=line.number, advice=CORRECT_LIST)


def _candidates(path: str, subset: str) -> tuple[str, ...]:
    """Paths of a listed file with the prefixes that mmaction2 and SlowFast add."""
    return path, f"videos/{path}", f"videos_{subset}/{path}", f"{subset}/{path}"


@dataclass(frozen=True)
class UserLine:
    """One video of a list."""

    path: str
    """As listed; not yet checked against any root."""
    label: str
    """A class name, or a number that counts from 0."""
    subset: str
    """'train', 'val' or 'test'; '' where the line names none."""
    number: int
    """Of the line, from 1."""


def subset_of_name(file_name: str) -> str:
    """'kinetics_train_list_videos.txt', 'trainlist01.txt', 'val.csv' -> 'train', 'train', 'val'; '' if it names none or several."""
    words = re.findall(r"[a-z]+", PurePosixPath(file_name).stem.lower())
    subsets = {SUBSET_WORDS[word.removesuffix("list")] for word in words if word.removesuffix("list") in SUBSET_WORDS}
    return subsets.pop() if len(subsets) == 1 else ""


def user_list(text: str, *, name: str) -> tuple[UserLine, ...]:
    """The lines of a list in any of the forms above. Raises BadLists with every line that is wrong."""
    lines = [(number, line) for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1) if line.strip()]
    if not lines:
        raise base.fault("unreadable line", f"{name} lists no video.")
    header = _header(lines[0][1])
    faults = base.Faults()
    videos: list[UserLine] = []
    for number, line in lines[1:] if header else lines:
        with faults:
            videos.append(_by_header(line, header, number, name) if header else _plain(line, number, name))
    faults.refuse()
    if not videos:
        raise base.fault("unreadable line", f"{name} has a header and no video.")
    return tuple(videos)


def class_names(text: str) -> tuple[str, ...]:
    """One name per line, without its number ('0 archery') where every line has one."""
    lines = [line.strip() for line in text.removeprefix("\ufeff").splitlines() if line.strip()]
    for first in (0, 1):
        if all(line.split(maxsplit=1)[0] == str(i) and " " in line for i, line in enumerate(lines, first)):
            return tuple(line.split(maxsplit=1)[1] for line in lines)
    return tuple(lines)


def _header(line: str) -> dict[str, int] | None:
    """Content of a column -> its index, if the line is a header."""
    fields = [field.strip().lower() for field in next(csv.reader([line]))]
    places = {
        content: fields.index(name) for content, names in COLUMNS.items() for name in names[::-1] if name in fields
    }
    return places if {"path", "label"} <= set(places) else None


def _by_header(line: str, header: dict[str, int], number: int, name: str) -> UserLine:
    fields = [field.strip() for field in next(csv.reader([line]))]
    if len(fields) <= max(header.values()):
        raise _bad(name, number, line, f"{max(header.values()) + 1} columns, as the header has")
    subset = fields[header["subset"]].lower() if "subset" in header else ""
    if subset and subset not in SUBSET_WORDS:
        raise _bad(name, number, line, f"train, val or test instead of '{subset}'")
    return _line(fields[header["path"]], fields[header["label"]], SUBSET_WORDS.get(subset, ""), number, name, line)


def _plain(line: str, number: int, name: str) -> UserLine:
    """The label is what follows the last comma or blank; a path may have blanks."""
    before, comma, label = line.strip().rpartition("," if "," in line else " ")
    if not comma or not before.strip():
        raise _bad(name, number, line, LINE)
    words = before.split()
    if len(words) > 1 and words[-1].isdigit() and label.strip().isdigit() and not PurePosixPath(words[-2]).suffix:
        text = f"{name}, line {number}: '{line[:120]}' looks like a folder of frames, their number and a label"
        raise base.fault("unreadable line", f"{text}. Extracted frames cannot be read: list the video files as {LINE}.")
    return _line(before.strip(), label.strip(), "", number, name, line)


def _line(path: str, label: str, subset: str, number: int, name: str, line: str) -> UserLine:
    if not path or not label:
        raise _bad(name, number, line, LINE)
    return UserLine(path, label, subset, number)


def _bad(name: str, number: int, line: str, expected: str) -> BadLists:
    return base.fault("unreadable line", f"{name}, line {number}: expected {expected}, got '{line[:120]}'.")


def numbered(labels: Sequence[str]) -> bool:
    """Whether labels are numbers, not names."""
    return all(label.isdigit() for label in labels)
