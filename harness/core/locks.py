"""One process at a time does a job, wherever on a shared folder it was asked for.

A lock is a small file ``jobs/<job id>.lock.<n>`` that tells its owner (machine, pid, start of the process) and whose
modification time its owner renews every few seconds. It only needs a file system that gives a file a second name, or
makes one, exclusively (local disks, NFS): no lock daemon, no clock that machines agree on. The owner is dead

- on the same machine: when no process of that pid and start is alive, which is known at once;
- elsewhere: when its heartbeat has stood still for `DEAD_AFTER_S` of the waiting process's own clock.

Who takes over from a dead owner n makes file n + 1, which only one can, and looks again before it believes it: a late
comer may have found the folder empty meanwhile. Should an owner that was only asleep wake up, both do the same job for
a while; a record is written by one rename and the first stands (`record.write_record`), so no number comes of it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import random
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

HEARTBEAT_S = 5.0
DEAD_AFTER_S = 60.0
"""Of no heartbeat, on another machine. NFS clients see changed attributes within a few seconds of opening a file."""
LOOK_EVERY_S = 0.2
DRAFT = ".draft."
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""What file systems say that know no second name for a file."""
SAME_START_S = 2.0
"""Two readings of one process's start differ by less: they are rounded to the kernel's ticks and corrected clocks."""


@dataclass(frozen=True)
class Owner:
    """A process that does a job."""

    machine: str
    """Differs between machines, their boots, and containers that do not see each other's processes."""
    host: str
    pid: int
    started: float
    """Of the process, in seconds since the epoch."""

    @property
    def here(self) -> bool:
        """Whether its processes can be seen from here."""
        return self.machine == _machine()

    @property
    def alive(self) -> bool:
        """Of an owner that is `here`: whether it is that very process and not only its number, or its corpse."""
        import psutil

        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < SAME_START_S
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


def this_process() -> Owner:
    import psutil

    return Owner(_machine(), platform.node(), os.getpid(), psutil.Process().create_time())


@contextlib.contextmanager
def only_one(folder: Path, job_id: str, tell: Callable[[str], None] = lambda text: None) -> Iterator[None]:
    """Holds the job's lock below `folder` while the block runs; waits for a living owner, and tells so once."""
    lock = _Lock(folder, job_id)
    lock.acquire(tell)
    beating = threading.Event()
    heart = threading.Thread(target=lock.beat, args=(beating,), daemon=True)
    heart.start()
    try:
        yield
    finally:
        beating.set()
        heart.join()
        lock.release()


def clear_leftovers(runs: Path, job_id: str) -> None:
    """Remove what a killed owner left of a half-written record. Only for who holds the job's lock."""
    for left in runs.glob(f".{job_id}-*"):
        shutil.rmtree(left, ignore_errors=True)


def clear_finished(jobs: Path, done: Callable[[str], bool]) -> None:
    """Remove checkpoints and locks of finished jobs whose owner was killed between the record and their removal."""
    for path in jobs.glob("*"):
        job_id = path.name.partition(".")[0]
        if done(job_id) and not _Lock(jobs, job_id).busy:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


