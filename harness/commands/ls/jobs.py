"""The list of jobs: finished, running and stopped ones, filtered and sorted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.commands import console
from harness.core.cells import Cell, Job
from harness.core.errors import unknown
from harness.core.job_specs import ClipsSpec, JobSpec, WithScores, to_plain
from harness.core.serialization import plain
from harness.core.workspace import Workspace
from harness.metrics.registered import PRIMARY, named, text
from harness.records.caveats import caveat_of
from harness.records.record import Record, RunStore
from harness.records.started import started_jobs

STATES = ("finished", "running", "stopped")


@dataclass(frozen=True)
class ListedJob:
    """One job of a results folder."""

    job_id: str
    spec: JobSpec
    title: str
    cell: Cell | None
    upstream: Mapping[str, str]
    state: str
    record: Record | None = None

    @property
    def axes(self) -> dict[str, Any]:
        """Axis -> value. A job that scores nothing serves many cells, and has only a data set and perhaps a baseline."""
        if self.cell is not None and isinstance(self.spec, WithScores):
            return vars(self.cell)
        baseline = {"baseline": self.spec.baseline.name} if isinstance(self.spec, ClipsSpec) else {}
        return {"dataset": self.spec.dataset.name} | baseline


@dataclass(frozen=True)
class Filters:
    """Which jobs to list, and in which order."""

    axes: Mapping[str, Sequence[object]] = field(default_factory=dict)
    """Axis -> values, of which a job must have one; none: any."""
    states: Sequence[str] = ()
    sort: str = "finished"
    """Key of SORT_KEYS; '-KEY': from high to low."""

    def chosen(self, jobs: Iterable[ListedJob]) -> list[ListedJob]:
        """The jobs that pass, in order. Raises UnknownName for another key. Jobs that lack the key come last."""
        name = self.sort.removeprefix("-")
        if name not in SORT_KEYS:
            raise unknown("sort key", name, SORT_KEYS)
        key = SORT_KEYS[name]
        passing = sorted((job for job in jobs if self._pass(job)), key=lambda job: job.job_id)
        with_key = sorted((job for job in passing if key(job) is not None), key=key, reverse=self.sort.startswith("-"))
        return with_key + [job for job in passing if key(job) is None]

    def _pass(self, job: ListedJob) -> bool:
        if self.states and job.state not in self.states:
            return False
        return all(not values or job.axes.get(axis) in values for axis, values in self.axes.items())


SORT_KEYS: Mapping[str, Callable[[ListedJob], Any]] = {
    "finished": lambda job: job.record.finished_at if job.record else None,
    "top1": lambda job: job.record.metrics[PRIMARY]["value"] if job.record and job.record.metrics else None,
    "took": lambda job: job.record.cost["wall_s"] if job.record else None,
    "what": lambda job: job.title,
    "kind": lambda job: job.spec.kind,
    "state": lambda job: STATES.index(job.state),
    "baseline": lambda job: job.axes.get("baseline"),
    "dataset": lambda job: job.axes.get("dataset"),
    "protocol": lambda job: job.axes.get("protocol"),
    "seed": lambda job: job.axes.get("seed"),
}


def listed_jobs(workspace: Workspace, run_store: RunStore) -> list[ListedJob]:
    """Every job of the results folder, except those with a damaged record, which `run_store` collects."""
    records = (record for record, _ in run_store.with_scores())
    finished = [ListedJob(r.job_id, r.spec, r.title, r.cell, r.upstream, "finished", r) for r in records]
    return finished + [_unfinished(started.job, started.running) for started in started_jobs(workspace)]


def _unfinished(job: Job, running: bool) -> ListedJob:
    return ListedJob(job.id, job.spec, job.title, job.cell, job.upstream, "running" if running else "stopped")


def as_text(jobs: Sequence[ListedJob], total: int, workspace: Workspace, *, damaged: bool) -> str:
    """One line per job. A number is printed only if the scores behind it can be read."""
    if not jobs:
        none = "No readable records" if damaged else "No jobs"
        return f"{none} in {workspace.runs}." if not total else f"None of the {total} jobs matches."
    with_state = any(job.state != "finished" for job in jobs)
    rows = [_row(job) | ({"state": job.state} if with_state else {}) for job in jobs]
    names = {job.spec.dataset.name for job in jobs}
    caveats = dict.fromkeys(f"\n{caveat}." for caveat in map(caveat_of, sorted(names)) if caveat)
    return console.table(rows) + "".join(caveats)


def _row(job: ListedJob) -> dict[str, Any]:
    record = job.record
    return {
        "job": job.job_id,
        "kind": job.spec.kind,
        "what": job.title,
        named(PRIMARY).short: text(PRIMARY, record.metrics[PRIMARY]) if record and record.metrics else "",
        "n": record.counts.get("n", "") if record else "",
        "took s": f"{record.cost['wall_s']:.0f}" if record else "",
        "finished": record.finished_at[:16].replace("T", " ") if record else "",
    }


def as_json(jobs: Sequence[ListedJob]) -> str:
    """A list of the jobs, without their specs, curves and files."""
    rows = []
    for job in jobs:
        results = {name: getattr(job.record, name, None) for name in ("metrics", "counts", "cost", "finished_at")}
        row = {name: getattr(job, name) for name in ("job_id", "title", "cell", "upstream", "state")}
        rows.append(plain({**row, "kind": job.spec.kind, **results}))
    return json.dumps(rows, indent=1, ensure_ascii=False)


def in_full(name: str, run_store: RunStore) -> str:
    """The record of a job as JSON; `name` is the beginning of its id."""
    record = run_store.find(name)
    left_out = ("folder", "curves", "classes", "fingerprint", "files")
    content = {key: value for key, value in vars(record).items() if key not in left_out}
    content |= {"spec": to_plain(record.spec), "folder": str(record.folder)}
    return json.dumps(plain(content), indent=1, ensure_ascii=False)
