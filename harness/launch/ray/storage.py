"""Where nodes share no folder: finished records and checkpoints go through a URL that each of them reaches (`--storage URL`).

Every node works in a folder of its own. What a job starts from is fetched before it begins; its checkpoints are sent as
they are written, its record when it is finished, ``record.json`` last: a record is in the storage whole or not at all.
A node that takes over a lost one's job fetches the newest checkpoint. Any file system of fsspec serves (s3://, gs://,
abfs://, hdfs://, sftp://, file://); its package and its credentials are the user's.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import HarnessError, RecordError
from harness.core.spec import Job, digest
from harness.jobs.options import JobOptions
from harness.records.record import RECORD, RunStore, sha256

SEND_EVERY_S = 1.0
"""Between two looks for new checkpoints: what a lost node may cost beside the steps since its last one."""
NODE_FOLDER = "HARNESS_NODE_FOLDER"
"""Environment variable of a node: where its own folder is made. Default: the system's folder for temporary files."""


@dataclass(frozen=True)
class Storage:
    """Records below ``URL/runs`` and checkpoints below ``URL/jobs``, as in a results folder."""

    url: str

    def __post_init__(self) -> None:
        if "://" not in self.url:
            raise HarnessError(
                f"--storage {self.url} is not a URL such as s3://bucket/folder; a folder that all nodes see is named with --results"
            )

    @property
    def system(self) -> tuple[Any, str]:
        """(fsspec's file system, the path on it). Raises HarnessError where its package is missing."""
        import fsspec

        try:
            system, path = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise HarnessError(
                f"--storage {self.url}: {error}; install what fsspec needs for it on every node"
            ) from error
        # What other nodes wrote a moment ago must be seen.
        system.invalidate_cache()
        return system, path.rstrip("/")

    # ------------------------------------------------------------------------------------------------ records

    def ids(self) -> list[str]:
        """Of all records there."""
        system, root = self.system
        if not system.exists(f"{root}/runs"):
            return []
        return [path.split("/")[-2] for path in system.glob(f"{root}/runs/*/{RECORD}")]

    def send(self, job_id: str, runs: Path) -> None:
        """The record's folder, unless it is there."""
        system, root = self.system
        there = f"{root}/runs/{job_id}"
        if system.exists(f"{there}/{RECORD}"):
            return
        system.makedirs(there, exist_ok=True)
        names = sorted((path.name for path in (runs / job_id).iterdir()), key=lambda name: name == RECORD)
        for name in names:
            _put(system, runs / job_id / name, f"{there}/{name}")

    def fetch(self, job_id: str, runs: Path) -> None:
        """The record's folder into `runs`, by one rename, unless it is there.

        Raises RecordError where the storage has no such record or a file is not the one that was recorded.
        """
        if RunStore(runs).has(job_id):
            return
        system, root = self.system
        there = f"{root}/runs/{job_id}"
        if not system.exists(f"{there}/{RECORD}"):
            raise RecordError(f"{self.url} has no record of job {job_id}; run the same command again to have it done")
        runs.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{job_id}-", dir=runs))
        try:
            system.get_file(f"{there}/{RECORD}", str(building / RECORD))
            for name, expected in json.loads((building / RECORD).read_text())["files"].items():
                system.get_file(f"{there}/{name}", str(building / name))
                if sha256(building / name) != expected:
                    raise RecordError(
                        f"{self.url}/runs/{job_id}/{name} is not what was recorded (sha256 differs); remove "
                        f"{self.url}/runs/{job_id} to have the job run again"
                    )
            building.chmod(0o755)
            try:
                building.rename(runs / job_id)
            except OSError:
                # Another process of this node fetched it meanwhile.
                if not RunStore(runs).has(job_id):
                    raise
        finally:
            shutil.rmtree(building, ignore_errors=True)

    # ------------------------------------------------------------------------------------------------ checkpoints

    def fetch_checkpoints(self, job_id: str, jobs: Path) -> None:
        """What was sent of the job by the node that lost it, beside what this node may have of an earlier try.

        Training goes on from the highest step of both: equal steps are equal, whichever node they come from.
        """
        system, root = self.system
        for path in system.glob(f"{root}/jobs/{job_id}/*"):
            target = jobs / job_id / path.rsplit("/", 1)[-1]
            if target.name.startswith("."):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            beside = target.with_name(f".{target.name}-{os.getpid()}")
            try:
                system.get_file(path, str(beside))
                beside.rename(target)
            finally:
                beside.unlink(missing_ok=True)

    def remove_checkpoints(self, job_id: str) -> None:
        system, root = self.system
        with contextlib.suppress(FileNotFoundError):
            system.rm(f"{root}/jobs/{job_id}", recursive=True)

    @contextlib.contextmanager
    def sending_checkpoints(self, job_id: str, jobs: Path) -> Iterator[None]:
        """While the block runs, every whole file of the job's checkpoint folder is sent soon after it was written."""
        sender = _Sender(self, job_id, jobs / job_id)
        ended = threading.Event()

        def go_on() -> None:
            while not ended.wait(SEND_EVERY_S):
                sender.send_new()

        thread = threading.Thread(target=go_on, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            sender.send_new()


class _Sender:
    """Keeps the storage's copy of one folder as the folder is."""

    def __init__(self, storage: Storage, job_id: str, folder: Path) -> None:
        self.storage, self.job_id, self.folder = storage, job_id, folder
        self.sent: dict[str, tuple[int, int]] = {}

    def send_new(self) -> None:
        system, root = self.storage.system
        there = f"{root}/jobs/{self.job_id}"
        now = {}
        for path in self.folder.glob("[!.]*"):
            with contextlib.suppress(FileNotFoundError):
                now[path.name] = (path.stat().st_mtime_ns, path.stat().st_size)
        for name in sorted(now):
            if self.sent.get(name) != now[name]:
                system.makedirs(there, exist_ok=True)
                # Removed meanwhile: a newer one stands beside it.
                with contextlib.suppress(FileNotFoundError):
                    _put(system, self.folder / name, f"{there}/{name}")
                    self.sent[name] = now[name]
        for name in set(self.sent) - set(now):
            del self.sent[name]
            with contextlib.suppress(FileNotFoundError):
                system.rm_file(f"{there}/{name}")


def _put(system: Any, path: Path, there: str) -> None:
    """By a rename on the other side: a reader never sees half a file, and object stores make one of a whole upload anyway."""
    beside = there.rsplit("/", 1)[0] + f"/.{path.name}-{os.getpid()}"
    system.put_file(str(path), beside)
    system.mv(beside, there)


# ---------------------------------------------------------------------------------------------------- both sides


def house_of_node(options: JobOptions, storage: Storage, node: str) -> JobOptions:
    """The house with a results folder that is this node's alone and stays there, so that nothing is fetched twice."""
    root = Path(os.environ.get(NODE_FOLDER) or tempfile.gettempdir())
    own = root / f"harness-{digest(storage.url)}-{node[:12]}"
    return dataclasses.replace(options, places=dataclasses.replace(options.places, results=own))


@contextlib.contextmanager
def around(job: Job, options: JobOptions, storage: Storage) -> Iterator[None]:
    """What a node does before and after a job: fetch what it starts from, send what it leaves."""
    options.places.results.mkdir(parents=True, exist_ok=True)
    for upstream in job.upstream.values():
        storage.fetch(upstream, options.places.runs)
    if not options.run_store.has(job.id):
        storage.fetch_checkpoints(job.id, options.places.jobs)
    with storage.sending_checkpoints(job.id, options.places.jobs):
        yield
    storage.send(job.id, options.places.runs)
    storage.remove_checkpoints(job.id)


def exchange(jobs: tuple[Job, ...], options: JobOptions, storage: Storage) -> frozenset[str]:
    """What the driver does first; returns which of the jobs to do were finished before.

    Records that a driver before it left in the storage are fetched, and what the jobs start from is sent.
    """
    there = set(storage.ids())
    finished = frozenset(job.id for job in jobs if job.id in there)
    for job_id in finished:
        storage.fetch(job_id, options.places.runs)
    needed = {upstream for job in jobs if job.id not in finished for upstream in job.upstream.values()}
    for job_id in sorted(needed - there):
        if options.run_store.has(job_id):
            storage.send(job_id, options.places.runs)
    return finished
