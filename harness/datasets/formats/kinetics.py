"""Kinetics' lists and clips, all of them or a part.

A line is ``label,youtube_id,time_start,time_end,split``, with quoted labels and perhaps a further ``is_cc``. Test files may
lack ``label``; a split is 'val' or 'validate'.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.contract import Listing
from harness.core.errors import HarnessError
from harness.datasets.formats import listing as base

LISTS = {"train": ("train.csv",), "val": ("val.csv", "validate.csv"), "test": ("test.csv",)}
COLUMNS = "the columns label,youtube_id,time_start,time_end,split, times in seconds"


@dataclass(frozen=True)
class KineticsRow:
    """One line of a Kinetics CSV."""

    label: str | None
    """None where the file has no labels (the first published test list)."""
    youtube_id: str
    start_s: int
    end_s: int
    split: str
    """'train', 'val' or 'test'; '' where the file does not say."""

    @property
    def stem(self) -> str:
        """Name of the clip's file without its suffix, as every crawler writes it."""
        return f"{self.youtube_id}_{self.start_s:06d}_{self.end_s:06d}"


Rows = Mapping[str, Sequence[KineticsRow]]
"""Subset -> its rows, all with labels."""


def read_kinetics(
    root: Path, split: int, *, remedy: str = "", choose: Callable[[Path, Rows], Rows] | None = None
) -> Listing:
    """`train.csv`, `val.csv` (or `validate.csv`), `test.csv`, and clips `<id>_<start>_<end>.mp4` -> Listing.

    Clips may be anywhere below the root: in class folders with spaces or underscores, in one folder per subset, or
    flat. Ids are their names without suffix. There is one split. A list that is absent, or has no labels (the test list
    as first published), gives no subset. `choose(root, rows)` selects a part of the labelled rows; the rest is unused.
    """
    read = {subset: _rows(root, subset, remedy) for subset in LISTS}
    rows: Rows = {subset: part for subset, part in read.items() if part and part[0].label is not None}
    if "train" not in rows or len(rows) < 2:
        raise base.absent(root, "train.csv, and val.csv or test.csv with labels", remedy)
    if choose:
        rows = choose(root, rows)
    classes = tuple(sorted({str(row.label) for row in rows["train"]}))
    _refuse_unknown_classes(root, classes, rows)
    label_of = {cls: label for label, cls in enumerate(classes)}
    paths = base.paths_by_stem(root)
    listed = []
    for subset, row in ((subset, row) for subset, part in rows.items() for row in part):
        label, seconds = str(row.label), float(row.end_s - row.start_s)
        path = _nearest(paths.get(row.stem, ()), subset, label)
        listed.append(base.Listed(row.stem, subset, label_of[label], row.youtube_id, path, seconds))
    unused = {row.stem for part in read.values() for row in part} - {video.id for video in listed}
    listed += [base.Listed(name, "unused", 0, "", None) for name in sorted(unused)]
    return base.listing_of(root, classes, listed, remedy=remedy)


def _refuse_unknown_classes(root: Path, classes: Sequence[str], rows: Rows) -> None:
    labels = {(subset, str(row.label)) for subset, part in rows.items() for row in part}
    faults = base.Faults()
    for subset, label in sorted(labels):
        if label not in classes:
            message = f"the {subset} list in '{root}' has the class '{label}', and train.csv has not. {base.AGAIN}"
            faults.add("unknown class", message)
    faults.refuse()


def _nearest(paths: Sequence[str], subset: str, label: str) -> str | None:
    """Of several copies of a clip, the one in the folders of its subset and class; None if there is none."""
    wanted = {subset, label, label.replace(" ", "_")}
    return max(paths, key=lambda path: len(wanted & set(path.split("/")[:-1])), default=None)


def _rows(root: Path, subset: str, remedy: str) -> tuple[KineticsRow, ...]:
    """The rows of a subset's list, all or none of them with a label; () where there is no such list."""
    for folder in (root, root / "annotations"):
        for name in LISTS[subset]:
            if (folder / name).is_file():
                rows = rows_of_csv(base.read_text(folder / name, remedy), name=name)
                unlabelled = [row for row in rows if row.label is None]
                if unlabelled and len(unlabelled) < len(rows):
                    raise base.fault(
                        "wrong label", f"{name} has labels, but none for '{unlabelled[0].stem}'. {base.AGAIN}"
                    )
                return rows
    return ()


def rows_of_csv(text: str, *, name: str) -> tuple[KineticsRow, ...]:
    """Rows of a Kinetics CSV: columns by their header, or the usual order where there is none."""
    reader = csv.reader(text.removeprefix("\ufeff").splitlines())
    columns: list[str] | None = None
    rows: list[KineticsRow] = []
    line_of: dict[str, int] = {}
    faults = base.Faults()
    for fields in reader:
        if not any(field.strip() for field in fields):
            continue
        if columns is None:
            columns = _columns(fields, name)
            if "youtube_id" in fields:
                continue
        with faults:
            row = _row(dict(zip(columns, fields, strict=False)), reader.line_num, name)
            if row.stem in line_of:
                message = f"{name}, line {reader.line_num}: '{row.stem}' is on line {line_of[row.stem]} already."
                raise base.fault("listed twice", message)
            line_of[row.stem] = reader.line_num
            rows.append(row)
    faults.refuse()
    if not rows:
        raise HarnessError(f"{name} lists no video. Fetch it again.")
    return tuple(rows)


def _columns(first: list[str], name: str) -> list[str]:
    if "youtube_id" in first:
        absent = {"time_start", "time_end"} - set(first)
        if absent:
            raise HarnessError(
                f"{name} has no column {sorted(absent)[0]}; expected {COLUMNS}. Fetch the official lists again."
            )
        return [column.strip() for column in first]
    usual = ["label", "youtube_id", "time_start", "time_end", "split", "is_cc"]
    if len(first) < 4:
        raise base.bad_line(name, 1, ",".join(first), COLUMNS)
    return usual[1:] if len(first) == 4 else usual


def _row(fields: dict[str, str], number: int, name: str) -> KineticsRow:
    try:
        start_s, end_s = int(float(fields["time_start"])), int(float(fields["time_end"]))
        youtube_id = fields["youtube_id"].strip()
    except (KeyError, ValueError, OverflowError) as cause:
        raise base.bad_line(name, number, ",".join(fields.values()), COLUMNS) from cause
    if not youtube_id or "/" in youtube_id or "\\" in youtube_id or not 0 <= start_s <= end_s:
        raise base.bad_line(name, number, ",".join(fields.values()), "a YouTube id and 0 <= time_start <= time_end")
    label = fields.get("label", "").strip()
    if label:
        base.inside(label, name=name, number=number)
    split = fields.get("split", "").strip()
    split = "val" if split in ("validate", "validation") else split
    return KineticsRow(label=label or None, youtube_id=youtube_id, start_s=start_s, end_s=end_s, split=split)
