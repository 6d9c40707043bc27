"""The number of a cell is a filter over records: the newest that the present cards and files stand behind."""

import dataclasses

import numpy as np
import pytest

from harness.core.cells import Selection
from harness.core.job_specs import CardSpec, DataSpec, ProtocolSpec, TrainSpec, job_id
from harness.core.workspace import Workspace
from harness.metrics.scores import Scores
from harness.planning.command import command_of
from harness.planning.lookup import lookup_in
from harness.planning.plan import make_plan
from harness.planning.selection import cells
from harness.records.record import SCORES, Record, RunStore, write_record, write_scores

ASKED = Selection(("two-stream",), ("rgb",), ("micro-hmdb51",), protocols=("original",), inits=("scratch",))


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "data", tmp_path / "results")


def cell_and_job(workspace, asked=ASKED):
    plan = make_plan(cells(asked), workspace)
    return next(iter(plan.cells)), plan.jobs[-1]


def finish(workspace, job, *, right=1, at="2026-01-01T00:00:00+00:00", upstream=(), chosen=(), **spec) -> str:
    """A record of the job, perhaps with another spec, that has so many of four videos right; its id."""
    changed = dataclasses.replace(job.spec, **spec)
    logits = np.eye(4, dtype=np.float32)[[0] * right + [1] * (4 - right)]
    scores = Scores(tuple("abcd"), logits, np.zeros(4, np.int64), ("",) * 4)
    record = Record(
        job_id=job_id(changed, dict(upstream)), spec=changed, title=job.title, upstream=dict(upstream), cell=job.cell, environment={},
        fingerprint="", metrics={}, cost={"wall_s": 1.0}, chosen=dict(chosen), finished_at=at, classes=tuple("wxyz"),
    )  # fmt: skip
    return write_record(workspace.runs, record, fill=lambda folder: write_scores(folder / SCORES, scores)).job_id


def right_of(workspace, cell):
    result = lookup_in(workspace)(cell)
    return None if result is None else int((result.scores.logits.argmax(1) == 0).sum())


def test_a_cell_without_a_record_has_no_number(workspace):
    cell, _ = cell_and_job(workspace)
    assert lookup_in(workspace)(cell) is None


def test_the_newest_of_several_records_counts(workspace):
    """Of two decoders, for instance: other specs, the same cell."""
    cell, job = cell_and_job(workspace)
    finish(workspace, job, right=3, at="2026-01-02T00:00:00+00:00")
    finish(workspace, job, right=1, decoder={"decoder": "another"}, at="2026-01-01T00:00:00+00:00")
    assert right_of(workspace, cell) == 3


@pytest.mark.parametrize(
    "spec",
    [
        {"code_version": 1},
        {"baseline": CardSpec("two-stream", 99)},
        {"dataset": DataSpec("micro-hmdb51", 99, "")},
        {"validation_share": 0.2},
    ],
    ids=["older code", "another version of the card", "another version of the data set", "a trial of tune"],
)
def test_records_that_the_present_cards_do_not_stand_behind_do_not_count(workspace, spec):
    cell, job = cell_and_job(workspace)
    finish(workspace, job, right=3, at="2027-01-01T00:00:00+00:00", **spec)
    assert right_of(workspace, cell) is None
    finish(workspace, job, right=2)
    assert right_of(workspace, cell) == 2


@pytest.mark.parametrize(
    "spec",
    [
        {"protocol": ProtocolSpec("absent", 1, "all")},
        {"dataset": DataSpec("absent", 1, "")},
        {"baseline": CardSpec("absent", 1)},
    ],
    ids=lambda spec: next(iter(spec)),
)
def test_a_record_that_builds_on_a_plug_in_that_is_not_installed_does_not_count(workspace, spec):
    cell, job = cell_and_job(workspace)
    source = finish(workspace, job, seed=7, **spec)
    finish(workspace, job, right=3, upstream={"source": source})
    assert right_of(workspace, cell) is None


def test_without_the_data_the_newest_fingerprint_counts(workspace):
    cell, job = cell_and_job(workspace)
    data = job.spec.dataset
    old, new = (dataclasses.replace(data, fingerprint=name) for name in ("old", "new"))
    finish(workspace, job, right=1, dataset=old, at="2026-01-01T00:00:00+00:00")
    finish(workspace, job, right=2, dataset=new, at="2026-01-02T00:00:00+00:00")
    assert right_of(workspace, cell) == 2


def test_settings_make_other_cells_however_they_are_written(workspace):
    cell, job = cell_and_job(workspace, dataclasses.replace(ASKED, overrides=(("train.steps", "7"),)))
    assert job.cell.overrides == (("original.steps", "7"),) and isinstance(job.spec, TrainSpec)
    finish(workspace, job, right=3)
    assert right_of(workspace, cell) == 3
    (same,) = cells(dataclasses.replace(ASKED, overrides=(("original.steps", "7"), ("scale.width", "0.25"))))
    assert right_of(workspace, same) == 3, "the width is the card's own"
    (plain,) = cells(ASKED)
    assert right_of(workspace, plain) is None


def test_the_command_of_a_record_plans_its_job_again(workspace):
    _, job = cell_and_job(workspace, dataclasses.replace(ASKED, overrides=(("train.steps", "7"),), seeds=(3,)))
    finish(workspace, job)
    (record,) = RunStore(workspace.runs)
    assert command_of(record.cell) == (
        "harness run --baseline two-stream --modality rgb --dataset micro-hmdb51 --protocol original --init scratch "
        "--seed 3 --set original.steps=7"
    )


def test_videos_that_were_skipped_upstream_are_part_of_the_command(workspace):
    cell, job = cell_and_job(workspace)
    finish(workspace, job, right=1)
    assert not lookup_in(workspace)(cell).skipped
    source = finish(workspace, job, seed=7, chosen={"skipped": ["broken"]})
    finish(
        workspace,
        job,
        right=3,
        at="2027-01-01T00:00:00+00:00",
        upstream={"source": source},
        decoder={"decoder": "another"},
    )
    result = lookup_in(workspace)(cell)
    assert result.skipped == ("broken",) and command_of(cell, skipped=True).endswith(" --on-bad-video skip")
    assert "--on-bad-video" not in command_of(cell)
