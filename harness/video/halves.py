"""Names for what is not finished yet: they carry the process that writes them, so that leftovers can be told from work."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def half(path: Path) -> Path:
    """Where this process writes `path` before it renames it, in the same folder."""
    return path.with_name(f".{path.name}.{os.getpid()}.half")


def sweep(folder: Path) -> None:
    """Remove what processes that are gone left half-written under `folder`; the work of living ones stays."""
    for left in folder.rglob(".*.half"):
        sweep_one(left)


def sweep_one(left: Path) -> None:
    """The same for one file or folder that `half` named."""
    if _alive(left.name.split(".")[-2]):
        return
    if left.is_dir():
        shutil.rmtree(left, ignore_errors=True)
    else:
        left.unlink(missing_ok=True)


def _alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
