"""What a person sees while jobs run: live bars on a terminal, plain lines elsewhere, JSON lines for machines."""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TextIO

from harness.core.callbacks import Callback
from harness.core.spec import Job
from harness.core.units import duration
from harness.metrics.summary import named, text
from harness.records.record import Record

PLAIN_EVERY_S = 5.0


def headline(record: Record) -> str:
    """What a finished job came to, in a few words."""
    took = f"in {duration(record.cost['wall_s'])}"
    if not record.metrics:
        return took
    numbers = ", ".join(f"{named(name).short} {text(name, number)}" for name, number in record.metrics.items())
    return f"{took}: {numbers} of {record.counts['n']}"


class JsonWatch(Callback):
    """One JSON object a line: job_started, stage, curve, note, job_finished; each with the id of its job, if it has one."""

    def __init__(self, stream: TextIO, job_id: str = "") -> None:
        self.stream, self.job_id = stream, job_id

    def for_job(self, job: Job) -> JsonWatch:
        return JsonWatch(self.stream, job.id)

    def emit(self, event: str, **fields: Any) -> None:
        of = {"job": self.job_id} if self.job_id else {}
        print(json.dumps({"event": event, **of, **fields}), file=self.stream, flush=True)

    def job_started(self, job: Job) -> None:
        self.emit("job_started", job=job.id, kind=job.kind, title=job.title)

    def stage(self, name: str, total: int, unit: str) -> None:
        self.emit("stage", name=name, total=total, unit=unit)

    def curve(self, job_id: str, points: list[tuple[int, str, float]]) -> None:
        self.emit("curve", job=job_id, points=points)

    def note(self, text: str) -> None:
        self.emit("note", text=text)

    def job_finished(self, record: Record) -> None:
        self.emit(
            "job_finished",
            job=record.job_id,
            **{part: dict(getattr(record, part)) for part in ("metrics", "counts", "cost")},
        )


@dataclass
class PlainWatch(Callback):
    """A line when something begins, every few seconds while it goes on, and when it ends. For logs."""

    stream: TextIO
    jobs: int
    started: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    """Shared by the watchers of all jobs."""
    prefix: str = ""
    name: str = ""
    total: int = 0
    unit: str = ""
    done: int = 0
    began: float = 0.0
    told: float = 0.0

    def for_job(self, job: Job) -> PlainWatch:
        return PlainWatch(self.stream, self.jobs, self.started)

    def say(self, text: str) -> None:
        print(f"{self.prefix}{text}", file=self.stream, flush=True)

    def job_started(self, job: Job) -> None:
        self.prefix = f"[{next(self.started)}/{self.jobs}] "
        self.say(f"{job.title} (job {job.id})")

    def stage(self, name: str, total: int, unit: str) -> None:
        self.name, self.total, self.unit, self.done = name, total, unit, 0
        self.began = self.told = time.monotonic()

    def advance(self, count: int = 1, note: str = "") -> None:
        self.progress(self.done + count, self.total, note)

    def progress(self, done: int, total: int, note: str = "") -> None:
        self.done, self.total = done, total
        now = time.monotonic()
        if now - self.told >= PLAIN_EVERY_S:
            self.told = now
            rate = done / (now - self.began)
            left = duration(max(0, total - done) / rate) if rate else "?"
            words = [f"{self.name}: {done}/{total} {self.unit}", f"{rate:.1f}/s", f"{left} left", note]
            self.say("  " + ", ".join(filter(None, words)))

    def note(self, text: str) -> None:
        self.say(f"  note: {text}")

    def job_finished(self, record: Record) -> None:
        self.say(f"  done {headline(record)}")


@dataclass
class LiveWatch(Callback):
    """One live line for each running stage, a line that stays for each finished job."""

    bars: Any
    jobs: int
    started: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    title: str = ""
    prefix: str = ""
    task: Any = None
    whole: Any = None
    """The bar of all jobs, on top, where it stays in sight however many run below; none for a single job."""

    def for_job(self, job: Job) -> LiveWatch:
        if self.whole is None and self.jobs > 1:
            self.whole = self.bars.add_task("all jobs", total=self.jobs, unit="jobs", note="")
        return LiveWatch(self.bars, self.jobs, self.started, whole=self.whole)

    def job_started(self, job: Job) -> None:
        self.title, self.prefix = job.title, f"[{next(self.started)}/{self.jobs}]"

    def stage(self, name: str, total: int, unit: str) -> None:
        if self.task is not None:
            self.bars.remove_task(self.task)
        where = f"{self.prefix} {self.title} · " if self.title else ""
        self.task = self.bars.add_task(f"{escape(where)}{name}", total=total or None, unit=unit, note="")

    def advance(self, count: int = 1, note: str = "") -> None:
        self.bars.update(self.task, advance=count, note=note)

    def progress(self, done: int, total: int) -> None:
        if self.task is not None:
            self.bars.update(self.task, completed=done, total=total)

    def note(self, text: str) -> None:
        self.bars.console.print(f"  note: {text}", style="yellow", highlight=False, markup=False)

    def job_finished(self, record: Record) -> None:
        if self.task is not None:
            self.bars.remove_task(self.task)
            self.task = None
        if self.whole is not None:
            self.bars.update(self.whole, advance=1)
        self.bars.console.print(f"✓ {self.prefix} {record.title} {headline(record)}", highlight=False, markup=False)


def escape(text: str) -> str:
    """Square brackets that rich would take for markup."""
    return text.replace("[", "\\[")


@contextlib.contextmanager
def screen(*, jobs: int, as_json: bool = False) -> Iterator[Callback]:
    """The watcher that fits where output goes; progress goes to standard error, JSON to standard output."""
    if as_json:
        yield JsonWatch(sys.stdout)
    elif not sys.stderr.isatty():
        yield PlainWatch(sys.stderr, jobs)
    else:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            ProgressColumn,
            Task,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.text import Text

        class Rate(ProgressColumn):
            """Units a second."""

            def render(self, task: Task) -> Text:
                per_s = task.finished_speed or task.speed or 0.0
                return Text(f"{per_s:.0f} {task.fields['unit']}/s" if per_s >= 1 else "")

        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            Rate(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            yield LiveWatch(progress, jobs)
