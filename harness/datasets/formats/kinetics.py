"""Kinetics' lists and clips, all of them or a choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.core.contract import Listing
from harness.core.errors import BadLists, Fault
from harness.datasets.formats.annotations import AGAIN, KineticsRow, kinetics_csv
from harness.datasets.formats.listing import Listed, absent, listing_of, paths_by_stem, read_text

KINETICS_LISTS = {"train": ("train.csv",), "val": ("val.csv", "validate.csv"), "test": ("test.csv",)}

Rows = Mapping[str, Sequence[KineticsRow]]
"""Subset -> its rows, all with labels."""


def read_kinetics(
    root: Path, split: int, *, remedy: str = "", choose: Callable[[Path, Rows], Rows] | None = None
) -> Listing:
    """`train.csv`, `val.csv` (or `validate.csv`), `test.csv`, and clips `<id>_<start>_<end>.mp4` -> Listing.

    Clips may lie anywhere below the root: in class folders with spaces or underscores, below a folder a subset, or
    flat. Ids are their names without suffix, wherever they lie. There is one split. A list that is absent, or has no
    labels (the test list as first published), gives no subset. `choose(root, rows)` takes a part of the labelled rows;
    what it leaves is unused.
    """
    read = {subset: _rows(root, subset, remedy) for subset in KINETICS_LISTS}
    rows: Rows = {subset: those for subset, those in read.items() if those and those[0].label is not None}
    if "train" not in rows or len(rows) < 2:
        raise absent(root, "train.csv, and val.csv or test.csv with labels", remedy)
    if choose:
        rows = choose(root, rows)
    classes = tuple(sorted({str(row.label) for row in rows["train"]}))
    _refuse_strangers(root, classes, rows)
    label_of = {cls: label for label, cls in enumerate(classes)}
    found = paths_by_stem(root)
    listed = [
        Listed(
            row.stem,
            subset,
            label_of[str(row.label)],
            row.youtube_id,
            _nearest(found.get(row.stem, ()), subset, str(row.label)),
            seconds=float(row.end_s - row.start_s),
        )
        for subset, those in rows.items()
        for row in those
    ]
    taken = {video.id for video in listed}
    rest = {row.stem for those in read.values() for row in those} - taken
    listed += [Listed(name, "unused", 0, "", None) for name in sorted(rest)]
    return listing_of(root, classes, listed, remedy=remedy)


def _refuse_strangers(root: Path, classes: Sequence[str], rows: Rows) -> None:
    said = {(subset, str(row.label)) for subset, those in rows.items() for row in those}
    strange = sorted((subset, label) for subset, label in said if label not in classes)
    if strange:
        raise BadLists(
            [
                Fault(
                    "unknown class",
                    f"the {subset} list in '{root}' has the class '{label}', and train.csv has not. {AGAIN}",
                )
                for subset, label in strange
            ]
        )


def _nearest(paths: Sequence[str], subset: str, label: str) -> str | None:
    """Of several copies of a clip, the one in the folders of its subset and class; None if there is none."""
    wanted = {subset, label, label.replace(" ", "_")}
    return max(paths, key=lambda path: len(wanted & set(path.split("/")[:-1])), default=None)


def _rows(root: Path, subset: str, remedy: str) -> tuple[KineticsRow, ...]:
    """The rows of a subset's list, all or none of them with a label; () where there is no such list."""
    for folder in (root, root / "annotations"):
        for name in KINETICS_LISTS[subset]:
            if (folder / name).is_file():
                rows = kinetics_csv(read_text(folder / name, remedy), name=name)
                unlabelled = [row for row in rows if row.label is None]
                if unlabelled and len(unlabelled) < len(rows):
                    what = f"{name} gives '{unlabelled[0].stem}' no label, and others one. {AGAIN}"
                    raise BadLists([Fault("wrong label", what)])
                return rows
    return ()
