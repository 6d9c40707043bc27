"""Records and checkpoints through a URL that every node reaches (`--storage URL`), for nodes without a shared folder.

Every node works in a folder of its own. Records that a job starts from are fetched before it begins. Its checkpoints
are sent once they are written, and its record when it is finished, ``record.json`` last, so a record is in the storage
entirely or not at all. A node that takes over a lost node's job fetches the newest checkpoint. Any file system of
fsspec works (s3://, gs://, abfs://, hdfs://, sftp://, file://); its package and credentials are up to the user.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core import processes
from harness.core.atomic import atomic_folder, atomic_write, file_sha256
from harness.core.cells import Job
from harness.core.errors import HarnessError, RecordError
from harness.core.serialization import digest
from harness.jobs.options import JobOptions
from harness.records.record import RECORD, RunStore

SEND_EVERY_S = 1.0
"""Between two checks for new checkpoints: what a lost node may cost in addition to the steps since its last one."""
NODE_FOLDER = "HARNESS_NODE_FOLDER"
"""Environment variable of a node: parent of its own folder. Default: the system's folder for temporary files."""


@dataclass(frozen=True)
class Storage:
    """Records below ``URL/runs`` and checkpoints below ``URL/jobs``, as in a results folder."""

    url: str

    def __post_init__(self) -> None:
        if "://" not in self.url:
            raise HarnessError(
                f"--storage {self.url} is not a URL such as s3://bucket/folder; use --results for a folder that all nodes see"
            )

    @property
    def system(self) -> tuple[Any, str]:
        """(file system of fsspec, path on it). Raises HarnessError if a package for it is missing."""
        import fsspec

        try:
            system, path = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise HarnessError(
                f"--storage {self.url}: {error}; install the package that fsspec needs for it on every node"
            ) from error
        # Recent files of other nodes must be visible.
        system.invalidate_cache()
        return system, path.rstrip("/")

    def ids(self) -> list[str]:
        """Ids of all records in the storage."""
        system, root = self.system
        if not system.exists(f"{root}/runs"):
            return []
        return [path.split("/")[-2] for path in system.glob(f"{root}/runs/*/{RECORD}")]

    def send(self, job_id: str, runs: Path) -> None:
        """Copy the record's folder to the storage unless the record is there."""
        system, root = self.system
        target = f"{root}/runs/{job_id}"
        if system.exists(f"{target}/{RECORD}"):
            return
        system.makedirs(target, exist_ok=True)
        names = sorted((path.name for path in (runs / job_id).iterdir()), key=lambda name: name == RECORD)
        for name in names:
            _put(system, runs / job_id / name, f"{target}/{name}")

    def fetch(self, job_id: str, runs: Path) -> None:
        """Copy the record's folder into `runs` by one rename, unless it is there.

        Raises RecordError if the storage has no such record, or a file whose hash is not the recorded one.
        """
        if RunStore(runs).has(job_id):
            return
        system, root = self.system
        source = f"{root}/runs/{job_id}"
        if not system.exists(f"{source}/{RECORD}"):
            raise RecordError(f"{self.url} has no record of job {job_id}; run the same command again to make it")
        with atomic_folder(runs / job_id) as folder:
            system.get_file(f"{source}/{RECORD}", str(folder / RECORD))
            for name, expected in json.loads((folder / RECORD).read_text())["files"].items():
                system.get_file(f"{source}/{name}", str(folder / name))
                if file_sha256(folder / name) != expected:
                    url = f"{self.url}/runs/{job_id}"
                    raise RecordError(
                        f"{url}/{name} is not the recorded file (sha256 differs); delete {url}, then run the command again"
                    )

    def fetch_checkpoints(self, job_id: str, jobs: Path) -> None:
        """Copy the checkpoints that a lost node sent into `jobs`, next to any that this node has.

        Training resumes from the highest step of both: checkpoints of the same step are equal on every node.
        """
        system, root = self.system
        for path in system.glob(f"{root}/jobs/{job_id}/[!.]*"):
            target = jobs / job_id / path.rsplit("/", 1)[-1]
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(target) as temporary:
                system.get_file(path, str(temporary))

    def remove_checkpoints(self, job_id: str) -> None:
        system, root = self.system
        with contextlib.suppress(FileNotFoundError):
            system.rm(f"{root}/jobs/{job_id}", recursive=True)

    @contextlib.contextmanager
    def sending_checkpoints(self, job_id: str, jobs: Path) -> Iterator[None]:
        """During the block, send every complete file of the job's checkpoint folder soon after it is written."""
        with processes.repeated(_FolderMirror(self, job_id, jobs / job_id).update, SEND_EVERY_S):
            yield


