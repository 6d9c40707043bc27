"""The tracker of a running command: jobs stream to MLflow, and none fails because of it."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, InvalidStateError
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from harness.core import callbacks
from harness.core.callbacks import Callback, Point
from harness.core.cells import Cell, Job
from harness.metrics.scores import CellResult, Scores, counts
from harness.metrics.summary import summary
from harness.records.record import SCORES, Record
from harness.records.tracking import content
from harness.records.tracking.server import COMPLETE, Server, failures, first_line, quiet

URI_ENV = "MLFLOW_TRACKING_URI"
STOPPED = (KeyboardInterrupt, SystemExit)
"""What Ctrl-C and SIGTERM raise."""


def _to_stderr(text: str) -> None:
    sys.stderr.write(text + "\n")


@dataclass
class Tracker(Callback):
    """Streams jobs to MLflow. Use as a context; no method raises because of MLflow."""

    server: Server
    title: str
    """Name of the parent run: the selection's."""
    enabled: bool = True
    warn: Callable[[str], None] = _to_stderr
    """Receives the one message if MLflow is unavailable."""
    unsent: list[str] = field(default_factory=list)
    """Ids of jobs that finished and are not in MLflow."""
    _opening: Future[None] = field(default_factory=Future)
    """Done when the server is open; cancelled when the command was stopped before."""
    _opener: threading.Thread | None = None
    _parent: str = ""
    _runs: dict[str, str] = field(default_factory=dict)
    _streamed: dict[str, set[tuple[int, str]]] = field(default_factory=dict)
    _away: bool = False

    def __enter__(self) -> Tracker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self._parent:
            self._try(lambda: self._close(kind))
        if self.unsent and self._opening.cancelled():
            self.warn(f"{len(self.unsent)} finished job(s) are not in MLflow; `harness mlflow push` sends them.")

    @contextlib.contextmanager
    def in_background(self) -> Iterator[Callback]:
        """The tracker as a callback that never waits (`callbacks.in_background`).

        A command that is stopped while MLflow is still starting ends at once: it has no run there yet that must be closed.
        Starting MLflow takes seconds, and a minute on a busy machine.
        """
        with callbacks.in_background(self) as callback:
            try:
                yield callback
            except STOPPED:
                self._opening.cancel()
                raise

    def job_started(self, job: Job) -> None:
        """Open the job's run, with its parameters, its data set and a first sample of the machine."""

        def start() -> None:
            self._runs[job.id] = run = self.new_run(job.title, tags_of(job.id, job))
            self.server.log_data(run, job.spec)
            self.server.log_points(run, content.machine(0), params=content.params_of(job.spec))

        self._try(start)

    def curve(self, job_id: str, points: Sequence[Point]) -> None:
        """Points of the learning curves, in one batch, with a sample of the machine."""

        def stream() -> None:
            self.server.log_points(self._runs[job_id], [*points, *content.machine(points[-1][0])])
            self._streamed.setdefault(job_id, set()).update((step, name) for step, name, _ in points)

        if job_id in self._runs and points:
            self._try(stream)

    def job_finished(self, record: Record) -> None:
        """Numbers, artifacts and tags of the finished job; its id goes to `unsent` if MLflow is unavailable."""

        def finish() -> None:
            scores = record.scores() if SCORES in record.files else None
            run = self._runs.get(record.job_id)
            if run is None:
                self.send(record, scores)
            else:
                self.server.log_record(run, record, scores, streamed=self._streamed.get(record.job_id, set()))
                del self._runs[record.job_id]

        if not self._try(finish) and self.enabled:
            self.unsent.append(record.job_id)

    def cell_finished(self, cell: Cell, result: CellResult) -> None:
        """A run for a cell of several jobs, since late fusion is not a job: with its axes as tags, and what its jobs share as
        parameters. None if no job ran: an unchanged cell has its run already."""
        records: Sequence[Record] = result.records

        def log() -> None:
            counted = counts(result.scores)
            reportable = content.reportable(counted, limit=cell.limit)
            tags = {"kind": "cell", "jobs": " ".join(result.job_ids), "reportable": reportable}
            run = self.new_run(str(cell), tags | content.axes_of(cell))
            params = content.shared([record.spec for record in records])
            self.server.log_data(run, records[0].spec)
            self.server.log_points(run, content.numbers(summary(result.scores) | counted), params=params)
            self.server.finish(run)

        if self._parent and len(records) > 1:
            self._try(log)

    @property
    def how_to_open(self) -> str:
        """The URL of the runs, or the command that shows them."""
        uri = self.server.uri
        return uri if uri.startswith("http") else f"mlflow ui --backend-store-uri {shlex.quote(uri)}"

    def send(self, record: Record, scores: Scores | None) -> None:
        """A complete run of a record and its scores. Raises what `failures` names."""
        start_ms, end_ms = content.lasted_ms(record)
        run = self.new_run(record.title, tags_of(record.job_id, record), start_ms)
        self.server.log_data(run, record.spec)
        self.server.log_record(run, record, scores, params=content.params_of(record.spec), end_ms=end_ms)

    def new_run(self, name: str, tags: Mapping[str, str], start_ms: int | None = None) -> str:
        """A child of the selection's run, which is made with its first child."""
        if not self._parent:
            self._parent = self.server.start(self.title, {"kind": "selection"})
        return self.server.start(name, {**tags, "mlflow.parentRunId": self._parent}, start_ms)

    def _try(self, log: Callable[[], None]) -> bool:
        """Whether `log` succeeded. A failure of MLflow is reported once; after it nothing more is tried."""
        if not self.enabled or self._away:
            return False
        try:
            with quiet():
                self._open()
                log()
        except CancelledError:
            return False
        except failures() as error:
            self._away = True
            self.warn(
                f"MLflow at {self.server.uri} does not answer correctly ({first_line(error)}). Nothing is lost: every "
                "finished job stays in the results folder, and `harness mlflow push` sends it later."
            )
            return False
        return True

    def _open(self) -> None:
        """Wait until the server is open. Raises CancelledError if the command was stopped before.

        The thread that opens it ends with the process.
        """
        if self._opener is None and not self._opening.cancelled():
            self._opener = threading.Thread(target=_settle, args=(self._opening, self.server.open), daemon=True)
            self._opener.start()
        self._opening.result()

    def _close(self, kind: type[BaseException] | None) -> None:
        """A job without a record did not finish: its run is marked as failed, or killed."""
        stopped = "KILLED" if kind and issubclass(kind, STOPPED) else "FAILED"
        for run in self._runs.values():
            self.server.finish(run, stopped)
        self.server.finish(self._parent, "FINISHED" if kind is None else stopped)


