"""Records and checkpoints through a URL: complete or not at all, checked, and no more than needed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from harness.core.callbacks import Callback
from harness.core.errors import HarnessError, RecordError
from harness.core.workspace import Workspace
from harness.jobs.options import JobOptions
from harness.launch.ray.storage import SEND_EVERY_S, Storage, node_options, sync_driver, synchronised
from harness.records.record import RECORD, write_record
from tests import fakejobs


@pytest.fixture(params=["file", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """On a disk, and in memory: a file system without folders, as object stores have."""
    if request.param == "file":
        return Storage((tmp_path / "store").as_uri())
    return Storage(f"memory://{tmp_path.name}-{time.monotonic_ns()}")


def options(folder: Path) -> JobOptions:
    return JobOptions(Workspace(folder / "data", folder / "results"))


def write(options: JobOptions, job: fakejobs.Job) -> None:
    """A record with a file of 100 kB."""
    write_record(
        options.workspace.runs,
        fakejobs.record_of(job),
        fill=lambda folder: (folder / "weights.safetensors").write_bytes(os.urandom(100_000)) and None,
    )


def test_a_record_arrives_complete(storage, tmp_path):
    here, there, job = options(tmp_path / "here"), options(tmp_path / "there"), fakejobs.fake_job(1)
    write(here, job)
    assert storage.ids() == []
    with pytest.raises(RecordError, match="has no record of job"):
        storage.fetch(job.id, there.workspace.runs)
    storage.send(job.id, here.workspace.runs)
    assert storage.ids() == [job.id]
    storage.fetch(job.id, there.workspace.runs)
    first, second = (side.run_store.read(job.id) for side in (here, there))
    assert first.files == second.files
    assert first.path("weights.safetensors").read_bytes() == second.path("weights.safetensors").read_bytes()
    assert os.listdir(there.workspace.runs) == [job.id]


def test_an_incomplete_record_does_not_count(storage, tmp_path):
    here, job = options(tmp_path / "here"), fakejobs.fake_job(1)
    write(here, job)
    record = here.workspace.runs / job.id / RECORD
    record.rename(tmp_path / RECORD)
    storage.send(job.id, here.workspace.runs)
    assert storage.ids() == []
    (tmp_path / RECORD).rename(record)
    storage.send(job.id, here.workspace.runs)
    assert storage.ids() == [job.id]


def test_a_damaged_file_in_the_storage_is_refused_by_name(storage, tmp_path):
    here, there, job = options(tmp_path / "here"), options(tmp_path / "there"), fakejobs.fake_job(1)
    write(here, job)
    storage.send(job.id, here.workspace.runs)
    system, root = storage.system
    system.pipe_file(f"{root}/runs/{job.id}/weights.safetensors", b"rot")
    with pytest.raises(RecordError, match=r"weights\.safetensors is not the recorded file"):
        storage.fetch(job.id, there.workspace.runs)
    assert os.listdir(there.workspace.runs) == []


def test_another_node_resumes_from_the_checkpoint_of_a_lost_one(storage, tmp_path):
    lost, successor = options(tmp_path / "lost"), options(tmp_path / "next")
    job = fakejobs.fake_job(1, steps=4)
    for side in (lost, successor):
        side.workspace.results.mkdir(parents=True)

    class Died(Exception):
        pass

    class DiesAtTwo(Callback):
        count = 0

        def advance(self, count: int = 1, note: str = "") -> None:
            self.count += count
            if self.count == 2:
                time.sleep(2.5 * SEND_EVERY_S)
                raise Died

    with pytest.raises(Died), synchronised(job, lost, storage):
        fakejobs.run_fake(job, lost, DiesAtTwo())
    with synchronised(job, successor, storage):
        fakejobs.run_fake(job, successor, Callback())
    assert fakejobs.steps_done(lost.workspace.results) == [(job.id, 0), (job.id, 1)]
    assert fakejobs.steps_done(successor.workspace.results) == [(job.id, 2), (job.id, 3)]
    system, root = storage.system
    assert storage.ids() == [job.id] and not system.exists(f"{root}/jobs/{job.id}")


def test_checkpoints_are_sent_while_the_job_runs_and_old_ones_removed(storage, tmp_path):
    jobs, other = tmp_path / "jobs", tmp_path / "other"
    (jobs / "a").mkdir(parents=True)

    def seen(*names: str) -> bool:
        system, root = storage.system
        end = time.monotonic() + 20 * SEND_EVERY_S
        while time.monotonic() < end:
            paths = system.glob(f"{root}/jobs/a/*")
            if sorted(path.rsplit("/", 1)[-1] for path in paths) == sorted(names):
                return True
            time.sleep(0.05)
            system, root = storage.system
        return False

    with storage.sending_checkpoints("a", jobs):
        (jobs / "a" / "1.ckpt").write_text("one")
        (jobs / "a" / ".2.ckpt-77").write_text("half")
        assert seen("1.ckpt")
        (jobs / "a" / "2.ckpt").write_text("two")
        (jobs / "a" / "1.ckpt").unlink()
        assert seen("2.ckpt")
    storage.fetch_checkpoints("a", other)
    assert {path.name: path.read_text() for path in (other / "a").iterdir()} == {"2.ckpt": "two"}


def test_the_driver_exchanges_records_first(storage, tmp_path):
    """It fetches finished records and sends those that the other jobs start from."""
    driver, node = options(tmp_path / "driver"), options(tmp_path / "node")
    top = fakejobs.fake_job(1)
    done, to_do = fakejobs.fake_job(2, after=[top]), fakejobs.fake_job(3, after=[top])
    write(driver, top)
    write(node, done)
    storage.send(done.id, node.workspace.runs)
    assert sync_driver((done, to_do), driver, storage) == {done.id}
    assert driver.run_store.has(done.id)
    assert sorted(storage.ids()) == sorted([done.id, top.id])


def test_every_node_has_its_own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_NODE_FOLDER", str(tmp_path))
    first, second = (node_options(options(tmp_path), Storage("s3://a/b"), node) for node in ("1" * 56, "2" * 56))
    assert first.workspace.results != second.workspace.results and first.workspace.results.parent == tmp_path
    assert first.workspace.data == options(tmp_path).workspace.data


def test_a_path_and_an_unknown_protocol_are_refused():
    with pytest.raises(HarnessError, match="--results"):
        Storage("/a/folder")
    with pytest.raises(HarnessError, match="nosuch"):
        Storage("nosuch://a").ids()
