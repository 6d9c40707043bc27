"""The folders that a command works in. Nothing is written anywhere else."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import HarnessError


@dataclass(frozen=True)
class Workspace:
    """The folders of one invocation."""

    data: Path
    """Data sets, one folder each."""
    results: Path
    """Results folder: records, checkpoints, profiles, logs."""

    @property
    def runs(self) -> Path:
        """Records, one folder per finished job."""
        return self.results / "runs"

    @property
    def jobs(self) -> Path:
        """Locks and checkpoints of running jobs."""
        return self.results / "jobs"

    @property
    def logs(self) -> Path:
        """Log files, one per command that ran jobs."""
        return self.results / "logs"

    @property
    def report(self) -> Path:
        """Default of `--out`: pages and figures made of these results."""
        return self.results / "report"


def resolve_workspace(data: str | None = None, results: str | None = None) -> Workspace:
    """The given folders; by default HARNESS_DATA or the user's data folder, and HARNESS_RESULTS or ./results."""
    from platformdirs import user_data_dir

    user_data = user_data_dir("quovadis-harness", appauthor=False)
    return Workspace(
        data=_folder(data or os.environ.get("HARNESS_DATA") or user_data, flag="--data"),
        results=_folder(results or os.environ.get("HARNESS_RESULTS") or "results", flag="--results"),
    )


def _folder(text: str, *, flag: str) -> Path:
    """Raises HarnessError for a URL: locks, checkpoints and records need a file system that renames."""
    if "://" in text:
        raise HarnessError(
            f"{flag} {text} is a URL; name a folder, or pass --storage URL for the nodes of a Ray cluster"
        )
    folder = given(text, flag=flag)
    if folder.exists() and not folder.is_dir():
        raise HarnessError(f"{flag} {text} is a file; name a folder")
    return folder


def writable(folder: Path, *, content: str, flag: str) -> None:
    """Create `folder` if needed. Raises HarnessError if files cannot be created in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".write-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise HarnessError(
            f"cannot write {content} to {folder}: {error.strerror}; choose another folder with {flag}, or change its permissions"
        ) from error


def given(text: str | Path, *, flag: str) -> Path:
    """The absolute path that `text` names, '~' replaced; it need not exist. `flag`: where it was written, as in '--data'.

    Raises HarnessError for one that no file can have: too long, a loop of links, an unknown user's home, a null character.
    """
    try:
        path = Path(text).expanduser().resolve()
        path.exists()
    except (OSError, RuntimeError, ValueError) as error:
        cause = getattr(error, "strerror", None) or error
        raise HarnessError(f"{flag} {str(text)!r:.100} is not a path ({cause!s:.100}); name another") from error
    return path
