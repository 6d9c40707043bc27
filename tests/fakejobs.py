"""Jobs that only count, to test launchers: as real as needed, and fast.

A fake job takes `steps` steps of `step_s` each, saves a checkpoint in the results folder after each step, resumes from
it, and writes a record. Every step is one line of ``RESULTS/steps``, so repeated work shows.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.core import locks
from harness.core.atomic import write_text
from harness.core.callbacks import Callback
from harness.core.cells import Job
from harness.core.errors import HarnessError
from harness.core.job_specs import DataSpec, JobSpec
from harness.core.workspace import Workspace
from harness.jobs.options import JobOptions
from harness.planning.plan import Plan
from harness.records.record import Record, write_record


class Recorder(Callback):
    """Remembers the calls: (method, title of the job or text of the note)."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    def job_started(self, job: Job) -> None:
        self.calls.append(("started", job.title))

    def note(self, text: str) -> None:
        self.calls.append(("note", text))

    def job_finished(self, record: Record) -> None:
        self.calls.append(("finished", record.title))


NO_DATA = DataSpec("none", 1, "none")


@dataclass(frozen=True, kw_only=True)
class FakeSpec(JobSpec):
    """A job that counts."""

    kind = "fake"

    number: int = 0
    steps: int = 1
    step_s: float = 0.0
    threads: int = 1
    more: Mapping[str, Any] = field(default_factory=dict)


def fake_job(number: int, *, after: Sequence[Job] = (), steps: int = 1, step_s: float = 0.0, **more: object) -> Job:
    spec = FakeSpec(dataset=NO_DATA, code_version=0, number=number, steps=steps, step_s=step_s, more=more)
    upstream = {f"u{n}": job.id for n, job in enumerate(after)}
    return Job(spec, f"fake {number}", upstream)


def diamond(**more: object) -> list[Job]:
    """One job, two that need it, one that needs both."""
    top = fake_job(0, **more)
    sides = [fake_job(number, after=[top], steps=3, step_s=0.01) for number in (1, 2)]
    return [top, *sides, fake_job(3, after=sides)]


def slow_jobs() -> list[Job]:
    """Two jobs of 15 steps and 1.5 s each."""
    return [fake_job(number, steps=15, step_s=0.1) for number in range(2)]


def plan_of(jobs: Sequence[Job], workspace: Workspace) -> Plan:
    """A plan whose cells are all its jobs, without those that are finished."""
    options = JobOptions(workspace)
    done = frozenset(job.id for job in jobs if options.run_store.has(job.id))
    return Plan(jobs=tuple(jobs), cells={job.id: (job.id,) for job in jobs}, done=done)  # type: ignore[misc]


def run_fake(job: Job, options: JobOptions, callback: Callback) -> Record:
    """As `execute.execute`: the lock, the checkpoint, the steps, the record."""
    if options.run_store.has(job.id):
        return options.run_store.read(job.id)
    with locks.job_lock(options.workspace.jobs, job.id, callback.note):
        if options.run_store.has(job.id):
            return options.run_store.read(job.id)
        callback.job_started(job)
        missing = [job_id for job_id in job.upstream.values() if not options.run_store.has(job_id)]
        if missing:
            raise HarnessError(f"{job.title} was started before {missing}")
        if job.spec.more.get("fails"):
            raise HarnessError(f"{job.title} cannot be done; choose another number")
        checkpoint = options.workspace.jobs / job.id
        total = job.spec.steps
        callback.stage("count", total, "steps")
        for step in range(_resumed(checkpoint), total):
            time.sleep(job.spec.step_s)
            _line(options.workspace.results, f"{job.id} {step} {os.getpid()}")
            _save(checkpoint, step + 1)
            callback.advance(1, f"step {step}")
            if job.spec.more.get("dies_at") == step and not (options.workspace.results / "died").exists():
                (options.workspace.results / "died").touch()
                os.kill(os.getpid(), signal.SIGKILL)
        callback.curve(job.id, [(total, "count", float(total))])
        record = write_record(options.workspace.runs, record_of(job), fill=lambda folder: None)
        shutil.rmtree(checkpoint, ignore_errors=True)
        callback.job_finished(record)
        return record


def steps_done(results: Path) -> list[tuple[str, int]]:
    """(job id, step) in the order in which they were done."""
    lines = (results / "steps").read_text().splitlines()
    return [(line.split()[0], int(line.split()[1])) for line in lines]


def record_of(job: Job, **more: object) -> Record:
    """A record without numbers."""
    empty: dict = {"environment": {}, "fingerprint": "", "metrics": {}, "cost": {"wall_s": 0.0}}
    return Record(job_id=job.id, spec=job.spec, title=job.title, upstream=job.upstream, cell=job.cell, **empty | more)


def _resumed(checkpoint: Path) -> int:
    path = checkpoint / "step"
    return int(path.read_text()) if path.exists() else 0


def _save(checkpoint: Path, step: int) -> None:
    write_text(checkpoint / "step", str(step))


def _line(results: Path, text: str) -> None:
    with (results / "steps").open("a") as stream:
        stream.write(text + "\n")
