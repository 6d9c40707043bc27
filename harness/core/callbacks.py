"""What a running job tells whoever watches: the screen, MLflow, both, or nobody."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from harness.core.spec import Job
from harness.records.record import Record

Point = tuple[int, str, float]
"""(step, name, value) of a learning curve."""


class Callback:
    """Every method does nothing; a watcher overrides what it cares for. Watchers never change a number."""

    def for_job(self, job: Job) -> Callback:
        """The watcher of one job among several that may run at once."""
        return self

    def job_started(self, job: Job) -> None: ...

    def stage(self, name: str, total: int, unit: str) -> None:
        """A stage of the current job begins: 'train' in 560 'steps'; a total of 0 is not known yet."""

    def advance(self, count: int = 1, note: str = "") -> None:
        """`count` more of the current stage are done; `note` is a few words such as 'loss 1.23'."""

    def curve(self, job_id: str, points: list[Point]) -> None:
        """Points of the learning curves since the last call, at each checkpoint."""

    def note(self, text: str) -> None:
        """A sentence a person should see."""

    def job_finished(self, record: Record) -> None: ...

    def progress(self, done: int, total: int) -> None:
        """The callable that rendering, indexing and flow take: sets the current stage to `done` of `total`."""


@dataclass
class CallbackList(Callback):
    """Tells each of several watchers."""

    watchers: Iterable[Callback] = field(default_factory=tuple)

    def for_job(self, job: Job) -> Callback:
        return CallbackList(tuple(watcher.for_job(job) for watcher in self.watchers))

    def job_started(self, job: Job) -> None:
        for watcher in self.watchers:
            watcher.job_started(job)

    def stage(self, name: str, total: int, unit: str) -> None:
        for watcher in self.watchers:
            watcher.stage(name, total, unit)

    def advance(self, count: int = 1, note: str = "") -> None:
        for watcher in self.watchers:
            watcher.advance(count, note)

    def curve(self, job_id: str, points: list[Point]) -> None:
        for watcher in self.watchers:
            watcher.curve(job_id, points)

    def note(self, text: str) -> None:
        for watcher in self.watchers:
            watcher.note(text)

    def job_finished(self, record: Record) -> None:
        for watcher in self.watchers:
            watcher.job_finished(record)

    def progress(self, done: int, total: int) -> None:
        for watcher in self.watchers:
            watcher.progress(done, total)
