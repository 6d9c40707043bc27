"""Files and folders that appear complete or not at all, and what is left of them when a process is killed.

A temporary name says which process writes it, on which host: hosts may share a folder and number their processes alike.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from harness.core import processes

ABANDONED_S = 24 * 3600.0
"""Age of the last write from which a temporary file of another host counts as stale: whether its process runs is unknown."""
CLOCK_S = 5.0
"""How much older than its process a file may seem: clocks of shared folders differ."""


def temporary_path(path: Path) -> Path:
    """A new name in the same folder, to write `path` under before it is renamed. No name is used twice."""
    return path.with_name(f".{path.name}.{_host()}+{os.getpid()}+{secrets.token_hex(4)}.half")


@contextlib.contextmanager
def atomic_write(path: Path, *, sync: bool = False) -> Iterator[Path]:
    """A temporary file to write, renamed to `path` afterwards; removed on an error, so that a full disk is full no longer.

    With `sync` the content is on the disk before the rename: it also survives a power failure.
    """
    temporary = temporary_path(path)
    try:
        with _named(path):
            yield temporary
            if sync:
                with temporary.open("rb") as stream:
                    os.fsync(stream.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors of the system without a file name, as of a write to an open file, name `path`."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a file of UTF-8 text by one rename, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A temporary folder to fill, renamed to `path` afterwards; removed on an error, or if `path` has been made meanwhile."""
    temporary = temporary_path(path)
    temporary.mkdir(parents=True)
    try:
        with _named(path):
            yield temporary
        try:
            temporary.rename(path)
        except OSError:
            if not path.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def file_sha256(path: Path) -> str:
    """Hex digest of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def remove_stale(folder: Path) -> None:
    """Remove temporary files and folders below `folder` whose processes have ended."""
    for path in folder.rglob(".*.half"):
        remove_if_stale(path)


def remove_if_stale(path: Path) -> None:
    """Remove a file or folder that `temporary_path` named, if its process has ended."""
    host, _, pid = path.name.removesuffix(".half").rpartition(".")[2].rpartition("+")[0].rpartition("+")
    if _is_written(path, pid) if host in ("", _host()) else _is_recent(path):
        return
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _host() -> str:
    """This machine's name without the separators of temporary names."""
    return re.sub(r"[^A-Za-z0-9-]", "_", socket.gethostname())[:24] or "host"


def _is_recent(path: Path) -> bool:
    try:
        written = max(file.lstat().st_mtime for file in (path, *path.rglob("*")))
    except FileNotFoundError:  # finished or removed just now
        return True
    return time.time() - written < ABANDONED_S


def _is_written(path: Path, pid: str) -> bool:
    """Whether process `pid` of this host still writes `path`; a process that started after the write has a reused id."""
    try:
        started = processes.start_time(int(pid))
        return started is not None and started <= path.lstat().st_mtime + CLOCK_S
    except (ValueError, OverflowError, FileNotFoundError):
        return False
