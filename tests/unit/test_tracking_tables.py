"""A team renders its tables from the tracking server alone: pulled records give the same table as the pushed ones."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from harness.core.cells import Cell, Job
from harness.core.workspace import Workspace
from harness.metrics.scores import counts
from harness.planning.lookup import lookup_in
from harness.planning.plan import Planner
from harness.records.record import RunStore, write_record, write_scores
from harness.records.tracking import open_tracker, pull, push
from reports import tables
from tests.unit.test_tracking import finished, runs_in

ROWS = {"c3d": ("rgb",), "i3d": ("rgb+flow",)}


def filled(workspace: Workspace) -> list[Cell]:
    """Records, with scores made up, of the jobs behind some cells of Table 4; the ids are the plan's own."""
    cells = [
        cell
        for cell in tables.wanted(4, tables.Question(scale="micro"))
        if cell.modality in ROWS.get(cell.baseline, ())
        and (cell.dataset, cell.protocol) == ("micro-hmdb51", "original")
    ]
    planner = Planner(workspace)
    wanted = {job_id for cell in cells for job_id in planner.jobs_of(cell)}
    model = finished(0, workspace.results / "model")
    for job in (planner.jobs[job_id] for job_id in wanted):
        leave(job, model, workspace.runs)
    return cells


def leave(job: Job, model, runs: Path) -> None:
    scores = model.scores()
    rng = np.random.default_rng(int(job.id, 16))
    logits = scores.logits + rng.normal(size=scores.logits.shape).astype(np.float32)
    scores = dataclasses.replace(scores, logits=logits.astype(np.float32))
    record = dataclasses.replace(
        model,
        job_id=job.id,
        title=job.title,
        spec=job.spec,
        cell=job.cell,
        upstream=job.upstream,
        counts=counts(scores),
        folder=None,
    )
    write_record(runs, record, fill=lambda folder: write_scores(folder / "scores.npz", scores))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Workspace, list[Cell]]:
    """(the records that were pushed, those that were pulled, the cells it fills)."""
    here, there = (tmp_path_factory.mktemp(name) for name in ("here", "there"))
    ours, theirs = Workspace(data=here / "data", results=here), Workspace(data=here / "data", results=there)
    cells = filled(ours)
    tracker = open_tracker(None, here, "pushed by hand")
    sent = push(RunStore(ours.runs), tracker)
    assert len(sent.copied) > len(cells) >= 2
    assert set(pull(theirs.runs, tracker).copied) == set(sent.copied)
    return ours, theirs, cells


@pytest.mark.parametrize("how", ["terminal", "json", "html"])
def test_pulled_records_render_the_same_table(both, how):
    ours, theirs, cells = both
    before, after = (
        tables.render(tables.build(4, lookup_in(places), tables.Question(scale="micro")), how)
        for places in (ours, theirs)
    )
    assert before == after
    assert all(lookup_in(theirs)(cell) for cell in cells)
    empty = tables.render(tables.build(4, lambda cell: None, tables.Question(scale="micro")), how)
    assert before != empty, "a table without numbers proves nothing"


def test_runs_say_what_they_are_in_mlflow(both):
    ours, _, cells = both
    tracker = open_tracker(None, ours.results, "")
    (job_id,) = [job for cell in cells[:1] for job in Planner(ours).jobs_of(cell)][:1]
    (run,) = runs_in(tracker, f"tags.job_hash = '{job_id}'")
    cell, tags = cells[0], run.data.tags
    assert {name: tags[name] for name in ("baseline", "dataset", "protocol", "init", "scale", "split")} == {
        "baseline": cell.baseline,
        "dataset": cell.dataset,
        "protocol": cell.protocol,
        "init": cell.init,
        "scale": cell.scale,
        "split": str(cell.split),
    }
    assert tags["mlflow.source.name"] == "harness" and "modality" in tags
    note = tags["mlflow.note.content"]
    assert f"{run.data.metrics['top1']:.1f}%" in note and job_id in note and "95% interval" in note


def test_a_record_that_is_pushed_later_keeps_its_own_time(tmp_path):
    record = finished(3, tmp_path / "runs", finished_at="2025-03-01T12:00:00+00:00")
    tracker = open_tracker(None, tmp_path, "later")
    push(RunStore(tmp_path / "runs"), tracker)
    (run,) = runs_in(tracker, f"tags.job_hash = '{record.job_id}'")
    assert (run.info.end_time, run.info.end_time - run.info.start_time) == (1740830400000, 2500)
