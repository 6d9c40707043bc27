"""Progress of running jobs, to be shown in a terminal or logged to MLflow."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from harness.core.cells import Job

Point = tuple[int, str, float]
"""(step, name, value) of a learning curve."""


class Callback:
    """Every method does nothing; subclasses override those they need. Callbacks never change a number."""

    def run_started(self, jobs: int) -> None:
        """`jobs` jobs begin; 0: data sets are rendered or indexed. A run may have both, one after the other."""

    def run_finished(self) -> None:
        """All jobs have ended, perhaps with an error."""

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


def _forwarded(method: str) -> Callable[..., None]:
    def call(self: _Forwarding, *arguments: Any, **options: Any) -> None:
        self.forward(method, *arguments, **options)

    return call


class _Forwarding(Callback):
    """Passes every call on to `forward`."""

    def forward(self, method: str, *arguments: Any, **options: Any) -> None:
        raise NotImplementedError

    run_started = _forwarded("run_started")
    run_finished = _forwarded("run_finished")
    job_started = _forwarded("job_started")
    stage = _forwarded("stage")
    advance = _forwarded("advance")
    progress = _forwarded("progress")
    curve = _forwarded("curve")
    note = _forwarded("note")
    job_finished = _forwarded("job_finished")


@dataclass
class CallbackList(_Forwarding):
    """Calls several callbacks in order."""

    callbacks: Iterable[Callback] = field(default_factory=tuple)

    def for_job(self, job: Job) -> Callback:
        return CallbackList(tuple(callback.for_job(job) for callback in self.callbacks))

    def forward(self, method: str, *arguments: Any, **options: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, method)(*arguments, **options)


@dataclass
class _Queued(_Forwarding):
    callback: Callback
    calls: SimpleQueue[Callable[[], None] | None]

    def for_job(self, job: Job) -> Callback:
        return _Queued(self.callback.for_job(job), self.calls)

    def forward(self, method: str, *arguments: Any, **options: Any) -> None:
        self.calls.put(functools.partial(getattr(self.callback, method), *arguments, **options))


@contextlib.contextmanager
def in_background(callback: Callback) -> Iterator[Callback]:
    """A callback that never waits: `callback` gets its calls in a thread, in order, and has had all when the block ends.

    Raises at the end of the block what a call raised; later calls are dropped.
    """
    calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
    errors: list[BaseException] = []

    def work() -> None:
        while (call := calls.get()) is not None:
            if not errors:
                try:
                    call()
                except BaseException as error:  # noqa: BLE001 - raised again below
                    errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield _Queued(callback, calls)
    finally:
        calls.put(None)
        thread.join()
    if errors:
        raise errors[0]
