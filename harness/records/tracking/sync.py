"""Whole records to a tracking server, and back into a ledger."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.core.callbacks import Callback
from harness.core.errors import HarnessError
from harness.records.record import RECORD, SCORES, Record, RunStore
from harness.records.tracking import content
from harness.records.tracking.callback import URI_ENV, Mirror, record_tags
from harness.records.tracking.server import Server, failures, quiet, told


@dataclass(frozen=True)
class Pushed:
    """What a push did, by job id."""

    sent: tuple[str, ...]
    there: tuple[str, ...]
    """Complete in MLflow before."""


@dataclass(frozen=True)
class Pulled:
    """What a pull did, by job id."""

    brought: tuple[str, ...]
    there: tuple[str, ...]
    """In the ledger before."""


def push(records: Iterable[Record], mirror: Mirror, *, callback: Callback | None = None) -> Pushed:
    """Send every record that MLflow does not have complete, each once however often this is called; `watch` hears of each.

    A run that a killed command left half-way is replaced. Raises HarnessError when MLflow is away; what was sent by
    then stays.
    """
    records, callback = tuple(records), callback or Callback()
    callback.stage("send", len(records), "records")
    sent: list[str] = []
    there: list[str] = []
    try:
        with quiet(), mirror:
            for record in records:
                (sent if _send(record, mirror) else there).append(record.job_id)
                callback.advance()
    except failures() as error:
        raise _unanswered(mirror.server, f"after {len(sent)} records", error) from error
    return Pushed(tuple(sent), tuple(there))


def _send(record: Record, mirror: Mirror) -> bool:
    """Whether the record had to be sent; False where MLflow has it complete."""
    found = mirror.server.runs_of(record.job_id)
    if any(complete for _, complete in found):
        return False
    for run, _ in found:
        mirror.server.drop(run)
    start_ms, end_ms = content.lasted_ms(record)
    run = mirror.new_run(record.title, record_tags(record), start_ms)
    mirror.server.log_spec(run, record.spec)
    mirror.server.log_record(run, record, end_ms=end_ms)
    return True


def pull(runs: Path, mirror: Mirror, *, callback: Callback | None = None) -> Pulled:
    """Rebuild the ledger in `runs` from what MLflow has complete; enough to render every table.

    Weights and features do not travel: a job that transfers from a pulled one says so. A record that was edited on the
    server is refused by name, as everywhere. Raises HarnessError when MLflow is away.
    """
    run_store, callback = RunStore(runs), callback or Callback()
    brought: list[str] = []
    there: list[str] = []
    try:
        with quiet():
            jobs = sorted(mirror.server.complete_jobs().items())
            callback.stage("bring", len(jobs), "records")
            for job_id, run in jobs:
                if run_store.has(job_id):
                    there.append(job_id)
                elif _bring(mirror.server, run, runs / job_id):
                    run_store.read(job_id)
                    brought.append(job_id)
                callback.advance()
    except failures() as error:
        raise _unanswered(mirror.server, f"after {len(brought)} records", error) from error
    return Pulled(tuple(brought), tuple(there))


def _bring(server: Server, run: str, target: Path) -> bool:
    """Whether the run held a record; its folder appears by one rename."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as building:
        folder = Path(building) / target.name
        folder.mkdir()
        stored = server.fetch(run, RECORD, folder)
        if stored is None:
            return False
        record = json.loads(stored.read_text())
        kept = {name: sha for name, sha in record["files"].items() if name == SCORES}
        for name in kept:
            if server.fetch(run, name, folder) is None:
                raise HarnessError(f"run {run} of job {target.name} has no {name}; remove that run and push again")
        stored.write_text(json.dumps(record | {"files": kept}, indent=1, allow_nan=False))
        shutil.move(folder, target)
    return True


def _unanswered(server: Server, when: str, error: Exception) -> HarnessError:
    return HarnessError(
        f"MLflow at {server.uri} failed {when} ({told(error)}); see that it runs, or name another with {URI_ENV}, and "
        "ask again: nothing is done twice"
    )
