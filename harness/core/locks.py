"""One process at a time runs a job, wherever on a shared folder it was requested.

A lock is a small file ``jobs/<job id>.lock.<n>`` that names its owner (machine, pid, start of the process). The owner
renews the file's modification time every few seconds: its heartbeat. This needs only a file system that can create a
file, or a second name for it, exclusively (local disks, NFS): no lock daemon, no synchronized clocks. An owner is dead

- on the same machine: when no process with its pid and start time runs, which is known at once;
- elsewhere: when its heartbeat has not changed for `DEAD_AFTER_S` of the waiting process's own clock.

A process that takes over from a dead owner n creates file n + 1, which only one process can, and checks again before
it proceeds: a late process may have seen the folder before others did. If an owner was only suspended and wakes up,
two processes run the same job for a while. They compute the same numbers, and the first record is kept
(`record.write_record`).
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import random
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from harness.core import processes

HEARTBEAT_S = 5.0
DEAD_AFTER_S = 60.0
"""Without a heartbeat, on another machine. NFS clients see changed attributes within a few seconds of opening a file."""
CHECK_EVERY_S = 0.2
DRAFT = ".draft."
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""Errors of file systems without hard links."""
SAME_START_S = 2.0
"""Two readings of a process's start time differ by less: they are rounded to kernel ticks, and clocks are corrected."""


@dataclass(frozen=True)
class Owner:
    """A process that runs a job."""

    machine: str
    """Differs between machines, their boots, and containers that do not see each other's processes."""
    host: str
    pid: int
    started: float
    """Start of the process, in seconds since the epoch."""

    @property
    def is_alive(self) -> bool:
        """For a local owner: whether that very process runs, and not another with its pid."""
        started = processes.start_time(self.pid)
        return started is not None and abs(started - self.started) < SAME_START_S


def this_process() -> Owner:
    import psutil

    return Owner(_machine(), platform.node(), os.getpid(), psutil.Process().create_time())


@contextlib.contextmanager
def job_lock(folder: Path, job_id: str, notify: Callable[[str], None] = lambda text: None) -> Iterator[None]:
    """Holds the job's lock in `folder` during the block. Waits for a living owner, with one message to `notify`."""
    lock = _Lock(folder, job_id)
    lock.acquire(notify)
    try:
        with processes.repeated(lock.beat, HEARTBEAT_S):
            yield
    finally:
        lock.release()


def is_locked(folder: Path, job_id: str) -> bool:
    """Whether a living process holds the job's lock, as far as this process can know."""
    return _Lock(folder, job_id).is_held


def clear_leftovers(runs: Path, job_id: str) -> None:
    """Remove half-written records of killed owners. Only for the process that holds the job's lock."""
    for path in runs.glob(f".{job_id}.*.half"):
        shutil.rmtree(path, ignore_errors=True)


def clear_finished(jobs: Path, is_finished: Callable[[str], bool]) -> None:
    """Remove checkpoints and locks of finished jobs, left if the owner was killed right after it wrote the record."""
    for path in jobs.glob("*"):
        job_id = path.name.partition(".")[0]
        if is_finished(job_id) and not _Lock(jobs, job_id).is_held:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


