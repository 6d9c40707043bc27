"""Jobs that only count, for what launchers do around jobs: as real as they must be, and fast.

A fake job takes `steps` steps of `step_s` each, leaves a checkpoint after each step in the results folder, goes on from
it, and leaves a record. Every step that is done is one line of ``RESULTS/steps``, so that work done twice shows.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from harness.core import locks
from harness.core.callbacks import Callback
from harness.core.errors import HarnessError
from harness.core.spec import Job
from harness.core.workspace import Workspace
from harness.jobs.options import JobOptions
from harness.planning.plan import Plan
from harness.records.record import Record, write_by_rename, write_record


def job(number: int, *, after: Sequence[Job] = (), steps: int = 1, step_s: float = 0.0, **more: object) -> Job:
    spec = {"number": number, "steps": steps, "step_s": step_s, "threads": 1, **more}
    return Job(
        kind="fake", title=f"fake {number}", spec=spec, upstream={f"u{n}": one.id for n, one in enumerate(after)}
    )


def plan_of(jobs: Sequence[Job], workspace: Workspace) -> Plan:
    """A plan whose cells are all its jobs, less what the ledger has."""
    options = JobOptions(workspace)
    done = frozenset(one.id for one in jobs if options.run_store.has(one.id))
    return Plan(jobs=tuple(jobs), cells={one.id: (one.id,) for one in jobs}, done=done)  # type: ignore[misc]


def do(one: Job, options: JobOptions, callback: Callback) -> Record:
    """As `run.execute` does it: the lock, the checkpoint, the steps, the record."""
    if options.run_store.has(one.id):
        return options.run_store.read(one.id)
    with locks.only_one(options.places.jobs, one.id, callback.note):
        if options.run_store.has(one.id):
            return options.run_store.read(one.id)
        callback.job_started(one)
        missing = [needed for needed in one.upstream.values() if not options.run_store.has(needed)]
        if missing:
            raise HarnessError(f"{one.title} was started before {missing}")
        if one.spec.get("fails"):
            raise HarnessError(f"{one.title} cannot be done; choose another number")
        checkpoint = options.places.jobs / one.id
        total = int(one.spec["steps"])
        callback.stage("count", total, "steps")
        for step in range(_resumed(checkpoint), total):
            time.sleep(float(one.spec["step_s"]))
            _line(options.places.results, f"{one.id} {step} {os.getpid()}")
            _save(checkpoint, step + 1)
            callback.advance(1, f"step {step}")
            if one.spec.get("dies_at") == step and not (options.places.results / "died").exists():
                (options.places.results / "died").touch()
                os.kill(os.getpid(), signal.SIGKILL)
        callback.curve(one.id, [(total, "count", float(total))])
        record = write_record(options.places.runs, _record(one), fill=lambda folder: None)
        shutil.rmtree(checkpoint, ignore_errors=True)
        callback.job_finished(record)
        return record


def steps_done(results: Path) -> list[tuple[str, int]]:
    """(job id, step) in the order they were done."""
    lines = (results / "steps").read_text().splitlines()
    return [(line.split()[0], int(line.split()[1])) for line in lines]


def _resumed(checkpoint: Path) -> int:
    path = checkpoint / "step"
    return int(path.read_text()) if path.exists() else 0


def _save(checkpoint: Path, step: int) -> None:
    checkpoint.mkdir(parents=True, exist_ok=True)
    write_by_rename(checkpoint / "step", lambda path: path.write_text(str(step)) and None)


def _line(results: Path, text: str) -> None:
    with (results / "steps").open("a") as stream:
        stream.write(text + "\n")


def _record(one: Job) -> Record:
    return Record(
        job_id=one.id,
        kind=one.kind,
        title=one.title,
        spec=one.spec,
        upstream=one.upstream,
        environment={},
        fingerprint="",
        metrics={},
        cost={"wall_s": 0.0},
    )
