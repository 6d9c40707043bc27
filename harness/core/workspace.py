"""Where things are: data sets, the ledger, rendered output. Nothing is written anywhere else."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import HarnessError


@dataclass(frozen=True)
class Workspace:
    """The folders of one invocation."""

    data: Path
    """Data sets, one folder each (`--data`, HARNESS_DATA, default: the user's data folder)."""
    results: Path
    """The ledger (`--results`, HARNESS_RESULTS, default: ./results)."""

    @property
    def runs(self) -> Path:
        """One folder a finished job."""
        return self.results / "runs"

    @property
    def jobs(self) -> Path:
        """Checkpoints of jobs under way."""
        return self.results / "jobs"


def places(data: str | None = None, results: str | None = None) -> Workspace:
    """Flag, else environment variable, else default."""
    return Workspace(
        data=_folder(data or os.environ.get("HARNESS_DATA") or _user_data(), flag="--data"),
        results=_folder(results or os.environ.get("HARNESS_RESULTS") or "results", flag="--results"),
    )


def _folder(text: str, *, flag: str) -> Path:
    """Raises HarnessError for a URL: locks, checkpoints and records need a file system that renames."""
    if "://" in text:
        raise HarnessError(
            f"{flag} {text}: a URL is not a folder; for the nodes of a Ray cluster name it with --storage, else mount it and name that path"
        )
    folder = Path(text).expanduser().resolve()
    if folder.exists() and not folder.is_dir():
        raise HarnessError(f"{flag} {text} is a file; name a folder")
    return folder


def writable(folder: Path, *, what: str, flag: str) -> None:
    """Raises HarnessError unless files can be made in `folder`, which is made if it is not there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".write-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise HarnessError(
            f"cannot write {what} to {folder}: {error.strerror}; choose another folder with {flag}, or mend its permissions"
        ) from error


def _user_data() -> str:
    from platformdirs import user_data_dir

    return user_data_dir("quovadis-harness", appauthor=False)
