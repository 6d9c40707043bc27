"""The table of all results: every number once, ranked on its own videos, with the paper's number and its cost."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.synthetic_results import fill
from harness.commands import harness
from harness.core.cells import Cell, Selection
from harness.core.errors import HarnessError
from harness.core.job_specs import CardSpec
from harness.core.workspace import Workspace
from harness.metrics.scores import Scores
from harness.planning.selection import cells
from harness.records.record import Record
from reports import results
from reports.evidence import Evidence, Result
from reports.tables import render
from reports.tables.model import Table, TableCell
from tests.latex import check_fits, needs_latex
from tests.specs import CELL, train_spec
from tests.unit.test_tables import scores_with

MICRO = replace(CELL, dataset="micro-hmdb51", scale="micro")
N = 280


def result(cell: Cell, right: int, *, scores: Scores | None = None, wall_s: float = 60.0) -> Result:
    """A result of a job with so many right answers of 280."""
    job = f"{cell.baseline}-{cell.modality}-{cell.split}-{cell.seed}-{right}"
    of_baseline = train_spec(cell.scale, baseline=CardSpec(cell.baseline, 1), streams=tuple(cell.modality.split("+")))
    record = Record(job, of_baseline, str(cell), {}, cell, {}, "aa", {}, {"wall_s": wall_s})
    return Result(cell, scores or scores_with(right, N, name=f"{cell.dataset}/{cell.split}/"), (record,))


def built(*members: Result, by: str = "dataset") -> results.Results:
    records = {record.job_id: record for member in members for record in member.records}
    return results.build(Evidence(records, members), by=by)


def numbers(table: Table) -> dict[str, TableCell]:
    """Title of a row -> its accuracy."""
    return {row.title: table.cells[row.key, "top1"] for row in table.rows}


def axes_of(table: Table, name: str) -> list[str]:
    return [row.axes[name] for row in table.rows]


def test_the_best_and_its_equals_are_marked_and_the_rest_are_not() -> None:
    table = built(
        result(MICRO, 270),
        result(replace(MICRO, baseline="c3d"), 268),
        result(replace(MICRO, baseline="two-stream"), 90),
    ).table
    assert [numbers(table)[row.title].rank for row in table.rows] == ["best", "tied", ""]
    assert axes_of(table, "baseline") == ["i3d", "c3d", "two-stream"]
    text = render(table)
    assert "96.4 [" in text and "] best" in text and "Holm's correction over the whole table (comparisons: 2)" in text


def test_every_data_set_has_a_best_of_its_own_and_one_number_alone_has_none() -> None:
    other = replace(MICRO, dataset="micro-ucf101")
    alone = replace(MICRO, dataset="micro-kinetics")
    table = built(
        result(MICRO, 100), result(replace(MICRO, baseline="c3d"), 30), result(other, 20), result(alone, 200),
        result(replace(other, baseline="c3d"), 250),
    ).table  # fmt: skip
    ranks = {(row.axes["dataset"], row.axes["baseline"]): table.cells[row.key, "top1"].rank for row in table.rows}
    assert ranks == {
        ("micro-hmdb51", "i3d"): "best", ("micro-hmdb51", "c3d"): "",
        ("micro-ucf101", "c3d"): "best", ("micro-ucf101", "i3d"): "",
        ("micro-kinetics", "i3d"): "",
    }  # fmt: skip


def test_a_number_on_other_videos_is_printed_and_not_ranked() -> None:
    strange = scores_with(275, N, name="another version/")
    same = [result(replace(MICRO, baseline=name), right) for name, right in (("c3d", 100), ("two-stream", 200))]
    table = built(*same, result(MICRO, 275, scores=strange)).table
    ranks = dict(zip(axes_of(table, "baseline"), [cell.rank for cell in numbers(table).values()], strict=True))
    assert ranks == {"i3d": "other videos", "two-stream": "best", "c3d": ""}
    assert "other videos: scored on other videos" in render(table)


def test_runs_with_all_splits_are_also_compared_on_the_first() -> None:
    all_splits = [result(replace(MICRO, split=split), 200 + split) for split in (1, 2, 3)]
    table = built(*all_splits, result(replace(MICRO, baseline="c3d"), 150)).table
    places = [(row.axes["baseline"], row.axes["splits"]) for row in table.rows]
    assert places == [("i3d", "1"), ("c3d", "1"), ("i3d", "1 2 3")]
    mean = table.cells[table.rows[2].key, "top1"]
    assert mean.ours == pytest.approx(100 * 202 / N) and mean.split_deviation == pytest.approx(100 / N)
    first, mean_of = (group.title for group in table.row_groups)
    assert first == "micro-hmdb51, split 1, Original, ImageNet" and mean_of == "micro-hmdb51, splits 1, 2, 3"


def test_no_result_is_lost_where_splits_have_different_seeds() -> None:
    seeds = {1: (0, 1), 2: (2,)}
    members = [result(replace(MICRO, split=s, seed=seed), 150) for s, of in seeds.items() for seed in of]
    table = built(*members).table
    assert sorted((row.axes["splits"], row.axes["seeds"]) for row in table.rows) == [("1", "0 1"), ("2", "2")]


def test_seeds_make_a_mean_and_other_settings_a_row_of_their_own() -> None:
    rate = replace(MICRO, overrides=(("train.base_lr", "0.5"),))
    other_source = replace(MICRO, protocol="full-ft", source="micro-ucf101")
    usual_source = replace(MICRO, protocol="full-ft", source="micro-kinetics")
    seeds = [result(replace(MICRO, seed=seed), 200 + 14 * seed) for seed in (0, 1)]
    table = built(*seeds, result(rate, 100), result(other_source, 90), result(usual_source, 80)).table
    titles = [row.title for group in table.row_groups for row in group.rows]
    assert titles == [
        "Two-Stream I3D, RGB, Original, seeds 0, 1",
        "Two-Stream I3D, RGB, Original, train.base_lr=0.5",
        "Two-Stream I3D, RGB, Full-FT, from micro-ucf101",
        "Two-Stream I3D, RGB, Full-FT",
    ]
    assert table.row_groups[0].title == "micro-hmdb51, split 1, ImageNet"
    mean = next(iter(numbers(table).values()))
    assert mean.ours == pytest.approx(100 * 207 / N) and mean.seeds == (0, 1) and mean.seed_deviation


def test_the_papers_networks_have_the_papers_numbers_and_others_have_none() -> None:
    theirs = replace(CELL, baseline="theirs")
    table = built(result(CELL, 140), result(replace(CELL, modality="flow"), 200), result(theirs, 140)).table
    printed = {(row.axes["baseline"], row.axes["modality"]): table.cells[row.key, "top1"].paper for row in table.rows}
    assert printed == {("i3d", "rgb"): 49.8, ("i3d", "flow"): 61.9, ("theirs", "rgb"): None}
    text = render(table)
    assert "published" in text.splitlines()[3] and "ours" in text.splitlines()[3]
    micro = built(result(MICRO, 140)).table
    assert "published" not in render(micro).split("\n\n")[1]


def test_published_weights_have_the_accuracy_on_their_card() -> None:
    published = replace(CELL, baseline="torchvision:r3d_18", dataset="kinetics400", source="published:r3d_18")
    elsewhere = replace(published, dataset="hmdb51")
    table = built(result(published, 168), result(elsewhere, 168)).table
    cell, other = (
        table.cells[row.key, "top1"] for row in sorted(table.rows, key=lambda row: row.axes["dataset"] == "hmdb51")
    )
    assert cell.paper == 63.2 and cell.verdict == "not comparable" and "5 clips" in cell.why
    assert other.paper is None and "not comparable: published for the weights" in render(table)


def test_means_over_splits_have_the_number_of_table_5() -> None:
    fine_tuned = replace(CELL, protocol="full-ft", source="kinetics400", modality="rgb+flow")
    table = built(*[result(replace(fine_tuned, split=split), 225) for split in (1, 2, 3)]).table
    (cell,) = numbers(table).values()
    assert cell.paper == 80.7 and cell.verdict == "reproduced"


def test_costs_are_of_the_whole_number() -> None:
    members = [result(replace(CELL, split=split), 140, wall_s=100.0) for split in (1, 2, 3)]
    table = built(*members).table
    row = table.rows[0].key
    costs = {name: table.cells[row, name].ours for name in ("parameters", "gmacs", "seconds")}
    assert costs["seconds"] == 300 and costs["parameters"] == pytest.approx(12.7, abs=0.1)
    assert costs["gmacs"] == pytest.approx(106.7, abs=0.1)


def test_results_of_plug_ins_that_are_not_installed_are_printed() -> None:
    absent = Cell("absent", "rgb", "absent-set", 1, "test", "absent-protocol", "scratch", "absent-source", "paper", 0)
    table = built(result(absent, 100), result(replace(absent, init="imagenet"), 200)).table
    text = render(table)
    assert "absent-set, split 1" in text and "absent, RGB, ImageNet" in text and "71.4 [" in text
    assert (table.rows[0].key, "gmacs") not in table.cells and (table.rows[0].key, "seconds") in table.cells


def test_grouped_by_baseline_a_row_begins_with_its_data_set() -> None:
    table = built(result(replace(MICRO, dataset="micro-ucf101"), 9), result(MICRO, 8), by="baseline").table
    assert [group.title for group in table.row_groups] == ["Two-Stream I3D, split 1, Original, ImageNet"]
    assert [row.title for row in table.row_groups[0].rows] == ["micro-hmdb51, RGB", "micro-ucf101, RGB"]


def test_an_unknown_order_and_an_empty_folder_are_refused() -> None:
    with pytest.raises(HarnessError, match="order of results 'size'; have: baseline, dataset"):
        built(result(MICRO, 9), by="size")
    with pytest.raises(HarnessError, match="no finished job has scored videos"):
        built()


def many() -> Table:
    """More rows than fit a page, with the long names of a folder that is gone."""
    name = "hf:/data/someone/networks/videomae_base_finetuned_something_something.v2.second_run"
    long = replace(MICRO, baseline=name, overrides=(("train.base_lr", "0.0003"), ("train.weight_decay", "0.05")))
    rates = [replace(MICRO, overrides=(("train.base_lr", f"0.{number:03}"),)) for number in range(1, 80)]
    return built(*[result(cell, 100 + number) for number, cell in enumerate([long, MICRO, *rates])]).table


def test_latex_has_a_longtable_per_group_whose_long_words_may_be_broken() -> None:
    other = result(replace(MICRO, dataset="micro-ucf101"), 9)
    text = render(built(result(MICRO, 8), other).table, "latex")
    assert text.count(r"\begin{longtable}") == text.count(r"\end{longtable}") == text.count(r"\caption") == 2
    text = render(many(), "latex")
    assert r"\allowbreak{}something" in text and text.count(r" \\") == 1 + 81
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


@needs_latex
def test_latex_of_many_results_with_long_names_compiles_and_fits(tmp_path: Path) -> None:
    by_baseline = built(
        *[result(replace(MICRO, baseline=f"hf:/{'a_long_folder/' * 9}"), right) for right in (1,)], by="baseline"
    )
    check_fits([render(many(), "latex"), render(by_baseline.table, "latex")], tmp_path)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("results")
    workspace = Workspace(folder / "data", folder / "results")
    fill(
        workspace,
        cells(
            Selection(baselines=("i3d", "c3d"), datasets=("micro-hmdb51",), protocols=("original",), inits=("scratch",))
        ),
    )
    return workspace


def table_of(workspace: Workspace, *flags: str) -> str:
    folders = ["--results", str(workspace.results), "--data", str(workspace.data)]
    answer = CliRunner().invoke(harness, ["table", "results", *folders, *flags], catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return answer.output


def test_formats_for_programs_have_a_line_per_number_with_axes_and_costs(workspace: Workspace) -> None:
    rows = list(csv.DictReader(io.StringIO(table_of(workspace, "--format", "csv", "--metric", "top5"))))
    assert [(row["baseline"], row["metric"]) for row in rows[:2]] == [
        (rows[0]["baseline"], "top1"),
        (rows[0]["baseline"], "top5"),
    ]
    assert {row["splits"] for row in rows} == {"1"} and all(float(row["gmacs"]) > 0 for row in rows)
    stored = json.loads(table_of(workspace, "--format", "json", "--significance"))
    assert {cell["rank"] for cell in stored["cells"]} >= {"best"} and stored["significance"]["rows"]


@pytest.mark.parametrize("width", [80, 120])
def test_the_grid_fits_the_terminal(workspace: Workspace, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    grid = [line for line in table_of(workspace).splitlines() if "  " in line]
    assert max(map(len, grid)) <= width and sum("M params" in line for line in grid) == 1


@pytest.mark.parametrize(
    "flags, message",
    [
        (["results", "--run"], "--run is for Tables 1 to 5"),
        (["results", "--seed", "1"], "--seed is for Tables 1 to 5"),
        (["4", "--by", "baseline"], "use `harness table results --by baseline`"),
        (["results", "--format", "csv", "--significance"], "a CSV file holds one table"),
    ],
)
def test_flags_of_the_other_kind_of_table_are_refused(flags: list[str], message: str, tmp_path: Path) -> None:
    answer = CliRunner().invoke(harness, ["table", *flags, "--results", str(tmp_path)])
    assert isinstance(answer.exception, HarnessError) and message in str(answer.exception)
