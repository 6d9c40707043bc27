"""Progress of running jobs: live bars on a terminal, plain lines elsewhere, JSON lines for programs."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

import click

from harness.commands import logs
from harness.core.callbacks import Callback, CallbackList
from harness.core.cells import Job
from harness.metrics.registered import named, text
from harness.records.record import Record, RunStore
from reports.columns import table as table
from reports.units import duration

if TYPE_CHECKING:
    from harness.records.tracking import Copied

PLAIN_EVERY_S = 5.0


def exit_if_damaged(source: RunStore | Copied) -> None:
    """Name each record that was left out, with its remedy, and exit with status 1; nothing if all could be read."""
    for error in source.damaged.values():
        click.echo(f"harness: left out a damaged record: {error}", err=True)
    if source.damaged:
        raise click.exceptions.Exit(1)


def headline(record: Record) -> str:
    """Duration and accuracy of a finished job: the metrics that are means over videos."""
    took = f"in {duration(record.cost['wall_s'])}"
    if not record.metrics:
        return took
    names = [name for name in record.metrics if named(name).mean_over == "ids"]
    numbers = ", ".join(f"{named(name).short} {text(name, record.metrics[name])}" for name in names)
    return f"{took}: {numbers} of {record.counts['n']} videos"


class JsonProgress(Callback):
    """One JSON object per line: job_started, stage, curve, note, job_finished; each with the id of its job, if any."""

    def __init__(self, stream: TextIO, job_id: str = "") -> None:
        self.stream, self.job_id = stream, job_id

    def for_job(self, job: Job) -> JsonProgress:
        return JsonProgress(self.stream, job.id)

    def emit(self, event: str, **fields: Any) -> None:
        job = {"job": self.job_id} if self.job_id else {}
        print(json.dumps({"event": event, **job, **fields}), file=self.stream, flush=True)

    def job_started(self, job: Job) -> None:
        self.emit("job_started", job=job.id, kind=job.kind, title=job.title)

    def stage(self, name: str, total: int, unit: str) -> None:
        self.emit("stage", name=name, total=total, unit=unit)

    def curve(self, job_id: str, points: list[tuple[int, str, float]]) -> None:
        self.emit("curve", job=job_id, points=points)

    def note(self, text: str) -> None:
        self.emit("note", text=text)

    def job_finished(self, record: Record) -> None:
        parts = {part: dict(getattr(record, part)) for part in ("metrics", "counts", "cost")}
        self.emit("job_finished", job=record.job_id, **parts)


@dataclass
class PlainProgress(Callback):
    """A line when a job begins, every few seconds while it runs, and when it ends. For logs."""

    stream: TextIO
    jobs: int
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    """Numbers of the jobs as they begin, shared by the callbacks of all jobs."""
    prefix: str = ""
    name: str = ""
    total: int = 0
    unit: str = ""
    done: int = 0
    began: float = 0.0
    last_line: float = 0.0

    def for_job(self, job: Job) -> PlainProgress:
        return type(self)(self.stream, self.jobs, self.numbers)

    def print(self, text: str) -> None:
        print(f"{self.prefix}{text}", file=self.stream, flush=True)

    def job_started(self, job: Job) -> None:
        self.prefix = f"[{next(self.numbers)}/{self.jobs}] "
        self.print(f"{job.title} (job {job.id})")

    def stage(self, name: str, total: int, unit: str) -> None:
        self.name, self.total, self.unit, self.done = name, total, unit, 0
        self.began = self.last_line = time.monotonic()

    def advance(self, count: int = 1, note: str = "") -> None:
        self.progress(self.done + count, self.total, note)

    def progress(self, done: int, total: int, note: str = "") -> None:
        self.done, self.total = done, total
        now = time.monotonic()
        if now - self.last_line >= PLAIN_EVERY_S:
            self.last_line = now
            rate = done / (now - self.began)
            remaining = duration(max(0, total - done) / rate) if rate else "?"
            parts = [f"{self.name}: {done}/{total} {self.unit}", f"{rate:.1f}/s", f"{remaining} left", note]
            self.print("  " + ", ".join(filter(None, parts)))

    def note(self, text: str) -> None:
        self.print(f"  note: {text}")

    def job_finished(self, record: Record) -> None:
        self.print(f"  done {headline(record)}")


class _LogLines(io.TextIOBase):
    """A stream whose lines go to the log file."""

    def write(self, text: str) -> int:
        if text.strip():
            logs.SCREEN.info("%s", text.rstrip())
        return len(text)


@dataclass
class LogProgress(PlainProgress):
    """Plain lines in the log file, with every stage and point of a learning curve. Whether a screen is open does not matter."""

    stream: TextIO = field(default_factory=_LogLines)  # type: ignore[assignment]
    jobs: int = 0

    def stage(self, name: str, total: int, unit: str) -> None:
        super().stage(name, total, unit)
        logs.SCREEN.debug("%sstage %s, %d %s", self.prefix, name, total, unit)

    def curve(self, job_id: str, points: list[tuple[int, str, float]]) -> None:
        for step, name, value in points:
            logs.SCREEN.debug("%sstep %d: %s %.6g", self.prefix, step, name, value)


@dataclass
class LiveProgress(Callback):
    """One live line per running job or stage, and a permanent line per finished job."""

    bars: Any
    jobs: int
    all_jobs: Any = None
    """The bar of all jobs, on top, so that it stays visible however many run below; None where no jobs run."""
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    title: str = ""
    task: Any = None

    def for_job(self, job: Job) -> LiveProgress:
        return LiveProgress(self.bars, self.jobs, self.all_jobs, self.numbers)

    def job_started(self, job: Job) -> None:
        self.title = f"[{next(self.numbers)}/{self.jobs}] {job.title}"
        self.stage("start", 0, "")

    def stage(self, name: str, total: int, unit: str) -> None:
        self._end_stage()
        title, stage = (self.title, name) if self.title else (name, "")
        self.task = self.bars.add_task(title, total=total or None, stage=stage, unit=unit, note="")

    def _end_stage(self) -> None:
        if self.task is not None:
            self.bars.remove_task(self.task)
            self.task = None

    def advance(self, count: int = 1, note: str = "") -> None:
        self.bars.update(self.task, advance=count, note=note)

    def progress(self, done: int, total: int) -> None:
        if self.task is not None:
            self.bars.update(self.task, completed=done, total=total)

    def note(self, text: str) -> None:
        self.bars.console.print(f"  note: {text}", style="yellow", highlight=False, markup=False)

    def job_finished(self, record: Record) -> None:
        self._end_stage()
        if self.all_jobs is not None:
            self.bars.update(self.all_jobs, advance=1)
        number = self.title.partition(" ")[0]
        self.bars.console.print(f"✓ {number} {record.title} {headline(record)}", highlight=False, markup=False)


@contextlib.contextmanager
def screen(*, jobs: int, as_json: bool = False) -> Iterator[Callback]:
    """The callback that fits the output: progress goes to standard error or into the notebook, JSON to standard output."""
    if as_json:
        yield JsonProgress(sys.stdout)
    elif logs.is_quiet():
        yield Callback()
    elif "ipykernel" in sys.modules:
        # In a notebook rich updates its bars through ipywidgets; standard error would have a red background.
        widgets = importlib.util.find_spec("ipywidgets")
        with _live(jobs, stderr=False) if widgets else contextlib.nullcontext(PlainProgress(sys.stdout, jobs)) as lines:
            yield lines
    elif not sys.stderr.isatty() or logs.is_verbose():
        yield PlainProgress(sys.stderr, jobs)
    else:
        with _live(jobs) as progress:
            yield progress


@contextlib.contextmanager
def _live(jobs: int, *, stderr: bool = True) -> Iterator[LiveProgress]:
    """Bars, which vanish when they are done; that of all jobs appears before the first one starts."""
    from rich.console import Console

    with _bars(Console(stderr=stderr)) as bars:
        all_jobs = bars.add_task("all jobs", total=jobs, stage="", unit="jobs", note="") if jobs else None
        yield LiveProgress(bars, jobs, all_jobs)


def _bars(console: Any) -> Any:
    """rich's progress bars. One line each: where the terminal is too narrow, titles are cut and nothing else."""
    from rich import progress
    from rich.table import Column
    from rich.text import Text

    class Field(progress.ProgressColumn):
        """The text that a function makes of the task, on one line."""

        def __init__(self, text: Callable[[progress.Task], str], *, cut: bool = False) -> None:
            super().__init__(Column(no_wrap=not cut))
            self.text = text

        def render(self, task: progress.Task) -> Text:
            return Text(self.text(task), no_wrap=True, overflow="ellipsis")

    return progress.Progress(
        progress.SpinnerColumn(),
        Field(lambda task: task.description, cut=True),
        Field(lambda task: str(task.fields["stage"])),
        progress.BarColumn(bar_width=20 if console.width >= 100 else 8, table_column=Column(no_wrap=True)),
        progress.MofNCompleteColumn(table_column=Column(no_wrap=True)),
        Field(_rate),
        Field(lambda task: str(task.fields["note"])),
        progress.TimeRemainingColumn(table_column=Column(no_wrap=True)),
        console=console,
        transient=True,
    )


def _rate(task: Any) -> str:
    """'12 steps/s', '0.4 videos/s'; '' before it is known."""
    per_s = task.finished_speed or task.speed or 0.0
    return f"{per_s:.{0 if per_s >= 10 else 1}f} {task.fields['unit']}/s" if per_s else ""


class Progress(CallbackList):
    """Progress of a whole run: a `screen` that opens when jobs start and closes when they end; also in the log file."""

    def __init__(self, *, as_json: bool = False) -> None:
        super().__init__()
        self.as_json = as_json
        self.open_screens = contextlib.ExitStack()

    def run_started(self, jobs: int) -> None:  # type: ignore[override]
        opened = self.open_screens.enter_context(screen(jobs=jobs, as_json=self.as_json))
        self.callbacks = (opened, LogProgress(jobs=jobs))

    def run_finished(self) -> None:  # type: ignore[override]
        self.open_screens.close()
        self.callbacks = ()
