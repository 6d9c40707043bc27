"""Whole records to a tracking server, and back into a results folder."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.callbacks import Callback
from harness.core.errors import HarnessError
from harness.records.record import RECORD, SCORES, Record, RunStore
from harness.records.tracking import content
from harness.records.tracking.callback import URI_ENV, Tracker, tags_of
from harness.records.tracking.server import Server, failures, first_line, quiet


@dataclass(frozen=True)
class Copied:
    """Job ids of a push or a pull."""

    copied: tuple[str, ...]
    present: tuple[str, ...]
    """Complete at the target before."""


def push(records: Iterable[Record], tracker: Tracker, *, callback: Callback | None = None) -> Copied:
    """Send every record that MLflow does not have complete, each once however often this is called; `callback` hears of each.

    A run that a killed command left half-way is replaced. Raises HarnessError if MLflow is unavailable; records sent before
    are complete.
    """
    records, callback = tuple(records), callback or Callback()
    callback.stage("send", len(records), "records")
    sent: list[str] = []
    present: list[str] = []
    with _answering(tracker.server, sent), tracker:
        runs = tracker.server.runs() if records else {}
        for record in records:
            there = runs.get(record.job_id, {})
            if any(there.values()):
                present.append(record.job_id)
            else:
                _send(record, tracker, replaced=there)
                sent.append(record.job_id)
            callback.advance()
    return Copied(tuple(sent), tuple(present))


def _send(record: Record, tracker: Tracker, *, replaced: Iterable[str]) -> None:
    """One run with all of the record, instead of those that a killed command left."""
    for run in replaced:
        tracker.server.drop(run)
    start_ms, end_ms = content.lasted_ms(record)
    run = tracker.new_run(record.title, tags_of(record.job_id, record), start_ms)
    tracker.server.log_spec(run, record.spec)
    tracker.server.log_record(run, record, end_ms=end_ms)


def pull(runs: Path, tracker: Tracker, *, callback: Callback | None = None) -> Copied:
    """Copy every complete record of MLflow into `runs`; enough to render every table.

    Weights and features are not copied: a job that transfers from a pulled one raises an error. A record that was edited on the
    server is refused by name, as everywhere. Raises HarnessError if MLflow is unavailable.
    """
    run_store, callback = RunStore(runs), callback or Callback()
    fetched: list[str] = []
    present: list[str] = []
    with _answering(tracker.server, fetched):
        jobs = sorted(tracker.server.complete_jobs().items())
        callback.stage("copy", len(jobs), "records")
        for job_id, run in jobs:
            if run_store.has(job_id):
                present.append(job_id)
            elif _copy(tracker.server, run, runs / job_id):
                run_store.read(job_id)
                fetched.append(job_id)
            callback.advance()
    return Copied(tuple(fetched), tuple(present))


def _copy(server: Server, run: str, target: Path) -> bool:
    """Whether the run held a record; its folder appears by one rename."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as building:
        folder = Path(building) / target.name
        folder.mkdir()
        stored = server.fetch(run, RECORD, folder)
        if stored is None:
            return False
        record = json.loads(stored.read_text())
        files = {name: sha for name, sha in record["files"].items() if name == SCORES}
        for name in files:
            if server.fetch(run, name, folder) is None:
                raise HarnessError(f"run {run} of job {target.name} has no {name}; remove that run and push again")
        stored.write_text(json.dumps(record | {"files": files}, indent=1, allow_nan=False))
        shutil.move(folder, target)
    return True


@contextlib.contextmanager
def _answering(server: Server, copied: Sequence[str]) -> Iterator[None]:
    """Raises HarnessError for a failure of MLflow in the block."""
    try:
        with quiet():
            yield
    except failures() as error:
        raise HarnessError(
            f"MLflow at {server.uri} failed after {len(copied)} records ({first_line(error)}); start it, or set {URI_ENV} to another "
            "server, then repeat the command: nothing is sent twice"
        ) from error
