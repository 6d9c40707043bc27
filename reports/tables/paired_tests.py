"""Significance of the differences within a table: in every column the best row against each other row.

    harness table 2 --scale micro --significance

A table of all results has several such columns below each other: one per set of videos.

The tests are paired on the same videos and drawn by group (harness.metrics.statistics.paired). p is adjusted by Holm over
all comparisons of the table. A column has the difference that its test set detects with 80% power.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.core.plugins import Metric
from harness.metrics import statistics
from harness.metrics.registered import named
from harness.metrics.scores import Scores, aligned
from harness.metrics.summary import shares
from reports.tables.layout import Slot, TableLayout
from reports.tables.measure import Lookup
from reports.tables.supplements import Aside

ALPHA = 0.05


@dataclass(frozen=True)
class RowComparison:
    """The best row of a column against another. Differences in points."""

    column: str
    best: str
    other: str
    difference: float
    low: float
    high: float
    p_value: float
    """p of this comparison alone, by group."""
    adjusted: float
    """By Holm, over the table."""
    smallest: float
    """Difference that this test set shows with 80% power, at the disagreement seen and p 0.05; NaN where none."""

    @property
    def significant(self) -> bool:
        return self.adjusted < ALPHA


@dataclass(frozen=True)
class Contest:
    """Numbers on the same videos."""

    column: str
    metric: Metric
    rows: Mapping[str, Sequence[Scores]]
    """Row -> its scores of one seed, one per split."""
    best: str
    """The row that the others are tested against."""


def compare(layout: TableLayout, lookup: Lookup) -> tuple[RowComparison, ...]:
    """Every comparison of the table, column by column. Columns with fewer than two numbers have none."""
    contests = []
    for column in (column for column in layout.columns if not column.derived):
        slots = {slot.row: slot for slot in layout.slots if slot.column == column.key}
        rows = {row: splits for row, slot in slots.items() if (splits := _splits(slot, lookup))}
        if rows:
            metric = named(next(iter(slots.values())).metric)
            best = max(rows, key=lambda row: float(_shares(metric, rows[row]).mean()))
            contests.append(Contest(column.key, metric, rows, best))
    return decide(contests)


def decide(contests: Iterable[Contest]) -> tuple[RowComparison, ...]:
    """Every comparison of these contests, corrected over all of them."""
    raw = [
        (contest.column, contest.best, row, _paired(contest.metric, contest.rows[contest.best], splits))
        for contest in contests
        for row, splits in contest.rows.items()
        if row != contest.best
    ]
    adjusted = statistics.holm([test.p_value_groups for *_, test in raw]) if raw else []
    return tuple(_comparison(*pair, p) for pair, p in zip(raw, adjusted, strict=True))


def _comparison(column: str, best: str, other: str, test: statistics.PairedTest, adjusted: float) -> RowComparison:
    disagree = (test.only_a + test.only_b) / test.n
    smallest = statistics.smallest_difference(test.n, disagree=disagree) if disagree else float("nan")
    difference, low, high = 100 * test.difference, 100 * test.low, 100 * test.high
    p_value = test.p_value_groups
    return RowComparison(column, best, other, difference, low, high, p_value, adjusted, 100 * smallest)


def _splits(slot: Slot, lookup: Lookup) -> list[Scores]:
    """Scores of the first seed, one per split; [] where a job is missing."""
    for cells in slot.choices:
        results = [lookup(cell) for cell in cells if cell.seed == cells[0].seed]
        if all(results):
            return [result.scores for result in results if result]
    return []


def _shares(metric: Metric, splits: Sequence[Scores]) -> np.ndarray:
    """Shares of all splits, concatenated."""
    return np.concatenate([shares(metric, scores) for scores in splits])


def _paired(metric: Metric, a: Sequence[Scores], b: Sequence[Scores]) -> statistics.PairedTest:
    same = [aligned(other, split.ids) for split, other in zip(a, b, strict=True)]
    clusters = [cluster for split in a for cluster in statistics.clusters_of(split.ids, split.groups)]
    return statistics.paired(_shares(metric, a), _shares(metric, same), clusters)


def aside_of(layout: TableLayout, comparisons: Sequence[RowComparison]) -> Aside:
    """The comparisons of a table of the paper."""
    titles = {row.key: row.title for row in layout.rows}
    groups = {group.key: group.ours for group in layout.groups}
    heads = {c.key: " ".join(filter(None, [groups[c.group], c.title, c.part])) for c in layout.columns}
    seeds = layout.question.seeds
    return aside(
        comparisons, f"Table {layout.number}", heads, titles, seed=f"seed {seeds[0]}" if len(seeds) > 1 else ""
    )


def aside(
    comparisons: Sequence[RowComparison],
    table: str,
    heads: Mapping[str, str],
    titles: Mapping[str, str],
    *,
    seed: str,
) -> Aside:
    """One line per comparison; significant ones are marked with '*'. `seed`: the one tested, in words; '' if there is only one."""
    significant = sum(comparison.significant for comparison in comparisons)
    notes = [
        f"* significant: p below {ALPHA:g} after Holm's correction over all {len(comparisons)} comparisons ({significant} of them).",
        "Paired on the same videos, drawn by group; the best row was selected by its result, which favors it slightly.",
        "detects: the smallest difference in points that this number of independent videos detects with 80% power.",
    ]
    if seed:
        notes.append(f"Of {seed} alone: the test needs answers that are right or wrong, not means over seeds.")
    return Aside(
        key="significance",
        title=f"Differences within {table}",
        headers=("column", "best", "compared with", "points better", "95% interval", "p", "p (Holm)", "", "detects"),
        rows=tuple(_line(comparison, heads, titles) for comparison in comparisons),
        notes=tuple(notes) if comparisons else ("No column of this table has two numbers to compare yet.",),
    )


def _line(comparison: RowComparison, heads: Mapping[str, str], titles: Mapping[str, str]) -> tuple[str | float, ...]:
    smallest = "-" if np.isnan(comparison.smallest) else f"{comparison.smallest:.1f}"
    return (
        heads[comparison.column],
        titles[comparison.best],
        titles[comparison.other],
        f"{comparison.difference:.1f}",
        f"[{comparison.low:.1f}, {comparison.high:.1f}]",
        comparison.p_value,
        comparison.adjusted,
        "*" if comparison.significant else "",
        smallest,
    )
