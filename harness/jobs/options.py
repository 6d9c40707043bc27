"""Where a job runs."""

from __future__ import annotations

from dataclasses import dataclass

from harness.core.workspace import Workspace
from harness.records.record import RunStore


@dataclass(frozen=True)
class JobOptions:
    """What a job needs to know about where it runs; nothing here changes a number."""

    places: Workspace
    workers: int = 0
    """Processes that decode; 0: in the training process, from memory where the data set fits."""
    on_bad_video: str = "stop"
    """'stop', or 'skip' training videos that cannot be decoded and name them in the record."""
    profile: bool = False
    """Write one HTML page per job with a time breakdown."""

    @property
    def run_store(self) -> RunStore:
        return RunStore(self.places.runs)
