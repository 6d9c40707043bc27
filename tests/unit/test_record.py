"""Records appear whole or not at all, and are not believed when edited, torn or of a newer version."""

import json

import numpy as np
import pytest

from harness.core.cells import Job
from harness.core.errors import HarnessError, RecordError
from harness.core.job_specs import to_plain
from harness.metrics.scores import Scores, counts
from harness.records.record import RECORD, SCORES, Record, RunStore, write_record, write_scores
from tests.specs import CELL, train_spec

SCORED = Scores(
    ids=("a", "b,ü [1]"),
    logits=np.array([[0.5, -1], [2, 3]], np.float32),
    labels=np.array([0, 1]),
    groups=("g1", ""),
    missing=("c",),
)


@pytest.fixture
def job():
    return Job(train_spec(seed=3), "a title", cell=CELL)


def blank(job):
    return Record(
        job_id=job.id, spec=job.spec, title=job.title, upstream={}, cell=job.cell, environment={}, fingerprint="f",
        metrics={"top1": {"value": 100.0}}, counts=counts(SCORED), cost={"wall_s": 1.0}, curves=({"step": 1, "name": "train/loss", "value": 2.0},),
        classes=("x", "y"),
    )  # fmt: skip


def stored(runs, job):
    return write_record(runs, blank(job), fill=lambda folder: write_scores(folder / SCORES, SCORED))


def test_what_is_written_is_read_back(tmp_path, job):
    stored(tmp_path, job)
    record = RunStore(tmp_path).read(job.id)
    assert (record.spec, record.cell, record.curves[0]["value"]) == (job.spec, CELL, 2.0)
    assert record.classes == ("x", "y")
    scores = record.scores()
    assert (scores.ids, scores.groups, scores.missing) == (SCORED.ids, SCORED.groups, SCORED.missing)
    np.testing.assert_array_equal(scores.logits, SCORED.logits)


def test_a_record_whose_files_cannot_be_written_leaves_nothing(tmp_path, job):
    def full(folder):
        (folder / SCORES).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError):
        write_record(tmp_path, blank(job), fill=full)
    assert RunStore(tmp_path).ids() == [] and not list(tmp_path.iterdir())


def test_the_first_of_two_equal_jobs_stands(tmp_path, job):
    stored(tmp_path, job)
    before = (tmp_path / job.id / RECORD).stat().st_mtime_ns
    stored(tmp_path, job)
    assert (tmp_path / job.id / RECORD).stat().st_mtime_ns == before
    assert [path.name for path in tmp_path.iterdir()] == [job.id]


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.write_text(path.read_text()[:50]), "not a record"),
        (lambda path: path.write_text("[]"), "not a record"),
        (lambda path: edit(path, schema=99), "newer version of harness"),
        (lambda path: edit(path, spec=to_plain(train_spec(seed=4))), "edited"),
        (lambda path: edit(path, spec={"seed": 4}), "lacks or adds"),
        (lambda path: edit(path, schema=1), "older version of harness"),
        (lambda path: edit(path, job_id="0" * 12), "edited"),
        (lambda path: edit(path, surprise=1), "lacks or adds"),
    ],
)
def test_a_record_that_cannot_be_trusted_is_refused_by_name(tmp_path, job, damage, says):
    stored(tmp_path, job)
    path = tmp_path / job.id / RECORD
    damage(path)
    with pytest.raises(RecordError, match=says) as caught:
        RunStore(tmp_path).read(job.id)
    assert str(path) in str(caught.value)


def test_a_record_from_before_a_field_was_added_is_read(tmp_path, job):
    record = write_record(tmp_path, blank(job), fill=lambda folder: None)
    path = tmp_path / record.job_id / RECORD
    content = json.loads(path.read_text())
    del content["one_crop"]
    path.write_text(json.dumps(content))
    assert RunStore(tmp_path).read(record.job_id) == record
    del content["counts"]
    path.write_text(json.dumps(content))
    with pytest.raises(RecordError, match="counts"):
        RunStore(tmp_path).read(record.job_id)


def test_edited_scores_are_refused(tmp_path, job):
    record = stored(tmp_path, job)
    record.path(SCORES).write_bytes(record.path(SCORES).read_bytes() + b" ")
    with pytest.raises(RecordError, match="sha256"):
        record.scores()


def test_find_needs_one_hit(tmp_path, job):
    stored(tmp_path, job)
    assert RunStore(tmp_path).find(job.id[:4]).job_id == job.id
    with pytest.raises(HarnessError, match="no job"):
        RunStore(tmp_path).find("zz")
