"""Which of Kinetics-400's videos are in miniKinetics, as far as anybody can know. Rows in, rows out.

The paper's first version gives counts and no lists: 213 classes, 150 to 1,000 training videos, 25 validation and 75
test videos each, 120,000 in all. Which classes, and which videos, was never published.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from harness.core.errors import BadLists, Fault, HarnessError, unknown
from harness.datasets.formats.annotations import KineticsRow

CLASSES, TRAIN_LEAST, TRAIN_MOST = 213, 150, 1000
SCORED = {"val": 25, "test": 75}
"""Videos a class."""
TRAIN_TOTAL = 120_000 - CLASSES * sum(SCORED.values())
"""98,700: what the paper's total leaves for training."""

Rows = Mapping[str, Sequence[KineticsRow]]


def given(rows: Rows, classes: Sequence[str], *, name: str) -> Rows:
    """All training videos of these classes, and the paper's numbers of validation and test videos.

    Raises BadLists for a class that Kinetics-400 does not have, or that is named twice.
    """
    known = {str(row.label) for row in rows["train"]}
    faults = [Fault("unknown class", f"{name}: {unknown('class', cls, known)}.") for cls in classes if cls not in known]
    faults += [
        Fault("listed twice", f"{name}: class '{cls}' is listed twice.")
        for cls in sorted(set(classes))
        if list(classes).count(cls) > 1
    ]
    if len(classes) != CLASSES and not faults:
        faults = [Fault("unknown class", f"{name} names {len(classes)} classes; miniKinetics has {CLASSES}.")]
    if faults:
        raise BadLists(faults)
    mine = set(classes)
    return {
        subset: tuple(row for row in those if row.label in mine)
        if subset == "train"
        else _thinned(those, dict.fromkeys(classes, SCORED[subset]))
        for subset, those in rows.items()
    }


def chosen(rows: Rows) -> Rows:
    """A choice by the paper's counts that everybody arrives at: classes with enough videos in the order of their names'
    hashes, training videos thinned class by class to 98,700. Not the paper's choice, which nobody knows.

    Raises HarnessError where the lists have too few such classes.
    """
    sizes = {subset: _sizes(those) for subset, those in rows.items()}
    least = {"train": TRAIN_LEAST, **SCORED}
    fit = [cls for cls in sizes["train"] if all(sizes[subset].get(cls, 0) >= least[subset] for subset in rows)]
    if len(fit) < CLASSES:
        raise HarnessError(
            f"{len(fit)} classes of the lists have {TRAIN_LEAST} training videos, {SCORED['val']} validation and "
            f"{SCORED['test']} test videos; miniKinetics takes {CLASSES}. Are these the lists of Kinetics-400?"
        )
    classes = sorted(fit, key=_chance)[:CLASSES]
    quota = _quota({cls: sizes["train"][cls] for cls in classes})
    return {
        subset: _thinned(those, {cls: quota[cls] if subset == "train" else SCORED[subset] for cls in classes})
        for subset, those in rows.items()
    }


def _quota(sizes: Mapping[str, int]) -> dict[str, int]:
    """Training videos a class: the paper's total, shared out in proportion, within the paper's bounds. Fewer where the
    lists do not have as many."""
    most = {cls: min(size, TRAIN_MOST) for cls, size in sizes.items()}
    share = min(1.0, TRAIN_TOTAL / sum(sizes.values()))
    quota = {cls: min(most[cls], max(TRAIN_LEAST, int(size * share))) for cls, size in sizes.items()}
    while left := TRAIN_TOTAL - sum(quota.values()):
        step = 1 if left > 0 else -1
        room = [cls for cls in quota if TRAIN_LEAST <= quota[cls] + step <= most[cls]]
        if not room:
            break
        for cls in room[: abs(left)]:
            quota[cls] += step
    return quota


def _sizes(rows: Iterable[KineticsRow]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for row in rows:
        sizes[str(row.label)] = sizes.get(str(row.label), 0) + 1
    return sizes


def _thinned(rows: Iterable[KineticsRow], most: Mapping[str, int]) -> tuple[KineticsRow, ...]:
    """Of each class in `most` so many videos, the first in the order of their ids' hashes, as the list has them."""
    of: dict[str, list[KineticsRow]] = {cls: [] for cls in most}
    for row in rows:
        if row.label in of:
            of[row.label].append(row)
    keep = {row.stem for cls, those in of.items() for row in sorted(those, key=_order)[: most[cls]]}
    return tuple(row for those in of.values() for row in those if row.stem in keep)


def _order(row: KineticsRow) -> str:
    return _chance(row.stem)


def _chance(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


# ------------------------------------------------------------------------------------------- miniKinetics-200


def listed_ids(text: str, *, name: str) -> frozenset[str]:
    """YouTube ids of a list with one a line. Raises BadLists for lines that hold none, or one again."""
    ids: set[str] = set()
    faults: list[Fault] = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        youtube_id = line.strip()
        if not youtube_id:
            continue
        if len(youtube_id.split()) != 1 or "/" in youtube_id or "," in youtube_id:
            faults.append(Fault("unreadable line", f"{name}, line {number}: expected a YouTube id, got '{line[:80]}'."))
        elif youtube_id in ids:
            faults.append(Fault("listed twice", f"{name}, line {number}: '{youtube_id}' is listed twice."))
        ids.add(youtube_id)
    if faults:
        raise BadLists(faults)
    return frozenset(ids)


def by_ids(rows: Rows, ids: Mapping[str, frozenset[str]], *, name: str) -> Rows:
    """The rows of Kinetics-400, whatever list they stand on, whose YouTube ids `ids` puts in a subset.

    Raises BadLists for ids that Kinetics-400 does not have: nobody knows their class.
    """
    row_of = {row.youtube_id: row for those in rows.values() for row in those}
    strange = sorted({youtube_id for those in ids.values() for youtube_id in those} - set(row_of))
    if strange:
        raise BadLists(
            [
                Fault(
                    "unknown class", f"{name}: '{youtube_id}' is not in Kinetics-400's lists, so its class is unknown."
                )
                for youtube_id in strange
            ]
        )
    return {subset: tuple(row_of[youtube_id] for youtube_id in sorted(those)) for subset, those in ids.items()}
