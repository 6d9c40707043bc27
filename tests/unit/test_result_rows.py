"""Rows of results: those of other sources, settings and seeds can be told apart, wherever jobs are listed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.synthetic_results import fill
from harness.commands import harness, run
from harness.core.cells import Cell, Selection
from harness.core.workspace import Workspace
from harness.planning.plan import make_plan
from harness.planning.results import Result
from harness.planning.selection import cells
from harness.records.caveats import caveats_of
from tests.unit.test_tables import scores_with

PUBLISHED = Selection(
    datasets=("hmdb51",), modalities=("rgb",), protocols=("full-ft", "fixed"), source="published:pytorch-i3d"
)
RATES = ("0.5", "0.25")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "data", tmp_path / "results")


def at_rate(rate: str) -> Selection:
    overrides = (("train.base_lr", rate),)
    return Selection(("c3d",), datasets=("micro-hmdb51",), protocols=("original",), overrides=overrides)


def table_of(selection: Selection) -> str:
    scores = scores_with(5, 10)
    return run.cells_table([Result(cell=cell, scores=scores, job_ids=("aaaaaaaaaaaa",)) for cell in cells(selection)])


def test_published_weights_are_named_with_their_provenance(workspace: Workspace) -> None:
    text = table_of(PUBLISHED)
    assert "source" in text.splitlines()[0].split()
    assert text.count("  published:pytorch-i3d  ") == 2
    assert text.count("hmdb51: this starts from published weights 'pytorch-i3d', provenance: unknown.") == 1
    titles = [job.title for job in make_plan(cells(PUBLISHED), workspace, dry_run=True).jobs]
    assert len(titles) == 3 and all("· from published:pytorch-i3d" in title for title in titles)


def test_weights_of_a_plug_in_that_is_not_installed_are_unknown() -> None:
    absent = Cell("absent", "rgb", "absent-too", 1, "test", "full-ft", "scratch", "published:theirs", "paper", 0)
    assert caveats_of(absent) == ("starts from published weights 'theirs', provenance: unknown",)
    assert "from published:theirs" in str(absent)


def test_another_source_is_named_and_the_usual_one_is_not() -> None:
    usual = Selection(datasets=("micro-hmdb51",), protocols=("full-ft",))
    assert "micro-kinetics" not in table_of(usual).split("\n\n")[0] and "source" not in table_of(usual)
    other = Selection(datasets=("micro-hmdb51",), protocols=("full-ft",), source="micro-ucf101")
    assert "micro-ucf101" in table_of(other)
    (cell,) = cells(other)
    assert str(cell).endswith("· from micro-ucf101")


@pytest.mark.parametrize(
    ("key", "values", "fixed"),
    [
        ("train.base_lr", RATES, ("fixed",)),
        ("source.base_lr", RATES, ("fixed",)),
        ("images.steps", ("5", "6"), ("full-ft", "fixed")),
        ("flow.warps", ("2", "3"), ("full-ft",)),
        ("scale.width", ("0.125", "0.0625"), ("fixed",)),
        ("scale.fps", ("12.5", "6.25"), ("full-ft",)),
    ],
)
def test_jobs_that_differ_in_a_setting_have_other_titles(
    workspace: Workspace, key: str, values: tuple[str, ...], fixed: tuple[str, ...]
) -> None:
    asked = Selection(datasets=("micro-hmdb51",), protocols=fixed)
    both = [*cells(asked)]
    for value in values:
        both += cells(replace(asked, overrides=((key, value),)))
    jobs = make_plan(both, workspace).jobs
    assert len({job.title for job in jobs}) == len(jobs)


def test_a_sweep_is_readable_in_the_row_of_a_run_and_in_the_list_of_jobs(workspace: Workspace) -> None:
    for rate in RATES:
        assert f"  train.base_lr={rate}  " in table_of(at_rate(rate))
        fill(workspace, cells(at_rate(rate)))
    folders = ["--data", str(workspace.data), "--results", str(workspace.results)]
    listed = CliRunner().invoke(harness, ["ls", "jobs", *folders], catch_exceptions=False).output
    assert all(f"original.base_lr={rate}" in listed for rate in RATES)
