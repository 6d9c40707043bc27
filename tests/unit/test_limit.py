"""`--limit N`: the first N videos of every subset by id. Another job, marked wherever its number is printed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.synthetic_results import fill
from harness import api
from harness.commands import harness, run
from harness.core.cells import Selection
from harness.core.contract import Listing, Video
from harness.core.errors import HarnessError
from harness.core.workspace import Workspace
from harness.data.splits import first_videos
from harness.planning.command import command_of
from harness.planning.cost import estimates
from harness.planning.lookup import lookup_in
from harness.planning.plan import Plan, make_plan
from harness.planning.selection import cells
from harness.records.record import RunStore
from harness.records.tracking import content
from reports import tables
from reports.evidence import gather
from reports.page.content import collect
from reports.page.write import rendered
from reports.table_output import cells_of

COMPLETE = Selection(("c3d",), ("rgb",), ("micro-hmdb51",), protocols=("full-ft",))
LIMITED = replace(COMPLETE, limit=8)
MARK = "run on the first 8 videos of every subset alone (--limit 8)"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "data", tmp_path / "results")


@pytest.fixture
def filled(workspace: Workspace) -> Workspace:
    """The results of the same cell, complete and limited."""
    fill(workspace, [*cells(COMPLETE), *cells(LIMITED)])
    return workspace


def folders(workspace: Workspace) -> list[str]:
    return ["--data", str(workspace.data), "--results", str(workspace.results)]


def output(*words: str) -> str:
    done = CliRunner().invoke(harness, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def video(name: str, label: int = 0) -> Video:
    return Video(id=name, path=f"{name}.mp4", label=label)


def test_the_first_videos_by_id_in_the_order_of_the_list() -> None:
    listing = Listing(("a", "b"), {"train": tuple(map(video, "dbca")), "test": (video("z"), video("y"))})
    first = first_videos(listing, 3)
    assert [v.id for v in first.subsets["train"]] == ["b", "c", "a"]
    assert [v.id for v in first.subsets["test"]] == ["z", "y"] and first.classes == ("a", "b")


def test_missing_videos_count_so_that_the_choice_does_not_depend_on_the_disk() -> None:
    missing = {"b": "train", "e": "train", "x": "test"}
    listing = Listing(("a",), {"train": tuple(map(video, "acd")), "test": (video("y"),)}, tuple(missing), missing)
    first = first_videos(listing, 2)
    assert [v.id for v in first.subsets["train"]] == ["a"] and first.missing_of("train") == ("b",)
    assert [v.id for v in first.subsets["test"]] == ["y"] and first.missing_of("test") == ("x",)


def test_a_missing_video_of_an_unknown_subset_counts_in_each_subset_whose_first_videos_it_is_among() -> None:
    listing = Listing(("a",), {"train": (video("c"), video("d")), "test": (video("a"), video("b"))}, ("ab", "b5"))
    first = first_videos(listing, 2)
    present = {name: [v.id for v in videos] for name, videos in first.subsets.items()}
    assert present == {"train": [], "test": ["a"]}
    assert first.missing_of("train") == ("ab", "b5") and first.missing_of("test") == ("ab",)


def plan_of(selection: Selection, workspace: Workspace) -> Plan:
    return make_plan(cells(selection), workspace, dry_run=True)


def test_the_limit_is_part_of_every_job_and_of_its_title(workspace: Workspace) -> None:
    complete, limited, other = (plan_of(replace(COMPLETE, limit=n), workspace).jobs for n in (0, 8, 9))
    assert len(limited) == len(complete) == 2
    assert len({job.id for job in (*complete, *limited, *other)}) == 6
    assert all(job.spec.dataset.limit == 8 and job.title.endswith(" · limit 8") for job in limited)
    assert not any("limit" in job.title for job in complete)


def test_a_limited_plan_is_cheaper(workspace: Workspace) -> None:
    scoring = {"overrides": (("train.steps", "1"), ("source.steps", "1"))}
    seconds = [
        sum(cost.seconds for cost in estimates(plan, [], flops=5e10).values())
        for plan in (plan_of(replace(COMPLETE, limit=limit, **scoring), workspace) for limit in (0, 8))
    ]
    assert seconds[1] < seconds[0] / 2


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_another_limit_is_refused(value: str) -> None:
    done = CliRunner().invoke(harness, ["plan", "--dataset", "micro-hmdb51", "--protocol", "fixed", f"--limit={value}"])
    assert f"--limit {value}: expected a number of videos, 1 or more" in str(done.exception)


def test_a_selection_file_and_python_take_it(tmp_path: Path, workspace: Workspace) -> None:
    (tmp_path / "s.toml").write_text('dataset = "micro-hmdb51"\nprotocol = "fixed"\nlimit = 8\n')
    where = {"data": workspace.data, "results": workspace.results}
    for plan in (
        api.plan(file=tmp_path / "s.toml", **where),
        api.plan(dataset="micro-hmdb51", protocol="fixed", limit=8, **where),
    ):
        assert {cell.limit for cell in plan.plan.cells} == {8}


def test_a_table_of_the_paper_refuses_it(workspace: Workspace) -> None:
    with pytest.raises(HarnessError, match="leave out --limit"):
        cells_of(Selection(limit=8), "4")


def test_the_command_of_a_cell_has_it() -> None:
    (cell,) = cells(LIMITED)
    assert "--limit 8" in command_of(cell) and str(cell).endswith("limit 8")
    assert run.showing([cell]) == "harness table results"


def test_every_number_is_marked(filled: Workspace) -> None:
    ((cell,), plan) = cells(LIMITED), plan_of(LIMITED, filled)
    results = run.results_of(plan, RunStore(filled.runs))
    printed = run.cells_table(results)
    assert "limit" in printed.splitlines()[0].split() and f"micro-hmdb51: this was {MARK}." in printed
    assert f"was {MARK}" in run._as_dict(results[0])["caveats"] and run._as_dict(results[0])["cell"]["limit"] == 8
    assert results.frame()["limit"].tolist() == [8]
    (job,) = (job for job in plan.jobs if job.cell == cell and job.kind == "train")
    assert "· limit 8  " in output("ls", "jobs", *folders(filled))
    tags = content.axes(job.spec, job.cell)
    assert tags["limit"] == "8" and content.reportable({}, limit=8) == "false"
    assert f"It was {MARK}." in content.note(RunStore(filled.runs).read(job.id))
    assert "limit" not in content.axes_of(replace(cell, limit=0))


def test_all_results_name_it_and_rank_it_apart(filled: Workspace) -> None:
    text = output("table", "results", *folders(filled))
    assert "the first 8 videos of every subset" in text and f"*: was {MARK}." in text
    frame = api.results(filled.results).query("dataset == 'micro-hmdb51'").set_index("limit")
    assert sorted(frame.index) == ["", "8"] and frame.loc["8", "caveat"] == f"was {MARK}"
    assert set(frame["rank"]) == {""}
    rows = json.loads(output("table", "results", "--format", "json", *folders(filled)))
    assert MARK in json.dumps(rows)


def test_no_table_claim_or_figure_counts_it(workspace: Workspace) -> None:
    (cell,) = cells(LIMITED)
    fill(workspace, [cell])
    run_store = RunStore(workspace.runs)
    lookup = lookup_in(workspace, run_store)
    assert lookup(cell) and lookup(replace(cell, limit=0)) is None
    table = tables.build(4, lookup, tables.Question(scale="micro"))
    assert not any(number.ours is not None for number in table.cells.values())
    assert not gather(run_store, scale="micro").complete.results
    page = collect(workspace, run_store, scale="micro")
    assert page.overview is None and not page.sections and all(claim.verdict == "not run" for claim in page.claims)
    jobs = [job for job in page.jobs if job.top1]
    assert len(jobs) == 2 and all(MARK in job.facts["caveats"] and "limit 8" in job.title for job in jobs)
    assert "the first 8 videos of every subset" in rendered(page, ("html",))["index.html"].decode()