@dataclass
class _Lock:
    """The lock files of one job, as one process sees them."""

    folder: Path
    job_id: str
    held: Path | None = None
    _seen: dict[Path, tuple[int, float]] = field(default_factory=dict)
    """Strangers' files -> heartbeat, and when it was first seen on our clock."""

    def acquire(self, tell: Callable[[str], None]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        told = False
        while not self._try():
            living = self._living(self._files())
            if living and not told:
                owner = _owner_of(living[0])
                told = owner is not None
                if owner:
                    tell(f"job {self.job_id} is being done by process {owner.pid} on {owner.host}; waiting for it")
            # Two that came at the same moment must not stay in step.
            time.sleep(LOOK_EVERY_S * (0.5 + random.random()))

    @property
    def busy(self) -> bool:
        return bool(self._living(self._files()))

    def _try(self) -> bool:
        """Whether the lock is ours now."""
        dead = {path: _content(path) for path in self._files()}
        if self._living(list(dead)):
            return False
        mine = self._path(max(map(_number, dead), default=0) + 1)
        if not _made(mine):
            return False
        others = [path for path in self._files() if path != mine and _content(path) != dead.get(path)]
        if self._living(others):
            mine.unlink(missing_ok=True)
            return False
        # Drafts are a killed process's, or of one that comes too late and looks again.
        for path in [*dead, *self.folder.glob(f"{self.job_id}{DRAFT}*")]:
            path.unlink(missing_ok=True)
        self.held = mine
        return True

    def beat(self, ended: threading.Event) -> None:
        """Renew the heartbeat until `ended`, or until somebody took the lock for a dead one's."""
        assert self.held is not None
        while not ended.wait(HEARTBEAT_S):
            try:
                os.utime(self.held)
            except FileNotFoundError:
                return

    def release(self) -> None:
        if self.held is not None:
            self.held.unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"{self.job_id}.lock.{number}"

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob(f"{self.job_id}.lock.[0-9]*"), key=_number)

    def _living(self, paths: list[Path]) -> list[Path]:
        return [path for path in paths if self._lives(path)]

    def _lives(self, path: Path) -> bool:
        """Whether the file's owner is alive, as far as can be told from here."""
        owner = _owner_of(path)
        if owner and owner.here:
            return owner.alive
        try:
            beat = path.stat().st_mtime_ns
        except FileNotFoundError:
            return False
        now = time.monotonic()
        if self._seen.get(path, (None, now))[0] != beat:
            self._seen[path] = (beat, now)
        return now - self._seen[path][1] < DEAD_AFTER_S


def _number(path: Path) -> int:
    return int(path.suffix[1:])


def _made(path: Path) -> bool:
    """Whether this call made the file, with this process in it; False where another was first.

    Written under a name of its own first: a file that is there but does not yet tell its owner is a stranger's, for whose
    heartbeat everybody would wait `DEAD_AFTER_S` if its maker were killed just then.
    """
    draft = path.with_name(f"{path.name.partition('.')[0]}{DRAFT}{uuid.uuid4().hex}")
    text = json.dumps(asdict(this_process()))
    try:
        with draft.open("w") as stream:
            stream.write(text)
            stream.flush()
            return _linked(draft, path, os.fstat(stream.fileno()))
    except _NoLinks:
        return _written(path, text)
    finally:
        draft.unlink(missing_ok=True)


class _NoLinks(Exception):
    """The file system knows no second name for a file."""


def _linked(draft: Path, path: Path, itself: os.stat_result) -> bool:
    """Whether the path is now the name of the draft, which is open; False where it is another's."""
    try:
        path.hardlink_to(draft)
        return True
    except (FileExistsError, FileNotFoundError):
        # A file server that is asked twice, since its first answer was lost, may have given the name the first time.
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(path.stat(), itself)
        return False
    except OSError as error:
        if error.errno in NO_LINKS:
            raise _NoLinks from error
        raise


def _written(path: Path, text: str) -> bool:
    """The file made and then filled: who is killed in between is waited for, as a stranger."""
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
    """None where the file is gone, or not whole yet: its owner is in the middle of writing it, or died there."""
    try:
        return Owner(**json.loads(_content(path) or ""))
    except (ValueError, TypeError):
        return None


def _content(path: Path) -> str | None:
    """None where the file is gone."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


def _machine() -> str:
    return ":".join([platform.node(), _text(Path("/proc/sys/kernel/random/boot_id")), _namespace()])


def _text(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""


def _namespace() -> str:
    """Containers of one machine may share its name and not its processes."""
    path = Path("/proc/self/ns/pid")
    return str(path.readlink()) if path.is_symlink() else ""
