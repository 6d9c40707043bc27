"""Names for what is not finished yet: they carry who writes them, so that leftovers can be told from work.

Hosts may share a folder and number their processes alike, so that a process is named by its host too, and each name is
used once.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

ABANDONED_S = 24 * 3600.0
"""Age of the last write from which another host's work counts as left: whether its process lives cannot be asked from here."""
CLOCK_S = 5.0
"""By which a file's time may lie before the start of the process that wrote it: clocks of shared folders differ."""


def half(path: Path) -> Path:
    """A new name in the same folder, to write `path` under before it is renamed."""
    return path.with_name(f".{path.name}.{_host()}+{os.getpid()}+{secrets.token_hex(4)}.half")


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name to write `path` under; it is renamed when all is written, and gone if that fails: a full disk gets its room back."""
    fresh = half(path)
    try:
        yield fresh
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what processes that are gone left half-written under `folder`; the work of living ones stays."""
    for left in folder.rglob(".*.half"):
        sweep_one(left)


def sweep_one(left: Path) -> None:
    """The same for one file or folder that `half` named."""
    host, _, process = left.name.removesuffix(".half").rpartition(".")[2].rpartition("+")[0].rpartition("+")
    if _alive(process, left) if host in ("", _host()) else _fresh(left):
        return
    if left.is_dir():
        shutil.rmtree(left, ignore_errors=True)
    else:
        left.unlink(missing_ok=True)


def _host() -> str:
    """This machine's name without what separates the parts of a name here."""
    return re.sub(r"[^A-Za-z0-9-]", "_", socket.gethostname())[:24] or "host"


def _fresh(left: Path) -> bool:
    try:
        written = max(path.lstat().st_mtime for path in (left, *left.rglob("*")))
    except FileNotFoundError:  # it was finished, or swept, just now
        return True
    return time.time() - written < ABANDONED_S


def _alive(pid: str, left: Path) -> bool:
    """Whether the process still runs that wrote `left`: not as a zombie, and not another that was given its number."""
    import psutil

    try:
        process = psutil.Process(int(pid))
        written = left.lstat().st_mtime
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= written + CLOCK_S
    except (ValueError, OverflowError, psutil.NoSuchProcess, FileNotFoundError):
        return False
    except psutil.AccessDenied:
        return True
