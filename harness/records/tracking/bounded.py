"""Reading from a tracking server that may be broken or hostile: bounds on pages, bytes, memory and time.

The server is asked by a process of its own. mlflow downloads in threads that nothing can stop, and reads a page into memory
whatever its size; a process can be watched, and killed.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from harness.core import processes
from harness.core.errors import HarnessError
from harness.records.tracking.server import Server, failures, first_line, quiet

LOOK_EVERY_S = 0.1


@dataclass(frozen=True)
class Limits:
    """What one pull may cost."""

    seconds: float = 3600.0
    """Of the whole pull."""
    file_bytes: int = 1 << 30
    total_bytes: int = 64 << 30
    """All files together."""
    memory_bytes: int = 4 << 30
    """Of the process that asks the server."""


LIMITS = Limits()


class Unanswered(Exception):
    """A failure of MLflow, in words."""


class BoundedServer:
    """The reading half of a `Server`. Every method raises HarnessError at a limit, and Unanswered if MLflow fails."""

    def __init__(self, server: Server, limits: Limits) -> None:
        self.server, self.limits = server, limits
        self._ends_at = time.monotonic() + limits.seconds
        self._bytes = 0
        spawn = multiprocessing.get_context("spawn")
        self._pipe, child_end = spawn.Pipe()
        self._process = spawn.Process(target=_answer, args=(server, child_end), daemon=True)
        with processes.starting():
            self._process.start()
        child_end.close()

    def complete_jobs(self) -> dict[str, str]:
        """As `Server.complete_jobs`."""
        jobs: dict[str, str] = self._call("complete_jobs")
        return jobs

    def fetch(self, run: str, name: str, folder: Path) -> Path | None:
        """As `Server.fetch`."""
        path: Path | None = self._call("fetch", run, name, folder, watched=folder)
        self._bytes += path.stat().st_size if path is not None and path.is_file() else 0
        return path

    def close(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def _call(self, method: str, *arguments: Any, watched: Path | None = None) -> Any:
        self._pipe.send((method, arguments))
        while not self._pipe.poll(LOOK_EVERY_S):
            self._check(watched)
        self._check(watched)
        try:
            answer, failure = self._pipe.recv()
        except EOFError:
            raise Unanswered("the process that asked it has ended") from None
        if failure:
            raise Unanswered(failure)
        return answer

    def _check(self, watched: Path | None) -> None:
        size = sum(path.lstat().st_size for path in _files(watched)) if watched else 0
        if size > self.limits.file_bytes:
            raise self._too_much(f"sends a file over the limit of {self.limits.file_bytes:,} bytes")
        if self._bytes + size > self.limits.total_bytes:
            raise self._too_much(f"has sent the limit of {self.limits.total_bytes:,} bytes")
        if time.monotonic() > self._ends_at:
            raise self._too_much(f"has not sent everything within the limit of {self.limits.seconds:.0f} s")
        if _memory_bytes(self._process.pid) > self.limits.memory_bytes:
            raise self._too_much(f"sends an answer that needs more than {self.limits.memory_bytes:,} bytes of memory")

    def _too_much(self, excess: str) -> HarnessError:
        return HarnessError(
            f"stopped: MLflow at {self.server.uri} {excess}. Records copied so far are complete; if you trust that server, repeat the "
            "command to copy the others"
        )


@contextlib.contextmanager
def bounded(server: Server, limits: Limits) -> Iterator[Server | BoundedServer]:
    """The server for reading; one that is a database on this machine is read directly."""
    if server.uri.startswith("sqlite:"):
        yield server
        return
    asking = BoundedServer(server, limits)
    try:
        yield asking
    finally:
        asking.close()


def _answer(server: Server, pipe: Connection) -> None:
    """The work of the process: (method, arguments) -> (result, failure in words)."""
    processes.begin_worker()
    with quiet(), contextlib.suppress(EOFError):
        while True:
            method, arguments = pipe.recv()
            try:
                answer = getattr(server, method)(*arguments), ""
            except _expected() as error:
                answer = None, first_line(error)
            pipe.send(answer)


def _expected() -> tuple[type[Exception], ...]:
    """What a server that is down, or answers anything but MLflow's format, makes mlflow raise."""
    return (HarnessError, ValueError, TypeError, LookupError, AttributeError, *failures())


def _files(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError):  # a file that is being renamed
        return [path for path in folder.rglob("*") if not path.is_dir()]
    return []


def _memory_bytes(pid: int | None) -> int:
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
