"""How jobs in other processes tell the one that watches: events on one side, watchers on the other."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from harness.core.callbacks import Callback
from harness.core.spec import Job
from harness.records.record import Record

Event = tuple[str, str, tuple[Any, ...]]
"""(job id, method of Watch, its arguments)."""

TELL_EVERY_S = 0.2
"""Between two words about how far a stage is: a step of a head takes less than a millisecond, an event costs as much."""


class EventSender(Callback):
    """The watcher of a job in a worker: sends what it is told, steps bundled."""

    def __init__(self, job_id: str, send: Callable[[Event], None], *, every_s: float = TELL_EVERY_S) -> None:
        self.job_id, self.send, self.every_s = job_id, send, every_s
        self._count, self._note, self._told = 0, "", 0.0

    def job_started(self, job: Job) -> None:
        self._say("job_started", job)

    def stage(self, name: str, total: int, unit: str) -> None:
        self._say("stage", name, total, unit)

    def advance(self, count: int = 1, note: str = "") -> None:
        self._count, self._note = self._count + count, note
        if self._due():
            self._bundle()

    def progress(self, done: int, total: int) -> None:
        if done >= total or self._due():
            self._say("progress", done, total)

    def curve(self, job_id: str, points: list[tuple[int, str, float]]) -> None:
        self._say("curve", job_id, points)

    def note(self, text: str) -> None:
        self._say("note", text)

    def job_finished(self, record: Record) -> None:
        self._say("job_finished", record.job_id)

    def _say(self, method: str, *arguments: Any) -> None:
        self._bundle()
        self._told = time.monotonic()
        self.send((self.job_id, method, arguments))

    def _bundle(self) -> None:
        """Send the steps since the last word."""
        if self._count:
            count, self._count = self._count, 0
            self._told = time.monotonic()
            self.send((self.job_id, "advance", (count, self._note)))

    def _due(self) -> bool:
        return time.monotonic() - self._told >= self.every_s


@dataclass
class EventDispatcher:
    """Where events arrive: hands each to its job's watcher. A job that is started again is not announced again."""

    callback: Callback
    read: Callable[[str], Record]
    """Job id -> its record."""
    _watches: dict[str, Callback] = field(default_factory=dict)
    _started: dict[str, Job] = field(default_factory=dict)
    _finished: set[str] = field(default_factory=set)

    def expect(self, jobs: tuple[Job, ...]) -> None:
        """One watcher a job, before any event."""
        self._watches.update({job.id: self.callback.for_job(job) for job in jobs})

    def take(self, event: Event) -> None:
        job_id, method, arguments = event
        callback = self._watches[job_id]
        if method == "job_started":
            (job,) = arguments
            if job_id in self._started:
                callback.note(f"{job.title} was lost with its worker and goes on from its last checkpoint")
            else:
                self._started[job_id] = job
                callback.job_started(job)
        elif method == "job_finished":
            self.finish(job_id)
        else:
            getattr(callback, method)(*arguments)

    def finish(self, job_id: str) -> None:
        """Announce a finished job once, and only if it was done here: another command's job is its own to tell of."""
        if job_id in self._started and job_id not in self._finished:
            self._finished.add(job_id)
            self._watches[job_id].job_finished(self.read(job_id))
