"""Records and checkpoints through a URL: whole or not at all, checked, and no more than is needed."""

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


def written(where: JobOptions, one: fakejobs.Job) -> None:
    """A record with a file of 100 kB."""
    write_record(
        where.places.runs,
        fakejobs.record_of(one),
        fill=lambda folder: (folder / "weights.safetensors").write_bytes(os.urandom(100_000)) and None,
    )


def test_a_record_travels_whole(storage, tmp_path):
    here, there, one = options(tmp_path / "here"), options(tmp_path / "there"), fakejobs.fake_job(1)
    written(here, one)
    assert storage.ids() == []
    with pytest.raises(RecordError, match="has no record of job"):
        storage.fetch(one.id, there.places.runs)
    storage.send(one.id, here.places.runs)
    assert storage.ids() == [one.id]
    storage.fetch(one.id, there.places.runs)
    first, second = (side.run_store.read(one.id) for side in (here, there))
    assert first.files == second.files
    assert first.path("weights.safetensors").read_bytes() == second.path("weights.safetensors").read_bytes()
    assert os.listdir(there.places.runs) == [one.id]


def test_a_record_that_is_not_yet_whole_is_not_there(storage, tmp_path):
    here, one = options(tmp_path / "here"), fakejobs.fake_job(1)
    written(here, one)
    record = here.places.runs / one.id / RECORD
    record.rename(tmp_path / RECORD)
    storage.send(one.id, here.places.runs)
    assert storage.ids() == []
    (tmp_path / RECORD).rename(record)
    storage.send(one.id, here.places.runs)
    assert storage.ids() == [one.id]


def test_a_file_that_rots_in_the_storage_is_refused_by_name(storage, tmp_path):
    here, there, one = options(tmp_path / "here"), options(tmp_path / "there"), fakejobs.fake_job(1)
    written(here, one)
    storage.send(one.id, here.places.runs)
    system, root = storage.system
    system.pipe_file(f"{root}/runs/{one.id}/weights.safetensors", b"rot")
    with pytest.raises(RecordError, match=r"weights\.safetensors is not the recorded file"):
        storage.fetch(one.id, there.places.runs)
    assert os.listdir(there.places.runs) == []


def test_another_node_goes_on_from_a_lost_ones_checkpoint(storage, tmp_path):
    lost, next_one = options(tmp_path / "lost"), options(tmp_path / "next")
    one = fakejobs.fake_job(1, steps=4)
    for side in (lost, next_one):
        side.places.results.mkdir(parents=True)

    class Died(Exception):
        pass

    class DiesAtTwo(Callback):
        count = 0

        def advance(self, count: int = 1, note: str = "") -> None:
            self.count += count
            if self.count == 2:
                time.sleep(2.5 * SEND_EVERY_S)
                raise Died

    with pytest.raises(Died), synchronised(one, lost, storage):
        fakejobs.run_fake(one, lost, DiesAtTwo())
    with synchronised(one, next_one, storage):
        fakejobs.run_fake(one, next_one, Callback())
    assert fakejobs.steps_done(lost.places.results) == [(one.id, 0), (one.id, 1)]
    assert fakejobs.steps_done(next_one.places.results) == [(one.id, 2), (one.id, 3)]
    system, root = storage.system
    assert storage.ids() == [one.id] and not system.exists(f"{root}/jobs/{one.id}")


def test_checkpoints_are_sent_while_the_job_runs_and_old_ones_go(storage, tmp_path):
    jobs, other = tmp_path / "jobs", tmp_path / "other"
    (jobs / "a").mkdir(parents=True)

    def seen(*names: str) -> bool:
        system, root = storage.system
        end = time.monotonic() + 20 * SEND_EVERY_S
        while time.monotonic() < end:
            found = [path.rsplit("/", 1)[-1] for path in system.glob(f"{root}/jobs/a/*")]
            if sorted(found) == sorted(names):
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


def test_what_the_driver_does_first(storage, tmp_path):
    """It takes over what is finished and gives what the rest starts from."""
    driver, node = options(tmp_path / "driver"), options(tmp_path / "node")
    top = fakejobs.fake_job(1)
    done, to_do = fakejobs.fake_job(2, after=[top]), fakejobs.fake_job(3, after=[top])
    written(driver, top)
    written(node, done)
    storage.send(done.id, node.places.runs)
    assert sync_driver((done, to_do), driver, storage) == {done.id}
    assert driver.run_store.has(done.id)
    assert sorted(storage.ids()) == sorted([done.id, top.id])


def test_every_node_has_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_NODE_FOLDER", str(tmp_path))
    one, two = (node_options(options(tmp_path), Storage("s3://a/b"), node) for node in ("1" * 56, "2" * 56))
    assert one.places.results != two.places.results and one.places.results.parent == tmp_path
    assert one.places.data == options(tmp_path).places.data


def test_what_is_not_a_url_and_a_url_nobody_knows():
    with pytest.raises(HarnessError, match="--results"):
        Storage("/a/folder")
    with pytest.raises(HarnessError, match="nosuch"):
        Storage("nosuch://a").ids()