def _settle(future: Future[None], work: Callable[[], None]) -> None:
    """Do the work, then set the future's result, unless it was cancelled meanwhile."""
    failure: BaseException | None = None
    try:
        work()
    except BaseException as error:  # noqa: BLE001 - raised by `result`
        failure = error
    with contextlib.suppress(InvalidStateError):
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(failure)


def tags_of(job_id: str, job: Job | Record) -> dict[str, str]:
    """Tags of a job's run while it is not complete."""
    return {"job_hash": job_id, "kind": job.kind, COMPLETE: "false"} | content.axes(job.spec, job.cell)


def open_tracker(
    uri: str | None, results: Path, title: str, *, enabled: bool = True, warn: Callable[[str], None] = _to_stderr
) -> Tracker:
    """The tracker for one command. `uri`, else MLFLOW_TRACKING_URI, else sqlite in the results folder, with its artifacts.

    Starts nothing: mlflow is imported and the run made when the first job starts.
    """
    results = results.absolute()
    resolved = uri or os.environ.get(URI_ENV) or f"sqlite:///{results / 'mlflow.db'}"
    artifacts = None if resolved.startswith("http") else (results / "mlartifacts").as_uri()
    return Tracker(server=Server(resolved, artifacts), title=title, enabled=enabled, warn=warn)