class _FolderMirror:
    """The storage's copy of one checkpoint folder."""

    def __init__(self, storage: Storage, job_id: str, folder: Path) -> None:
        self.storage, self.job_id, self.folder = storage, job_id, folder
        self.sent: dict[str, tuple[int, int]] = {}
        """File name -> (modification time in ns, bytes) of the version that was sent."""

    def update(self) -> None:
        """Send new files, remove those that are gone."""
        system, root = self.storage.system
        target = f"{root}/jobs/{self.job_id}"
        versions = {}
        for path in self.folder.glob("[!.]*"):
            with contextlib.suppress(FileNotFoundError):
                versions[path.name] = (path.stat().st_mtime_ns, path.stat().st_size)
        for name in sorted(versions):
            if self.sent.get(name) != versions[name]:
                system.makedirs(target, exist_ok=True)
                # A file that is removed meanwhile has been replaced by a newer one.
                with contextlib.suppress(FileNotFoundError):
                    _put(system, self.folder / name, f"{target}/{name}")
                    self.sent[name] = versions[name]
        for name in set(self.sent) - set(versions):
            del self.sent[name]
            with contextlib.suppress(FileNotFoundError):
                system.rm_file(f"{target}/{name}")


def _put(system: Any, path: Path, target: str) -> None:
    """Upload under a temporary name, then rename: readers never see half a file, on object stores or elsewhere."""
    folder, _, name = target.rpartition("/")
    temporary = f"{folder}/.{name}-{os.getpid()}"
    system.put_file(str(path), temporary)
    system.mv(temporary, target)


def node_options(options: JobOptions, storage: Storage, node: str) -> JobOptions:
    """The options with a results folder that only this node uses. It stays there, so nothing is fetched twice."""
    parent = Path(os.environ.get(NODE_FOLDER) or tempfile.gettempdir())
    results = parent / f"harness-{digest(storage.url)}-{node[:12]}"
    return dataclasses.replace(options, workspace=dataclasses.replace(options.workspace, results=results))


@contextlib.contextmanager
def synchronised(job: Job, options: JobOptions, storage: Storage) -> Iterator[None]:
    """On a node: fetch the records and checkpoints that a job starts from; send what the block makes of it."""
    options.workspace.results.mkdir(parents=True, exist_ok=True)
    for upstream in job.upstream.values():
        storage.fetch(upstream, options.workspace.runs)
    if not options.run_store.has(job.id):
        storage.fetch_checkpoints(job.id, options.workspace.jobs)
    with storage.sending_checkpoints(job.id, options.workspace.jobs):
        yield
    storage.send(job.id, options.workspace.runs)
    storage.remove_checkpoints(job.id)


def sync_driver(jobs: Sequence[Job], options: JobOptions, storage: Storage) -> frozenset[str]:
    """On the driver, first: ids of the jobs that an earlier driver finished.

    Their records are fetched, and the records that the other jobs start from are sent.
    """
    stored = set(storage.ids())
    finished = frozenset(job.id for job in jobs if job.id in stored)
    for job_id in finished:
        storage.fetch(job_id, options.workspace.runs)
    needed = {upstream for job in jobs if job.id not in finished for upstream in job.upstream.values()}
    for job_id in sorted(needed - stored):
        if options.run_store.has(job_id):
            storage.send(job_id, options.workspace.runs)
    return finished
