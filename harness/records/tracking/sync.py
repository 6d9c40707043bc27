"""Whole records to a tracking server, and back into a results folder."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.core.atomic import write_text
from harness.core.callbacks import Callback
from harness.core.errors import HarnessError, RecordError
from harness.core.serialization import is_digest as is_job_id
from harness.records.record import RECORD, SCORES, RunStore
from harness.records.stored import read_json
from harness.records.tracking.bounded import LIMITS, BoundedServer, Limits, Unanswered, bounded
from harness.records.tracking.callback import URI_ENV, Tracker
from harness.records.tracking.server import Server, failures, first_line, quiet


@dataclass(frozen=True)
class Copied:
    """Job ids of a push or a pull."""

    copied: tuple[str, ...]
    present: tuple[str, ...]
    """Complete at the target before."""
    damaged: Mapping[str, RecordError] = field(default_factory=dict)
    """Job id -> fault, of the records that were not copied because they are not what was pushed."""


def push(run_store: RunStore, tracker: Tracker, *, callback: Callback | None = None) -> Copied:
    """Send every record that MLflow does not have complete, each once however often this is called; `callback` hears of each.

    Only those are read; damaged ones among them are collected in `run_store.damaged`. A run that a killed command left
    half-way is replaced. Raises HarnessError if MLflow is unavailable; records sent before are complete.
    """
    ids, callback = run_store.ids(), callback or Callback()
    sent: list[str] = []
    with _answering(tracker.server, sent), tracker:
        runs = tracker.server.runs() if ids else {}
        lacking = [job_id for job_id in ids if not any(runs.get(job_id, {}).values())]
        callback.stage("send", len(lacking), "records")
        for record, scores in run_store.with_scores(lacking):
            for half in runs.get(record.job_id, {}):
                tracker.server.drop(half)
            tracker.send(record, scores)
            sent.append(record.job_id)
            callback.advance()
    present = set(ids).difference(lacking)
    return Copied(tuple(sent), tuple(sorted(present)), run_store.damaged)


def pull(runs: Path, tracker: Tracker, *, callback: Callback | None = None, limits: Limits = LIMITS) -> Copied:
    """Copy every complete record of MLflow into `runs`; enough to render every table.

    Weights and features are not copied: a job that transfers from a pulled one raises an error. Each record is read as
    strictly as any other before its folder appears; one that is refused is in `Copied.damaged`. Raises HarnessError if
    MLflow is unavailable, or at one of the limits.
    """
    run_store, callback = RunStore(runs), callback or Callback()
    fetched: list[str] = []
    present: list[str] = []
    with _answering(tracker.server, fetched), bounded(tracker.server, limits) as server:
        jobs = sorted(server.complete_jobs().items())
        callback.stage("copy", len(jobs), "records")
        for job_id, run in jobs:
            with run_store.collecting(job_id):
                if not is_job_id(job_id):
                    raise RecordError(
                        f"MLflow's run {run} names the job {job_id!r:.60}, which is not an id; delete that run"
                    )
                if run_store.has(job_id):
                    present.append(job_id)
                elif _copy(server, run, runs, job_id):
                    fetched.append(job_id)
            callback.advance()
    return Copied(tuple(fetched), tuple(present), run_store.damaged)


def _copy(server: Server | BoundedServer, run: str, runs: Path, job_id: str) -> bool:
    """Whether the run held a record; its folder appears by one rename. Raises RecordError for one that cannot be trusted."""
    runs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=runs, prefix=f".{job_id}-") as building, _of_run(run, job_id, Path(building)):
        unpublished, folder = RunStore(Path(building)), Path(building) / job_id
        folder.mkdir()
        stored = server.fetch(run, RECORD, folder)
        if stored is None:
            return False
        record = unpublished.read(job_id)
        files = {name: sha for name, sha in record.files.items() if name == SCORES}
        if files and server.fetch(run, SCORES, folder) is None:
            raise RecordError(f"it has no {SCORES}")
        write_text(stored, json.dumps(read_json(stored) | {"files": files}, indent=1, allow_nan=False))
        for record, _ in unpublished.with_scores():
            shutil.move(folder, runs / record.job_id)
        if unpublished.damaged:
            raise unpublished.damaged[job_id]
    return True


@contextlib.contextmanager
def _of_run(run: str, job_id: str, building: Path) -> Iterator[None]:
    """A RecordError of the block names the run and, instead of the folder that is being filled, the remedy for MLflow."""
    try:
        yield
    except RecordError as error:
        fault = str(error).replace(f"{building}/", "").partition("; remove ")[0]
        raise RecordError(
            f"MLflow's run {run} does not hold the record of job {job_id}: {fault}; delete that run, then push the record again"
        ) from error


@contextlib.contextmanager
def _answering(server: Server, copied: Sequence[str]) -> Iterator[None]:
    """Raises HarnessError for a failure of MLflow in the block."""
    try:
        with quiet():
            yield
    except _unavailable() as error:
        cause = str(error) if isinstance(error, Unanswered) else first_line(error)
        raise HarnessError(
            f"MLflow at {server.uri} failed after {len(copied)} records ({cause}); start it, or set {URI_ENV} to another "
            "server, then repeat the command: nothing is sent twice"
        ) from error


def _unavailable() -> tuple[type[Exception], ...]:
    return (Unanswered, *failures())
