"""A rendered table as values: cells that know their number, its interval, the published number and the jobs behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness.metrics.registered import PRIMARY

Rank = Literal["", "best", "tied", "other videos"]
"""'tied': not significantly worse than the best. 'other videos': scored on other videos than most, so not ranked."""
Verdict = Literal["reproduced", "below", "above", "not comparable", "not run", "nothing to compare", "blank"]
MARKS: Mapping[str, str] = {"reproduced": "=", "below": "<", "above": ">"}


@dataclass(frozen=True)
class TableCell:
    """One number of a table, next to the published one. Accuracies in percent."""

    paper: float | None = None
    """As printed; None where the paper leaves it blank."""
    ours: float | None = None
    low: float | None = None
    """95% interval, drawn by group of videos where groups are known."""
    high: float | None = None
    seed_deviation: float | None = None
    """Sample deviation (ddof 1) over seeds; None for one seed."""
    split_deviation: float | None = None
    """Sample deviation (ddof 1) over splits; None for one split."""
    n: int | None = None
    """Videos scored, summed over splits."""
    n_of: int | None = None
    """Videos that the lists name; more than n where some are missing from disk."""
    undecodable: int = 0
    """Videos among the n that cannot be decoded; they count as wrong."""
    seeds: tuple[int, ...] = ()
    """Seeds that the number is the mean over."""
    splits: tuple[int, ...] = ()
    job_ids: tuple[str, ...] = ()
    wanted: bool = False
    """Whether the table lacks a number without it. False where the paper leaves it blank, and for computed columns."""
    verdict: Verdict = "blank"
    why: str = ""
    """The reason for the verdict, in a few words."""
    caveat: str = ""
    """A warning about the number, such as weights whose training videos are unknown."""
    command: str = ""
    """Runs, or looks up, exactly this number."""
    rank: Rank = ""
    """Place among the numbers that are comparable with it, where the table has a ranking."""

    @property
    def difference(self) -> float | None:
        """Ours minus the paper's, in points; None where they are not comparable."""
        if self.paper is None or self.ours is None or self.verdict == "not comparable":
            return None
        return self.ours - self.paper


@dataclass(frozen=True)
class Column:
    """One number of every row."""

    key: str
    """As in results/paper."""
    group: str
    """Key of its `ColumnGroup`."""
    title: str
    metric: str = PRIMARY
    """Name of the metric."""
    part: str = ""
    """Columns of equal group and title are printed as one cell, 'with / without ImageNet' or 'top-1 (top-5)'."""
    derived: bool = False
    """Computed from other columns."""
    decimals: int = 1
    optional: bool = False
    """Left out of a table where it has no number."""
    unit: str = ""
    """Other than percent; the paper's numbers are then printed unrounded."""


@dataclass(frozen=True)
class ColumnGroup:
    """Columns that share a data set."""

    key: str
    paper: str
    """The data set the paper's numbers are of."""
    ours: str
    """The data set ours are of. At micro scale the two differ, and so do the headings."""


@dataclass(frozen=True)
class Row:
    """One architecture or method."""

    key: str
    title: str
    note: str = ""
    """Source of a quoted result."""
    quoted: bool = False
    """The paper quotes it: there is nothing to run."""
    axes: Mapping[str, str] = field(default_factory=dict)
    """Axis -> its value, for programs; {} in the paper's tables, where `key` has them."""


@dataclass(frozen=True)
class RowGroup:
    """Rows that are printed under a heading of their own."""

    title: str
    rows: tuple[Row, ...]
    """Rows of the table in printing order; their titles leave out what the heading says."""


@dataclass(frozen=True)
class Table:
    """One table of the paper with our numbers, or a table of other results."""

    number: int | None
    """Number of the paper's table; None for another."""
    title: str
    scale: str
    """'' if it has several."""
    version: str
    """Version of the paper, see harness.analysis.paper_numbers; '' if all its versions count."""
    groups: tuple[ColumnGroup, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    cells: Mapping[tuple[str, str], TableCell]
    """(row key, column key) -> cell; a missing one is blank."""
    joiner: Literal["slash", "bracket"] = "slash"
    """Form of joined parts: 'a / b', or 'a (b)'."""
    notes: tuple[str, ...] = ()
    row_groups: tuple[RowGroup, ...] = ()
    """Blocks of rows; (): one block per data set."""
    ours_name: str = "ours"
    """Heads our columns: 'ours', or the scale's name, so that a micro number cannot be read as one of the paper's."""
    theirs_name: str = "paper"
    """Heads the published numbers."""
    command: str = ""
    """Prints this table; with `--run`, after running what it lacks."""

    @property
    def key(self) -> str:
        """Its name in files and links: '4', or 'results'."""
        return str(self.number or "results")

    def cell(self, row: Row, column: Column) -> TableCell:
        return self.cells.get((row.key, column.key), TableCell())

    def stacks(self, *, derived: bool = False) -> dict[tuple[str, str], list[Column]]:
        """(group, title) -> its columns, one per part, in printing order."""
        stacks: dict[tuple[str, str], list[Column]] = {}
        for column in self.columns:
            if column.derived == derived:
                stacks.setdefault((column.group, column.title), []).append(column)
        return stacks
