"""Progress of jobs in other processes: `EventSender` in the worker, `EventDispatcher` in the driver."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from harness.core.callbacks import Callback, Point
from harness.core.cells import Job
from harness.records.record import Record

Event = tuple[str, str, tuple[Any, ...]]
"""(job id, method of Callback, its arguments)."""

SEND_EVERY_S = 0.2
"""Between two progress events of a stage: a step of a head takes less than a millisecond, and an event costs as much."""


class EventSender(Callback):
    """Callback of a job in a worker: sends every call as an event, and many `advance` calls as one."""

    def __init__(self, job_id: str, send: Callable[[Event], None], *, every_s: float = SEND_EVERY_S) -> None:
        self.job_id, self.send, self.every_s = job_id, send, every_s
        self._count, self._note, self._sent_at = 0, "", 0.0

    def job_started(self, job: Job) -> None:
        self._emit("job_started", job)

    def stage(self, name: str, total: int, unit: str) -> None:
        self._emit("stage", name, total, unit)

    def advance(self, count: int = 1, note: str = "") -> None:
        self._count, self._note = self._count + count, note
        if self._due():
            self._flush()

    def progress(self, done: int, total: int) -> None:
        if done >= total or self._due():
            self._emit("progress", done, total)

    def curve(self, job_id: str, points: list[Point]) -> None:
        self._emit("curve", job_id, points)

    def note(self, text: str) -> None:
        self._emit("note", text)

    def job_finished(self, record: Record) -> None:
        self._emit("job_finished", record.job_id)

    def log(self, level: int, logger: str, text: str) -> None:
        """A message of `logging` in the worker."""
        self._emit("log", level, logger, text)

    def _emit(self, method: str, *arguments: Any) -> None:
        self._flush()
        self._send(method, arguments)

    def _flush(self) -> None:
        """Send the steps since the last event."""
        if self._count:
            count, self._count = self._count, 0
            self._send("advance", (count, self._note))

    def _send(self, method: str, arguments: tuple[Any, ...]) -> None:
        self._sent_at = time.monotonic()
        self.send((self.job_id, method, arguments))

    def _due(self) -> bool:
        return time.monotonic() - self._sent_at >= self.every_s


class _LogSender(logging.Handler):
    """Sends messages of `logging` as events of a job."""

    def __init__(self, sender: EventSender) -> None:
        super().__init__()
        self.sender = sender

    def emit(self, record: logging.LogRecord) -> None:
        self.sender.log(record.levelno, record.name, self.format(record))


@contextlib.contextmanager
def logging_to(sender: EventSender) -> Iterator[EventSender]:
    """During the block, what this process logs, and warnings of Python, go to the driver, whose log file and terminal show it."""
    handler, program = _LogSender(sender), logging.getLogger("harness")
    program.setLevel(logging.DEBUG)
    logging.captureWarnings(True)
    sources = (program, logging.getLogger("py.warnings"))
    for source in sources:
        source.addHandler(handler)
    try:
        yield sender
    finally:
        for source in sources:
            source.removeHandler(handler)
        logging.captureWarnings(False)


@dataclass
class EventDispatcher:
    """Calls each job's own callback for the events of its worker. A job that is restarted is announced only once."""

    jobs: Iterable[Job]
    callback: Callback
    read: Callable[[str], Record]
    """Job id -> its record."""
    _callbacks: dict[str, Callback] = field(init=False)
    _started: set[str] = field(default_factory=set)
    _finished: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._callbacks = {job.id: self.callback.for_job(job) for job in self.jobs}

    def dispatch(self, event: Event) -> None:
        job_id, method, arguments = event
        callback = self._callbacks[job_id]
        if method == "log":
            level, logger, text = arguments
            logging.getLogger(logger).log(level, "%s", text)
        elif method == "job_started" and job_id in self._started:
            (job,) = arguments
            callback.note(f"{job.title}: its worker was lost; it resumes from its last checkpoint")
        elif method == "job_finished":
            self.finish(job_id)
        else:
            if method == "job_started":
                self._started.add(job_id)
            getattr(callback, method)(*arguments)

    def finish(self, job_id: str) -> None:
        """Report a finished job once, and only if it ran here: a job that another command ran is reported there."""
        if job_id in self._started and job_id not in self._finished:
            self._finished.add(job_id)
            self._callbacks[job_id].job_finished(self.read(job_id))
