"""One damaged record costs one record: it is named once with its remedy, the rest is shown, and the status is 1."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from benchmarks.synthetic_results import cells, fill
from harness import commands
from harness.core.errors import RecordError
from harness.core.workspace import Workspace, resolve_workspace
from harness.records.record import SCORES, RunStore
from tests.damage import DAMAGES

JOBS = 70
EVERY = 8
"""Each command reads a folder with every eighth kind of damage: by then they are all the same kind of error."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Records of the first cells of the tables."""
    folder = tmp_path_factory.mktemp("records")
    workspace = resolve_workspace(str(folder / "data"), str(folder / "results"))
    fill(workspace, cells(1), limit=JOBS)
    return workspace


@pytest.fixture(scope="module")
def scored(sound: Workspace) -> list[str]:
    """Ids of the jobs with scores."""
    return [record.job_id for record in RunStore(sound.runs) if SCORES in record.files]


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_record_is_left_out_and_named(name: str, sound: Workspace, scored: list[str], tmp_path: Path) -> None:
    first, second = scored[:2]
    for job_id in (first, second):
        shutil.copytree(sound.runs / job_id, tmp_path / job_id)
    DAMAGES[name](tmp_path / first)
    run_store = RunStore(tmp_path)
    assert [record.job_id for record, _ in run_store.with_scores()] == [second]
    assert list(run_store.damaged) == [first]
    message = str(run_store.damaged[first])
    assert str(tmp_path / first) in message and len(message) < 1000
    assert "remove" in message or "--results" in message or "no record at" in message
    with pytest.raises(RecordError):
        run_store.read(first).scores()


@pytest.fixture(scope="module")
def damaged(
    sound: Workspace, scored: list[str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Workspace, list[str]]:
    """A copy of the records in which one has each of several kinds of damage; their ids."""
    folder = tmp_path_factory.mktemp("damaged")
    shutil.copytree(sound.results, folder / "results")
    workspace = resolve_workspace(str(folder / "data"), str(folder / "results"))
    damages = list(DAMAGES.values())[::EVERY]
    jobs = scored[: len(damages)]
    assert 10 < len(jobs) < len(scored) - 10
    for job_id, damage in zip(jobs, damages, strict=True):
        damage(workspace.runs / job_id)
    return workspace, jobs


def invoke(workspace: Workspace, *words: str) -> Result:
    return CliRunner().invoke(
        commands.harness, [*words, "--data", str(workspace.data), "--results", str(workspace.results)]
    )


@pytest.mark.parametrize(
    "words, all_are_read",
    [
        (("ls", "jobs"), True),
        (("claims", "--scale", "micro", "--format", "json"), False),
        (("table", "4", "--scale", "micro", "--with-cost"), False),
        (("table", "results", "--format", "csv"), True),
        (("report", "--scale", "micro", "--format", "csv,html"), True),
    ],
    ids=["ls", "claims", "table", "results", "report"],
)
def test_a_command_shows_the_rest(
    words: tuple[str, ...], all_are_read: bool, damaged: tuple[Workspace, list[str]], tmp_path: Path
) -> None:
    """Claims and tables read the scores of the cells that they ask for, the others the scores of every record."""
    workspace, jobs = damaged
    done = invoke(workspace, *words, *(("--out", str(tmp_path)) if words[0] == "report" else ()))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    shown = done.stdout + "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    # The id of a job without a record may be printed where another job builds on it.
    shown = re.sub(r"<code>\w+</code> \(not in this report\)", "", shown)
    assert not [job_id for job_id in jobs if job_id in shown], "a number of a damaged record"
    faults = [line for line in done.stderr.splitlines() if line.startswith("harness: left out")]
    assert done.exit_code == 1 and len(shown.splitlines()) > 5
    assert len(faults) == len({job_id for line in faults for job_id in jobs if job_id in line})
    assert len(faults) == len(jobs) if all_are_read else 0 < len(faults) <= len(jobs)


def test_the_jobs_that_are_listed_are_those_that_are_sound(
    sound: Workspace, damaged: tuple[Workspace, list[str]]
) -> None:
    before, after = (invoke(workspace, "ls", "jobs").stdout for workspace in (sound, damaged[0]))
    # Columns are as wide as their longest entry.
    rows = {line.split()[0]: line.split()[1:] for line in before.splitlines()}
    left = {line.split()[0]: line.split()[1:] for line in after.splitlines()}
    assert left.keys() == rows.keys() - set(damaged[1])
    assert all(left[job_id] == rows[job_id] for job_id in left if job_id not in ("------------", "job"))


def test_a_plan_needs_no_record(damaged: tuple[Workspace, list[str]]) -> None:
    done = invoke(damaged[0], "plan", "--table", "4", "--scale", "micro")
    assert done.exit_code == 0 and "to run" in done.stdout


def test_without_damage_the_status_is_0(sound: Workspace) -> None:
    done = invoke(sound, "claims", "--scale", "micro", "--format", "json")
    assert done.exit_code == 0 and done.stderr == ""
    assert json.loads(done.stdout)
