"""Options of running jobs that change no number."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.core import environment, registry
from harness.core.workspace import Workspace
from harness.records.record import RunStore


@dataclass(frozen=True)
class JobOptions:
    """Device, folders and resources of a job. Nothing here changes a number."""

    workspace: Workspace
    workers: int | None = None
    """Processes that decode; 0: in the training process, from memory where the data set fits. None: as many as the launcher
    chooses, else 0."""
    on_bad_video: str = "stop"
    """'stop', or 'skip' training videos that cannot be decoded and name them in the record."""
    profile: bool = False
    """Write a page per job with a breakdown of its time."""
    device: str = field(default_factory=environment.device)
    """'cpu' or 'cuda'."""
    cpu_threads: int = field(default_factory=environment.cpu_threads)
    """Cores that jobs may use. A network's job computes with the threads of its spec."""
    plugins: str = field(default_factory=registry.plugin_folders)
    """Folders of plug-in files, separated as in PATH."""

    @property
    def run_store(self) -> RunStore:
        return RunStore(self.workspace.runs)
