"""miniKinetics: a part of the videos of Kinetics-400, read in Kinetics-400's own folder.

The paper's first version gives counts and no lists: 213 classes, 150 to 1,000 training videos, 25 validation and 75
test videos each, 120,000 in all. Which classes, and which videos, was never published.
"""

from __future__ import annotations

import functools
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from harness.core.contract import Listing
from harness.core.errors import HarnessError, unknown
from harness.datasets.formats.custom import class_names
from harness.datasets.formats.kinetics import KineticsRow, Rows, read_kinetics
from harness.datasets.formats.listing import Faults, absent, lines_of, read_text

CLASSES, TRAIN_LEAST, TRAIN_MOST = 213, 150, 1000
SCORED = {"val": 25, "test": 75}
"""Videos per class."""
TRAIN_TOTAL = 120_000 - CLASSES * sum(SCORED.values())
"""98,700: what the paper's total leaves for training."""

ID_LISTS = {"train": "train_ytid_list.txt", "val": "val_ytid_list.txt"}
ID_FOLDERS = ("minikinetics-200", "Mini-Kinetics-200", ".")


def read_213(root: Path, split: int, *, class_file: str = "", remedy: str = "") -> Listing:
    """The 213 classes that `class_file` names, one per line; without one, a choice by the paper's counts."""
    if not class_file:
        return read_kinetics(root, split, remedy=remedy, choose=lambda _, rows: sampled_rows(rows))
    file = Path(class_file)
    classes = class_names(read_text(file, "Give a text file with the 213 class names, one per line."))
    return read_kinetics(
        root, split, remedy=remedy, choose=lambda _, rows: rows_of_classes(rows, classes, name=file.name)
    )


def read_200(root: Path, split: int, *, remedy: str = "") -> Listing:
    """The videos of `train_ytid_list.txt` and `val_ytid_list.txt`, in `minikinetics-200/` or next to the lists
    of Kinetics-400."""
    return read_kinetics(root, split, remedy=remedy, choose=functools.partial(_read_id_lists, remedy))


def _read_id_lists(remedy: str, root: Path, rows: Rows) -> Rows:
    for folder in (root / name for name in ID_FOLDERS):
        if all((folder / name).is_file() for name in ID_LISTS.values()):
            ids = {subset: listed_ids(read_text(folder / name, remedy), name=name) for subset, name in ID_LISTS.items()}
            return rows_of_ids(rows, ids, name="minikinetics-200")
    raise absent(root, f"{ID_LISTS['train']} and {ID_LISTS['val']} in the folder '{ID_FOLDERS[0]}'", remedy)


def rows_of_classes(rows: Rows, classes: Sequence[str], *, name: str) -> Rows:
    """All training videos of these classes, and the paper's numbers of validation and test videos.

    Raises BadLists for a class that Kinetics-400 does not have, or that is named twice.
    """
    known = {str(row.label) for row in rows["train"]}
    faults = Faults()
    for cls in (cls for cls in classes if cls not in known):
        faults.add("unknown class", f"{name}: {unknown('class', cls, known)}.")
    for cls in (cls for cls, times in sorted(Counter(classes).items()) if times > 1):
        faults.add("listed twice", f"{name}: class '{cls}' is listed twice.")
    if len(classes) != CLASSES and not faults:
        faults.add("unknown class", f"{name} names {len(classes)} classes; miniKinetics has {CLASSES}.")
    faults.refuse()
    return {
        subset: tuple(row for row in part if row.label in set(classes))
        if subset == "train"
        else _subsample(part, dict.fromkeys(classes, SCORED[subset]))
        for subset, part in rows.items()
    }


def sampled_rows(rows: Rows) -> Rows:
    """A reproducible choice by the paper's counts: classes with enough videos in the order of their names' hashes, and of
    each class a share of the training videos, 98,700 in all. Not the paper's choice, which is not known.

    Raises HarnessError where the lists have too few such classes.
    """
    sizes = {subset: Counter(str(row.label) for row in part) for subset, part in rows.items()}
    least = {"train": TRAIN_LEAST, **SCORED}
    fit = [cls for cls in sizes["train"] if all(sizes[subset][cls] >= least[subset] for subset in rows)]
    if len(fit) < CLASSES:
        raise HarnessError(
            f"{len(fit)} classes of the lists have at least {TRAIN_LEAST} training videos, {SCORED['val']} validation and "
            f"{SCORED['test']} test videos; miniKinetics takes {CLASSES}. Are these the lists of Kinetics-400?"
        )
    classes = sorted(fit, key=_hash)[:CLASSES]
    quota = _quota({cls: sizes["train"][cls] for cls in classes})
    return {
        subset: _subsample(part, {cls: quota[cls] if subset == "train" else SCORED[subset] for cls in classes})
        for subset, part in rows.items()
    }


def _quota(sizes: Mapping[str, int]) -> dict[str, int]:
    """Training videos per class: the paper's total in proportion to `sizes`, within the paper's bounds, or fewer where the
    lists have fewer."""
    most = {cls: min(size, TRAIN_MOST) for cls, size in sizes.items()}
    share = min(1.0, TRAIN_TOTAL / sum(sizes.values()))
    quota = {cls: min(most[cls], max(TRAIN_LEAST, int(size * share))) for cls, size in sizes.items()}
    while excess := TRAIN_TOTAL - sum(quota.values()):
        step = 1 if excess > 0 else -1
        adjustable = [cls for cls in quota if TRAIN_LEAST <= quota[cls] + step <= most[cls]]
        if not adjustable:
            break
        for cls in adjustable[: abs(excess)]:
            quota[cls] += step
    return quota


def _subsample(rows: Iterable[KineticsRow], most: Mapping[str, int]) -> tuple[KineticsRow, ...]:
    """Of each class the first `most` videos in the order of their ids' hashes, in the order of the list."""
    by_class: dict[str, list[KineticsRow]] = {cls: [] for cls in most}
    for row in rows:
        if row.label in by_class:
            by_class[row.label].append(row)
    keep = {
        row.stem for cls, part in by_class.items() for row in sorted(part, key=lambda row: _hash(row.stem))[: most[cls]]
    }
    return tuple(row for part in by_class.values() for row in part if row.stem in keep)


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def listed_ids(text: str, *, name: str) -> frozenset[str]:
    """YouTube ids of a list with one per line. Raises BadLists for other lines and for repeated ids."""
    ids: set[str] = set()
    faults = Faults()
    for number, youtube_id in lines_of(text):
        if len(youtube_id.split()) != 1 or "/" in youtube_id or "," in youtube_id:
            faults.add("unreadable line", f"{name}, line {number}: expected a YouTube id, got '{youtube_id[:80]}'.")
        elif youtube_id in ids:
            faults.add("listed twice", f"{name}, line {number}: '{youtube_id}' is listed twice.")
        ids.add(youtube_id)
    faults.refuse()
    return frozenset(ids)


def rows_of_ids(rows: Rows, ids: Mapping[str, frozenset[str]], *, name: str) -> Rows:
    """The rows of Kinetics-400, of any of its lists, whose YouTube ids `ids` puts in a subset.

    Raises BadLists for ids that Kinetics-400 does not have: their class is unknown.
    """
    row_of = {row.youtube_id: row for part in rows.values() for row in part}
    faults = Faults()
    for youtube_id in sorted(frozenset().union(*ids.values()) - set(row_of)):
        faults.add("unknown class", f"{name}: '{youtube_id}' is not in Kinetics-400's lists, so its class is unknown.")
    faults.refuse()
    return {subset: tuple(row_of[youtube_id] for youtube_id in sorted(listed)) for subset, listed in ids.items()}
