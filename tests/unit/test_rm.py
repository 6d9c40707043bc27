"""`harness rm` and `harness ls jobs --json`: jobs are listed for programs, and deleted with those built on them or not at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from benchmarks.synthetic_results import fill
from harness.commands import harness
from harness.core.cells import Selection
from harness.core.errors import HarnessError
from harness.core.workspace import Workspace
from harness.planning.selection import cells
from harness.records.record import RunStore


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A pre-training, and two trainings that were built on it."""
    workspace = Workspace(tmp_path / "data", tmp_path / "results")
    fill(workspace, cells(Selection(("c3d",), datasets=("micro-hmdb51",), protocols=("full-ft",), seeds=(0, 1))))
    return workspace


def run(workspace: Workspace, *words: str) -> Result:
    folders = ["--data", str(workspace.data), "--results", str(workspace.results)]
    return CliRunner().invoke(harness, [*words, *folders], catch_exceptions=False, standalone_mode=False)


def listed(workspace: Workspace) -> list[dict]:
    return json.loads(run(workspace, "ls", "jobs", "--json").stdout)


def test_jobs_and_plug_ins_are_listed_as_json(workspace: Workspace) -> None:
    jobs = listed(workspace)
    assert [job["job_id"] for job in jobs] == sorted(
        RunStore(workspace.runs).ids(), key=[j["job_id"] for j in jobs].index
    )
    assert len(jobs) == 3 and all(job["metrics"]["top1"]["value"] > 0 for job in jobs)
    assert {job["cell"]["seed"] for job in jobs} == {0, 1}
    scales = json.loads(run(workspace, "ls", "scales", "--json").stdout)
    assert [scale["scale"] for scale in scales] == ["micro", "paper"]
    with pytest.raises(HarnessError, match="--json prints lists"):
        run(workspace, "ls", "scales", "micro", "--json")


def test_an_empty_results_folder_is_an_empty_list(tmp_path: Path) -> None:
    assert listed(Workspace(tmp_path, tmp_path)) == []


def test_a_job_is_deleted_when_it_is_meant(workspace: Workspace) -> None:
    last = next(job["job_id"] for job in listed(workspace) if job["cell"]["seed"] == 1)
    shown = run(workspace, "rm", last[:8]).stdout
    assert last in shown and "Nothing was deleted. Add --yes to delete it." in shown and len(listed(workspace)) == 3
    assert "Deleted 1 job." in run(workspace, "rm", last[:8], "--yes").stdout
    assert len(listed(workspace)) == 2 and not [path for path in workspace.runs.iterdir() if last in path.name]


def test_jobs_that_others_were_built_on_take_those_along_or_stay(workspace: Workspace) -> None:
    source = next(job["job_id"] for job in listed(workspace) if not job["upstream"])
    with pytest.raises(HarnessError, match="2 jobs were built on these: .*; add --dependents to delete them too"):
        run(workspace, "rm", source, "--yes")
    assert len(listed(workspace)) == 3
    assert "Deleted 3 jobs." in run(workspace, "rm", source, "--yes", "--dependents").stdout
    assert listed(workspace) == []


def test_a_damaged_record_can_be_deleted_and_an_unknown_one_is_refused(workspace: Workspace) -> None:
    job_id = next(job["job_id"] for job in listed(workspace) if job["upstream"])
    (workspace.runs / job_id / "record.json").write_text("{")
    assert "(damaged record)" in run(workspace, "rm", job_id).stdout
    assert "Deleted 1 job." in run(workspace, "rm", job_id, "--yes").stdout
    with pytest.raises(HarnessError, match="no job in .* that starts with 'zzz'"):
        run(workspace, "rm", "zzz", "--yes")


def test_a_link_to_a_record_elsewhere_is_removed_and_not_the_record(workspace: Workspace, tmp_path: Path) -> None:
    job_id = next(job["job_id"] for job in listed(workspace) if job["upstream"])
    shutil.move(workspace.runs / job_id, tmp_path / job_id)
    (workspace.runs / job_id).symlink_to(tmp_path / job_id)
    run(workspace, "rm", job_id, "--yes")
    assert len(listed(workspace)) == 2 and (tmp_path / job_id / "record.json").is_file()


def test_a_name_in_another_spelling_is_noted(workspace: Workspace) -> None:
    words = ["plan", "--baseline", "C3D", "--dataset", "micro_hmdb51", "--protocol", "full_ft", "--init", "scratch"]
    done = run(workspace, *words, "--json")
    assert done.stderr.splitlines() == [
        "note: --baseline C3D was read as c3d",
        "note: --dataset micro_hmdb51 was read as micro-hmdb51",
        "note: --protocol full_ft was read as full-ft",
    ]
    assert json.loads(done.stdout)["cells"]
