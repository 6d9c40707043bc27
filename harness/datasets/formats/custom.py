"""A folder of one's own videos: class folders below train/ and test/ (or val/), or lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from harness.core.contract import Listing
from harness.core.errors import BadLists, Fault, HarnessError, unknown
from harness.datasets.formats.annotations import inside
from harness.datasets.formats.custom_lists import (
    SUBSET_WORDS,
    UserLine,
    class_names,
    numbered,
    subset_of_name,
    user_list,
)
from harness.datasets.formats.listing import (
    SUBSETS,
    VIDEO_SUFFIXES,
    Listed,
    absent,
    files_in,
    listing_of,
    read_text,
    stem_of,
)

LIST_SUFFIXES = (".csv", ".txt")
CLASS_FILES = ("classes.txt", "labels.txt", "label_map.txt", "class_names.txt")
LIST_FOLDERS = (".", "annotations", "lists")
EXPECTED = "train/ and test/ (or val/) with a folder a class, or lists such as train.csv and test.csv"


def read_own(root: Path, split: int, *, list_file: str = "", remedy: str = "") -> Listing:
    """`train/<class>/*` and `test/<class>/*`, or lists -> Listing. Ids are paths below the root without suffix.

    Lists are `.csv` and `.txt` files in the root or in `annotations/` whose names say a subset, or the only `.csv`,
    with a column `split`; `list_file`, a path below the root, names that one instead. Labels are class names, in
    alphabetical order, or numbers from 0, whose names `classes.txt` may tell. Absolute paths are taken if they lie
    below the root. Raises DataMissing where there is neither, BadLists for lists that cannot be trusted.
    """
    if not root.is_dir():
        raise absent(root, EXPECTED, remedy)
    found = files_in(root, VIDEO_SUFFIXES)
    if lists := {"": root / list_file} if list_file else _lists(root):
        return _from_lists(root, lists, found, remedy)
    return _from_folders(root, found, remedy)


# -------------------------------------------------------------------------------------------- class folders


def _from_folders(root: Path, found: set[str], remedy: str) -> Listing:
    folders: dict[str, str] = {}
    for entry in sorted(path.name for path in root.iterdir() if path.is_dir()):
        subset = SUBSET_WORDS.get(entry.lower(), "")
        if subset in folders:
            raise HarnessError(f"'{root}' has '{folders[subset]}' and '{entry}', which mean the same; keep one")
        if subset:
            folders[subset] = entry
    if "train" not in folders or len(folders) < 2:
        raise absent(root, EXPECTED, remedy)
    classes = sorted(path.name for path in (root / folders["train"]).iterdir() if path.is_dir())
    listed: list[Listed] = []
    faults: list[Fault] = []
    for subset, folder in folders.items():
        for path in sorted(path for path in found if path.startswith(f"{folder}/") and path.count("/") > 1):
            cls = path.split("/")[1]
            if cls not in classes:
                what = f"'{path}' below '{root}': {unknown('class', cls, classes)}."
                faults.append(Fault("unknown class", f"{what} Classes are the folders of '{folders['train']}'."))
            else:
                listed.append(Listed(stem_of(path), subset, classes.index(cls), "", path))
    if faults:
        raise BadLists(faults)
    if not listed:
        raise absent(root, "a video in the class folders", remedy)
    return listing_of(root, classes, listed, remedy=remedy)


# ------------------------------------------------------------------------------------------------- lists


def _lists(root: Path) -> dict[str, Path]:
    """Subset -> its list; '' -> the one list that tells subsets in a column; {} where there are no lists."""
    files = [
        path
        for folder in LIST_FOLDERS
        if (root / folder).is_dir()
        for path in sorted((root / folder).iterdir())
        if path.suffix.lower() in LIST_SUFFIXES and path.name.lower() not in CLASS_FILES and path.is_file()
    ]
    found: dict[str, Path] = {}
    for path in files:
        if subset := subset_of_name(path.name):
            if subset in found:
                raise HarnessError(
                    f"'{root}' has two lists of {subset} videos, '{found[subset].name}' and '{path.name}'; keep one, or "
                    "name one list with a column 'split': --dataset folder:/path/to/list.csv"
                )
            found[subset] = path
    tables = [path for path in files if path.suffix.lower() == ".csv"]
    if found:
        return {subset: found[subset] for subset in SUBSETS if subset in found}
    return {"": tables[0]} if len(tables) == 1 else {}


def _from_lists(root: Path, lists: Mapping[str, Path], found: set[str], remedy: str) -> Listing:
    faults: list[Fault] = []
    lines: list[tuple[str, UserLine, Path]] = []
    for subset, path in lists.items():
        try:
            for line in user_list(read_text(path, remedy), name=path.name):
                lines.append((line.subset or subset, line, path))
        except BadLists as bad:
            faults += bad.faults
    if not faults and not all(subset for subset, _, _ in lines):
        _, line, path = next(item for item in lines if not item[0])
        what = f"{path.name}, line {line.number}: the list has no column 'split', and its name says no subset"
        faults.append(Fault("unreadable line", f"{what}; call the lists train.csv and test.csv, or add the column."))
    if faults:
        raise BadLists(faults)
    if {subset for subset, _, _ in lines} in ({"train"}, {"test"}, {"val"}):
        raise absent(root, "lists of training and of test (or val) videos", remedy)
    classes = _classes(root, [line.label for subset, line, _ in lines if subset == "train"], lines)
    return listing_of(root, classes, _listed(root, lines, classes, found), remedy=remedy)


def _classes(root: Path, trained: Sequence[str], lines: Sequence[tuple[str, UserLine, Path]]) -> tuple[str, ...]:
    labels = {line.label for _, line, _ in lines}
    for folder in LIST_FOLDERS:
        for name in CLASS_FILES:
            if (root / folder / name).is_file():
                return class_names(read_text(root / folder / name, ""))
    if numbered(sorted(labels)):
        return tuple(str(number) for number in range(max(map(int, labels)) + 1))
    return tuple(sorted(set(trained)))


def _listed(
    root: Path, lines: Sequence[tuple[str, UserLine, Path]], classes: Sequence[str], found: set[str]
) -> list[Listed]:
    label_of = {cls: label for label, cls in enumerate(classes)}
    counted = numbered([line.label for _, line, _ in lines]) and not set(label_of) & {lines[0][1].label}
    listed: list[Listed] = []
    faults: list[Fault] = []
    for subset, line, source in lines:
        label = int(line.label) if counted else label_of.get(line.label, -1)
        if not 0 <= label < len(classes):
            what = f"{source.name}, line {line.number}: {unknown('class', line.label, classes)}."
            faults.append(Fault("unknown class", what))
            continue
        try:
            path = _below_root(root, line, source)
        except BadLists as bad:
            faults += bad.faults
            continue
        there = [inner for inner in _places(path, subset) if inner in found]
        listed.append(Listed(stem_of(path) or path, subset, label, "", there[0] if there else None))
    if faults:
        raise BadLists(faults)
    return listed


def _below_root(root: Path, line: UserLine, source: Path) -> str:
    """The listed path below the root. Raises BadLists for one that leaves it."""
    path = PurePosixPath(line.path)  # which drops './' and '//' and keeps '..'
    inner = path.relative_to(root) if path.is_relative_to(root) else path
    return inside(str(inner), name=source.name, number=line.number)


def _places(path: str, subset: str) -> tuple[str, ...]:
    """Where mmaction2's and SlowFast's prefixes put a listed file."""
    return path, f"videos/{path}", f"videos_{subset}/{path}", f"{subset}/{path}"
