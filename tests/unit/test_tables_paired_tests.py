"""Differences within a table: paired by video, corrected over the table, refused on different videos."""

from __future__ import annotations

import numpy as np
import pytest

from harness.core.cells import Cell
from harness.core.errors import HarnessError
from harness.metrics import statistics
from harness.metrics.scores import CellResult, Scores
from reports import tables
from reports.tables import paired_tests, supplements, table_2
from reports.tables.layout import Question

N = 280
SHARES = {"i3d": 0.9, "fused-3d": 0.87, "two-stream": 0.6, "c3d": 0.5, "convnet-lstm": 0.5}


def lookup(cell: Cell) -> CellResult | None:
    """Independent answers, with the same videos for every baseline of the paper in an order of its own."""
    if cell.baseline not in SHARES:
        return None
    rng = np.random.default_rng(sum(map(ord, cell.baseline + cell.modality + cell.dataset)))
    order = rng.permutation(N)
    labels = order.astype(np.int64) % 2
    right = rng.random(N) < SHARES[cell.baseline]
    logits = np.zeros((N, 2), np.float32)
    logits[np.arange(N), np.where(right, labels, 1 - labels)] = 1
    names = tuple(f"v{k}" for k in order)
    return CellResult(Scores(names, logits, labels, tuple(f"g{k // 5}" for k in order)), ("job",))


@pytest.fixture
def found() -> tuple[paired_tests.RowComparison, ...]:
    return paired_tests.compare(table_2.layout(Question(scale="micro")), lookup)


def test_every_row_is_held_against_the_best_of_its_column(found: tuple[paired_tests.RowComparison, ...]) -> None:
    rgb = [c for c in found if c.column == "hmdb51/rgb"]
    assert {c.other for c in rgb} | {rgb[0].best} == {"i3d", "fused-3d", "two-stream", "c3d", "convnet-lstm"}
    assert all(c.difference >= 0 for c in found)
    assert len(found) == 3 * (4 + 2 + 2)


def test_large_differences_are_found_and_small_ones_are_not(found: tuple[paired_tests.RowComparison, ...]) -> None:
    clear = [c for c in found if {c.best, c.other} <= {"i3d", "c3d"}]
    close = [c for c in found if {c.best, c.other} == {"i3d", "fused-3d"}]
    assert clear and all(c.significant and c.low > 0 for c in clear)
    assert close and not all(c.significant for c in close)
    assert all(c.difference > c.smallest for c in clear)


def test_p_is_corrected_over_the_whole_table(found: tuple[paired_tests.RowComparison, ...]) -> None:
    assert [c.adjusted for c in found] == pytest.approx(statistics.holm([c.p_value for c in found]))
    assert any(c.adjusted > c.p_value for c in found)


def test_pairing_follows_the_videos_not_their_order() -> None:
    """Both have the same videos right, listed in different orders: nothing differs, and the interval is tight."""

    def same(cell: Cell) -> CellResult:
        rng = np.random.default_rng(len(cell.baseline))
        order = rng.permutation(N)
        labels = order.astype(np.int64) % 2
        logits = np.zeros((N, 2), np.float32)
        logits[np.arange(N), np.where(order % 3 > 0, labels, 1 - labels)] = 1
        return CellResult(Scores(tuple(f"v{k}" for k in order), logits, labels, tuple(f"g{k // 5}" for k in order)))

    told = paired_tests.compare(table_2.layout(Question(scale="micro")), same)
    assert all(c.difference == 0 and c.high < 1 and c.p_value == 1 for c in told)


def test_the_text_marks_what_is_more_than_luck() -> None:
    text = supplements.terminal(tables.significance(2, lookup, Question(scale="micro")))
    assert "micro-hmdb51 RGB" in text and " * " in text and "comparisons" in text
    grid = text.split("\n\n")[1]
    assert max(map(len, grid.splitlines())) <= 140
    assert " < 0.001 " in grid and "e-" not in grid
    assert tables.significance(2, lambda cell: None, Question(scale="micro")).notes[0].startswith("No column")
    with pytest.raises(HarnessError, match="sizes, not accuracies"):
        tables.significance(1, lookup, Question(scale="micro"))


def test_different_videos_are_refused() -> None:
    def other(cell: Cell) -> CellResult | None:
        result = lookup(cell)
        if result is None or cell.baseline != "c3d":
            return result
        renamed = tuple(f"x{video}" for video in result.scores.ids)
        scores = result.scores
        return CellResult(Scores(renamed, scores.logits, scores.labels, scores.groups))

    with pytest.raises(HarnessError, match="different videos"):
        paired_tests.compare(table_2.layout(Question(scale="micro")), other)
