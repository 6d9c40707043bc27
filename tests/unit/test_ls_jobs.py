"""`harness ls jobs`: finished, running and stopped jobs, filtered and sorted, as text and as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.synthetic_results import fill
from harness.commands import harness
from harness.commands.ls.jobs import SORT_KEYS
from harness.core import locks
from harness.core.cells import Selection
from harness.core.errors import HarnessError
from harness.core.workspace import Workspace
from harness.planning.plan import make_plan
from harness.planning.selection import cells
from harness.records.started import JOB, note_start, started_jobs

SELECTION = Selection(
    ("c3d", "two-stream"),
    ("rgb",),
    ("micro-hmdb51",),
    protocols=("original", "full-ft"),
    inits=("scratch",),
    seeds=(0, 1, 2),
)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("jobs")
    workspace = Workspace(folder / "data", folder / "results")
    fill(workspace, cells(SELECTION))
    return workspace


def output(workspace: Workspace, *words: str) -> str:
    folders = ["--data", str(workspace.data), "--results", str(workspace.results)]
    done = CliRunner().invoke(harness, ["ls", *words, *folders], catch_exceptions=False, standalone_mode=False)
    if done.exception:
        raise done.exception
    return done.stdout


def listed(workspace: Workspace, *words: str) -> list[dict]:
    return json.loads(output(workspace, "jobs", "--json", *words))


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("", 14),
        ("--baseline c3d", 7),
        ("--baseline c3d,two-stream --protocol full_ft", 6),
        ("--dataset micro-hmdb51", 12),
        ("--dataset micro-kinetics", 2),
        ("--seed 1-2", 8),
        ("--seed 2 --protocol original --baseline two-stream", 1),
        ("--state finished", 14),
        ("--state running,stopped", 0),
        ("--dataset hmdb51", 0),
    ],
)
def test_a_filter_keeps_the_jobs_that_have_one_of_its_values(filled: Workspace, words: str, count: int) -> None:
    assert len(listed(filled, *words.split())) == count
    text = output(filled, "jobs", *words.split())
    assert len([line for line in text.splitlines() if " train " in line]) == count
    assert ("None of the 14 jobs matches." in text) == (not count)


@pytest.mark.parametrize("key", [*SORT_KEYS, *(f"-{key}" for key in SORT_KEYS)])
def test_every_key_sorts_both_ways(filled: Workspace, key: str) -> None:
    rows = listed(filled, "--sort", key)
    of = {
        "top1": lambda row: row["metrics"]["top1"]["value"],
        "took": lambda row: row["cost"]["wall_s"],
        "finished": lambda row: row["finished_at"],
        "what": lambda row: row["title"],
    }
    name = key.removeprefix("-")
    values = [of[name](row) if name in of else row.get(name) or row["cell"].get(name, 0) for row in rows]
    assert len(rows) == 14 and values == sorted(values, reverse=key.startswith("-"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("jobs --sort top-1", "no sort key 'top-1'; have: .*did you mean 'top1'"),
        ("jobs --state done", "no state 'done'; have: finished, running, stopped"),
        ("jobs --seed 3-1", "expected whole numbers from 0, or ranges"),
        ("baselines --sort what", "--sort chooses among jobs; use `harness ls jobs --sort"),
        ("datasets --baseline i3d --seed 1", "--baseline and --seed choose"),
    ],
)
def test_anything_else_is_refused(filled: Workspace, words: str, message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        output(filled, *words.split())


def test_a_started_job_is_running_or_stopped(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "data", tmp_path / "results")
    one, other = make_plan(cells(replace(SELECTION, protocols=("original",), seeds=(0,))), workspace).jobs
    for job in (one, other):
        note_start(workspace.jobs, job)
    with locks.job_lock(workspace.jobs, one.id):
        states = {row["job_id"]: row["state"] for row in listed(workspace)}
        assert states == {one.id: "running", other.id: "stopped"}
        text = output(workspace, "jobs", "--state", "stopped")
        assert other.title in text and "state" in text.splitlines()[0] and one.id not in text
        assert [row["title"] for row in listed(workspace, "--baseline", "c3d")] == [one.title]
    assert {row["state"] for row in listed(workspace)} == {"stopped"}


def test_a_file_of_a_started_job_that_cannot_be_read_is_no_job(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "data", tmp_path / "results")
    (job, *_) = make_plan(cells(SELECTION), workspace).jobs
    note_start(workspace.jobs, job)
    path = workspace.jobs / job.id / JOB
    sound = path.read_text()
    assert [started.job for started in started_jobs(workspace)] == [replace(job, provisional=False)]
    for damaged in ("", "{}", "[]", sound[:-20], sound.replace('"c3d"', '"i3d"')):
        path.write_text(damaged)
        assert list(started_jobs(workspace)) == []
    path.write_text(sound)
    (workspace.runs / job.id).mkdir(parents=True)
    assert list(started_jobs(workspace)) == [], "its record was written before its folder was removed"
