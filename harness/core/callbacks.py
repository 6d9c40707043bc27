"""Progress of running jobs, to be shown in a terminal or logged to MLflow."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from harness.core.cells import Job

Point = tuple[int, str, float]
"""(step, name, value) of a learning curve."""


class Callback:
    """Every method does nothing; subclasses override those they need. Callbacks never change a number."""

    def run_started(self, jobs: int) -> None:
        """`jobs` jobs begin; 0: data sets are rendered or indexed. A run may have both, one after the other."""

    def run_finished(self) -> None:
        """They have ended, perhaps with an error."""

    def for_job(self, job: Job) -> Callback:
        """The callback of one job among several that may run at the same time."""
        return self

    def job_started(self, job: Job) -> None: ...

    def stage(self, name: str, total: int, unit: str) -> None:
        """A stage of the current job begins: 'train', 560, 'steps'. A total of 0 is not known yet."""

    def advance(self, count: int = 1, note: str = "") -> None:
        """`count` more units of the current stage are done; `note` is a few words such as 'loss 1.23'."""

    def progress(self, done: int, total: int) -> None:
        """`done` of `total` units of the current stage are done: the callable that rendering, indexing and flow take."""

    def curve(self, job_id: str, points: list[Point]) -> None:
        """Points of the learning curves since the last call, at each checkpoint."""

    def note(self, text: str) -> None:
        """A sentence for the user."""

    def job_finished(self, record: Any) -> None:
        """`record` is the `harness.records.record.Record` of the job, a type that this layer cannot import."""


@contextlib.contextmanager
def running(callback: Callback, *, jobs: int) -> Iterator[None]:
    """`run_started` before the block, and `run_finished` after it, also after an error."""
    callback.run_started(jobs)
    try:
        yield
    finally:
        callback.run_finished()


def _each(method: str) -> Callable[..., None]:
    """The method of `CallbackList` that calls `method` of every callback."""

    def call(self: CallbackList, *arguments: Any, **options: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, method)(*arguments, **options)

    return call


@dataclass
class CallbackList(Callback):
    """Calls several callbacks in order."""

    callbacks: Iterable[Callback] = field(default_factory=tuple)

    def for_job(self, job: Job) -> Callback:
        return CallbackList(tuple(callback.for_job(job) for callback in self.callbacks))

    run_started = _each("run_started")
    run_finished = _each("run_finished")
    job_started = _each("job_started")
    stage = _each("stage")
    advance = _each("advance")
    progress = _each("progress")
    curve = _each("curve")
    note = _each("note")
    job_finished = _each("job_finished")