@dataclass
class _Lock:
    """The lock files of one job, as one process sees them."""

    folder: Path
    job_id: str
    own: Path | None = None
    """The file of this process, once it holds the lock."""
    _heartbeats: dict[Path, tuple[int, float]] = field(default_factory=dict)
    """File of an owner elsewhere -> (its last heartbeat, when our clock first saw it)."""

    def acquire(self, notify: Callable[[str], None]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        notified = False
        while not self._try():
            alive = self._alive(self._files())
            owner = _owner_of(alive[0]) if alive and not notified else None
            if owner:
                notified = True
                notify(f"job {self.job_id} is already run by process {owner.pid} on {owner.host}; waiting for it")
            # Random, so that two processes do not keep colliding.
            time.sleep(CHECK_EVERY_S * (0.5 + random.random()))

    @property
    def is_held(self) -> bool:
        return bool(self._alive(self._files()))

    def _try(self) -> bool:
        """Whether this process holds the lock now."""
        dead = {path: _content(path) for path in self._files()}
        if self._alive(list(dead)):
            return False
        own = self._path(max(map(_number, dead), default=0) + 1)
        if not _create(own):
            return False
        others = [path for path in self._files() if path != own and _content(path) != dead.get(path)]
        if self._alive(others):
            own.unlink(missing_ok=True)
            return False
        # Drafts belong to killed processes, or to late ones, which will try again.
        for path in [*dead, *self.folder.glob(f"{self.job_id}{DRAFT}*")]:
            path.unlink(missing_ok=True)
        self.own = own
        return True

    def beat(self) -> None:
        """Renew the heartbeat, unless another process has taken this one for dead."""
        try:
            if self.own is not None:
                os.utime(self.own)
        except FileNotFoundError:
            self.own = None

    def release(self) -> None:
        if self.own is not None:
            self.own.unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"{self.job_id}.lock.{number}"

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob(f"{self.job_id}.lock.[0-9]*"), key=_number)

    def _alive(self, paths: list[Path]) -> list[Path]:
        return [path for path in paths if self._is_alive(path)]

    def _is_alive(self, path: Path) -> bool:
        """Whether the file's owner is alive, as far as this process can know."""
        owner = _owner_of(path)
        if owner and owner.machine == _machine():
            return owner.is_alive
        try:
            beat = path.stat().st_mtime_ns
        except FileNotFoundError:
            return False
        now = time.monotonic()
        if self._heartbeats.get(path, (None, now))[0] != beat:
            self._heartbeats[path] = (beat, now)
        return now - self._heartbeats[path][1] < DEAD_AFTER_S


def _number(path: Path) -> int:
    return int(path.suffix[1:])


def _create(path: Path) -> bool:
    """Whether this call created the lock file, naming this process; False if another process was first.

    Written as a draft first: an empty lock file would look like one held by an unknown owner, and every process would
    wait `DEAD_AFTER_S` for its heartbeat to expire if its creator were killed at that moment.
    """
    draft = path.with_name(f"{path.name.partition('.')[0]}{DRAFT}{uuid.uuid4().hex}")
    text = json.dumps(asdict(this_process()))
    try:
        with draft.open("w") as stream:
            stream.write(text)
            stream.flush()
            return _link(draft, path, os.fstat(stream.fileno()))
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        return _create_without_links(path, text)
    finally:
        draft.unlink(missing_ok=True)


def _link(draft: Path, path: Path, draft_stat: os.stat_result) -> bool:
    """Whether `path` is now a name of the draft, which is open; False if it is another process's file."""
    try:
        path.hardlink_to(draft)
        return True
    except (FileExistsError, FileNotFoundError):
        # A file server may have created the link although its first answer was lost, and refused the repeated request.
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(path.stat(), draft_stat)
        return False


def _create_without_links(path: Path, text: str) -> bool:
    """The file created, then filled. If its creator is killed in between, others wait as for an unknown owner."""
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    try:
        with os.fdopen(handle, "w") as stream:
            stream.write(text)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return True


def _owner_of(path: Path) -> Owner | None:
    """None if the file is gone or incomplete: its owner is writing it, or died while writing."""
    try:
        return Owner(**json.loads(_content(path) or ""))
    except (ValueError, TypeError):
        return None


def _content(path: Path) -> str | None:
    """None if the file is gone."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


def _machine() -> str:
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    boot_id = boot.read_text().strip() if boot.exists() else ""
    # Containers of one machine may share its name but not its processes.
    return ":".join([platform.node(), boot_id, str(namespace.readlink()) if namespace.is_symlink() else ""])
