"""Tables that fit the terminal: whole, then shared columns above and long ones wrapped; in a pipe, one line per row."""

from __future__ import annotations

import pytest

from harness.commands import run
from harness.core.cells import Selection
from harness.metrics.registered import named
from harness.metrics.summary import repeats_another
from harness.planning.results import Result
from harness.planning.selection import cells
from reports.columns import table
from tests.unit.test_tables import scores_with

ROWS = [
    {"baseline": name, "data set": "micro-hmdb51/1", "protocol": "full-ft", "what": " · ".join(["words"] * 12), "n": n}
    for n, name in enumerate(("i3d", "two-stream"))
]
IDS = ("37e76001beb9", "b2f8c91d0aa1")


def at(width: int | None, monkeypatch: pytest.MonkeyPatch, rows: list[dict]) -> str:
    monkeypatch.delenv("COLUMNS", raising=False)
    if width is not None:
        monkeypatch.setenv("COLUMNS", str(width))
    return table(rows)


@pytest.mark.parametrize("width", [None, 200])
def test_a_wide_enough_screen_and_a_pipe_get_one_line_per_row(
    width: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = at(width, monkeypatch, ROWS).splitlines()
    assert len(lines) == 4 and lines[0].split()[:3] == ["baseline", "data", "set"]


def test_what_all_rows_share_goes_above_and_long_columns_are_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    text = at(60, monkeypatch, ROWS)
    assert text.startswith("All rows: data set micro-hmdb51/1, protocol full-ft, what\nwords")
    several = [row | {"what": f"{row['what']} {row['n']}"} for row in ROWS]
    text = at(60, monkeypatch, several)
    assert text.startswith("All rows: data set micro-hmdb51/1, protocol full-ft\n\nbaseline")
    assert all(len(line) <= 60 for line in text.splitlines()) and text.count("words") == 24


def test_headings_are_wrapped_too(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"videos (train/scored)": str(n), "transfers from": f"set {n}", "name": f"name {n}"} for n in range(2)]
    lines = at(36, monkeypatch, rows).splitlines()
    assert max(map(len, lines)) <= 36 and [line.split()[0] for line in lines[:2]] == ["videos", "(train/scored)"]


def test_a_single_row_becomes_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = at(40, monkeypatch, ROWS[:1]).splitlines()
    assert [line.split()[0] for line in lines] == ["baseline", "data", "protocol", "what", "n"]


def results(modality: str, count: int = 2) -> list[Result]:
    chosen = Selection(
        ("i3d", "two-stream")[:count], (modality,), ("micro-hmdb51",), protocols=("fixed",), inits=("imagenet",)
    )
    jobs = IDS if modality == "rgb+flow" else IDS[:1]
    return [Result(cell=cell, scores=scores_with(5, 10), job_ids=jobs) for cell in cells(chosen)]


@pytest.mark.parametrize("modality", ["rgb", "rgb+flow"])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("width", [80, 120])
def test_the_result_of_a_run_fits_and_job_ids_stay_whole(
    width: int, count: int, modality: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = run.cells_table(results(modality, count)).partition("\n\nmicro-hmdb51: this")[0]
    assert max(len(line) for line in text.splitlines()) <= width, text
    assert text.count(IDS[0]) >= 1 and (modality == "rgb" or IDS[1] in text)


def test_the_mean_over_classes_is_shown_where_classes_differ_in_size() -> None:
    balanced, unbalanced = scores_with(5, 10), scores_with(5, 10)
    sizes = unbalanced.labels.copy()
    sizes[:] = 0
    sizes[:3] = 1
    unbalanced = type(unbalanced)(**(vars(unbalanced) | {"labels": sizes}))
    metric = named("mean_class")
    (cell,) = [result.cell for result in results("rgb", 1)]
    for scores, shown in ((balanced, False), (unbalanced, True)):
        assert repeats_another(metric, scores) is not shown
        text = run.cells_table([Result(cell=cell, scores=scores, job_ids=IDS[:1])])
        assert ("mean class" in text) is shown and "top-5" in text
    assert not repeats_another(named("top1"), balanced)
    both = [Result(cell=cell, scores=scores, job_ids=IDS[:1]) for scores in (balanced, unbalanced)]
    assert "mean class" in run.cells_table(both)
