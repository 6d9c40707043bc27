"""Table 1, computed: every printed number is met, and parameters are the exact integers behind the rounded ones."""

from __future__ import annotations

import pytest

from harness.analysis import paper_numbers
from harness.core import registry
from harness.core.contract import Clip
from harness.models.measure import Size
from reports import tables
from reports.tables import table_1
from reports.tables.model import Table

EXACT = {
    # With batch norm's scale; fact by arithmetic over the layer tables, 400 classes.
    "c3d": 79_645_520,
    "two-stream": 12_073_120,
    "fused-3d": 39_770_896,
    "i3d": 25_372_576,
}


def no_records(cell: object) -> None:
    raise AssertionError("Table 1 needs no records")


@pytest.fixture(scope="module")
def table() -> Table:
    return tables.build(1, no_records, tables.Question(scale="paper"))


def test_every_printed_number_is_met(table: Table) -> None:
    printed = paper_numbers.table(1)
    assert len(printed) == 31
    for key, number in printed.items():
        cell = table.cells[key]
        assert cell.paper == number.value
        assert cell.verdict == "reproduced", (key, cell.why)


@pytest.mark.parametrize("name", EXACT)
def test_parameters_are_exact(table: Table, name: str) -> None:
    card = registry.load("baseline", name)
    told = table.cells[registry.dashed(name), "params_m"].ours
    assert told == EXACT[card.name] / 1e6


def test_operations_of_i3d_are_those_of_its_layer_table(table: Table) -> None:
    assert table.cells["i3d", "gmacs"].ours == pytest.approx(111.2 + 102.3, abs=0.2)
    assert table.cells["i3d", "gmacs"].verdict == "nothing to compare"


def test_receptive_fields_in_time_are_measured(table: Table) -> None:
    told = {row.key: table.cells[row.key, "sees_frames"].ours for row in table.rows}
    # 25 frames 5 apart; 16 frames; a stack of 10; 50 of flow; and section A of the layer table.
    papers = {"convnet-lstm": 121, "c3d": 16, "two-stream": 10, "fused-3d": 50, "i3d": 107}
    # 8 frames 8 apart; 16 frames 4 apart; a stack of 5.
    assert told == papers | {"i3d-r50": 57, "i3d-r50-nl": 57, "per-frame": 61, "tsn": 5}


def test_a_wrong_clip_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    card = registry.load("baseline", "two_stream")
    monkeypatch.setitem(card.test_clip, "paper", Clip(window=10, side_px=224, count=25))
    monkeypatch.setattr(table_1, "size_of", lambda *_, **__: Size(12_073_120, 0, 0, 10))
    wrong = tables.build(1, no_records, tables.Question(scale="paper")).cells["two-stream", "test/rgb_frames"]
    assert (wrong.ours, wrong.paper, wrong.verdict) == (250, 25, "above")


def test_the_micro_networks_are_not_held_against_the_papers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_1, "size_of", lambda *_, **__: Size(1_000_000, 10**9, 2**20, 107))
    micro = tables.build(1, no_records, tables.Question(scale="micro"))
    assert {cell.verdict for cell in micro.cells.values()} == {"not comparable"}


def test_footprint_counts_every_clip() -> None:
    assert table_1.footprint_s(Clip(window=16, side_px=112, count=15)) == pytest.approx(9.6)


@pytest.mark.parametrize("how", ["terminal", "markdown", "latex", "csv", "json", "html"])
def test_every_format_prints_it(table: Table, how: str) -> None:
    text = tables.render(table, how)
    assert {"csv": "25.3726", "json": "25.372576"}.get(how, "25.4") in text
    if how == "terminal":
        assert max(map(len, text.split("\n\nRGB and")[0].splitlines())) <= 120
