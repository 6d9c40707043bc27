"""Jobs that were started and have no record yet. A small file next to a job's checkpoints says what it is.

``jobs/<job id>/job.json`` holds spec, title, cell and upstream ids. It disappears with the checkpoints when the record is
written.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.core import locks
from harness.core.atomic import write_text
from harness.core.cells import Cell, Job
from harness.core.job_specs import from_plain, to_plain
from harness.core.serialization import plain, read
from harness.core.workspace import Workspace
from harness.records.stored import UNREADABLE, read_json

JOB = "job.json"


@dataclass(frozen=True)
class StartedJob:
    """A job without a record."""

    job: Job
    running: bool
    """Whether a process holds its lock. A job that was killed on another machine counts as running until its lock is taken over."""


def note_start(jobs: Path, job: Job) -> None:
    """Write the job's file into its folder in `jobs`."""
    (jobs / job.id).mkdir(parents=True, exist_ok=True)
    content = {"spec": to_plain(job.spec), "title": job.title, "upstream": job.upstream, "cell": plain(job.cell)}
    write_text(jobs / job.id / JOB, json.dumps(content, indent=1))


def started_jobs(workspace: Workspace) -> Iterator[StartedJob]:
    """Every started job without a record, by id. Files that cannot be read, or are of another version, are left out."""
    for path in sorted(workspace.jobs.glob(f"*/{JOB}")):
        if (workspace.runs / path.parent.name).exists():
            continue
        with contextlib.suppress(*UNREADABLE):
            stored = read_json(path)
            cell = stored["cell"] and read(Cell, stored["cell"])
            job = Job(from_plain(stored["spec"]), str(stored["title"]), dict(stored["upstream"]), cell)
            if job.id == path.parent.name:
                yield StartedJob(job, locks.is_locked(workspace.jobs, job.id))
