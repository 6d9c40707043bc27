"""The ledger's mirror in MLflow, one way: a parent run for the selection, a child run a job, one for each cell.

The only file that imports mlflow (2 s), and only when there is something to log. MLflow being away, answering 500 or
hanging loses nothing: the first failure is said once, the mirror goes quiet, and `harness mirror push` brings later what
the records hold. Only the driver writes here, so the database is made before anything runs in parallel.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.errors import HarnessError
from harness.metrics import confusion, per_class_metrics
from harness.record import RECORD, SCORES, Record
from harness.spec import Job
from harness.watch import Point, Watch

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "quovadis-harness"
URI_ENV = "MLFLOW_TRACKING_URI"
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_CONFIGURE_LOGGING": "false",
}
"""Set before mlflow is imported, where the user has not set them: no telemetry, and a hanging server costs seconds."""
MOST_METRICS, MOST_PARAMS, LONGEST_PARAM = 900, 90, 500
"""Of one log_batch; MLflow takes 1,000 metrics, 100 parameters, and 6,000 letters."""


def _to_stderr(text: str) -> None:
    sys.stderr.write(text + "\n")


@dataclass
class Mirror(Watch):
    """Streams jobs to MLflow. Use as a context; no method raises because of MLflow."""

    uri: str
    """Tracking URI, resolved."""
    artifacts: str | None
    """URI under which artifacts go; None: the server decides."""
    title: str
    """Of the selection: the parent run's name."""
    enabled: bool = True
    say: Callable[[str], None] = _to_stderr
    """Takes the one sentence about MLflow being away."""
    missed: list[str] = field(default_factory=list)
    """Ids of jobs that finished and are not in MLflow."""
    _client: MlflowClient | None = None
    _experiment: str = ""
    _parent: str = ""
    _runs: dict[str, str] = field(default_factory=dict)
    _streamed: dict[str, set[tuple[int, str]]] = field(default_factory=dict)
    _away: bool = False

    def __enter__(self) -> Mirror:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self._parent:
            self._try(lambda: self._close(kind))

    def job_started(self, job: Job) -> None:
        """Open the job's run, with its parameters, its data set and a first sample of the machine."""

        def start() -> None:
            run = self._new_run(job.title, {"job_hash": job.id, "kind": job.kind, "complete": "false"})
            self._runs[job.id] = run
            _log_spec(self._opened(), run, job.spec)
            _log_points(self._opened(), run, _machine(0))

        self._try(start)

    def curve(self, job_id: str, points: Sequence[Point]) -> None:
        """Points of the learning curves, in one batch, with a sample of the machine."""

        def stream() -> None:
            _log_points(self._opened(), self._runs[job_id], [*points, *_machine(points[-1][0])])
            self._streamed.setdefault(job_id, set()).update((step, name) for step, name, _ in points)

        if job_id in self._runs and points:
            self._try(stream)

    def job_finished(self, record: Record) -> None:
        """Numbers, artifacts and tags of the finished job; its id goes to `missed` where MLflow is away."""

        def finish() -> None:
            if record.job_id not in self._runs:
                self._runs[record.job_id] = self._new_run(
                    record.title, {"job_hash": record.job_id, "kind": record.kind}
                )
                _log_spec(self._opened(), self._runs[record.job_id], record.spec)
            streamed = self._streamed.get(record.job_id, set())
            _log_record(self._opened(), self._runs.pop(record.job_id), record, streamed=streamed)

        if not self._try(finish) and self.enabled:
            self.missed.append(record.job_id)

    def cell_finished(self, title: str, metrics: Mapping[str, Any]) -> None:
        """A run for a cell (late fusion is not a job). Nothing when no job ran: an unchanged cell is there already."""

        def log() -> None:
            run = self._new_run(title, {"kind": "cell"})
            _log_points(self._opened(), run, _numbers(metrics))
            self._opened().set_terminated(run, "FINISHED")

        if self._parent:
            self._try(log)

    @property
    def how_to_open(self) -> str:
        """What a person visits, or types, to see the runs."""
        return self.uri if self.uri.startswith("http") else f"mlflow ui --backend-store-uri {self.uri}"

    def _try(self, work: Callable[[], None]) -> bool:
        """Whether `work` was done. A failure of MLflow is said once; after it nothing more is tried."""
        if not self.enabled or self._away:
            return False
        _configure()
        try:
            with _quiet():
                work()
        except _failures() as error:
            self._away = True
            self.say(
                f"MLflow at {self.uri} does not answer as it should ({type(error).__name__}: {_first_line(error)}). "
                "Nothing is lost: every finished job stays in the results folder, and `harness mirror push` sends it later."
            )
            return False
        return True

    def _opened(self) -> MlflowClient:
        """The client; the first call imports mlflow and makes database and experiment."""
        if self._client is None:
            self._client, self._experiment = _connect(self.uri, self.artifacts)
        return self._client

    def _new_run(self, name: str, tags: Mapping[str, str]) -> str:
        client = self._opened()
        if not self._parent:
            self._parent = _create(client, self._experiment, self.title, {"kind": "selection"})
        return _create(client, self._experiment, name, {**tags, "mlflow.parentRunId": self._parent})

    def _send(self, record: Record) -> bool:
        """Whether the record had to be sent; False where MLflow has it complete."""
        client = self._opened()
        found = client.search_runs([self._experiment], filter_string=f"tags.job_hash = '{record.job_id}'")
        if any(run.data.tags.get("complete") == "true" for run in found):
            return False
        for run in found:
            client.delete_run(run.info.run_id)
        run_id = self._new_run(record.title, {"job_hash": record.job_id, "kind": record.kind, "complete": "false"})
        _log_spec(client, run_id, record.spec)
        _log_record(client, run_id, record)
        return True

    def _close(self, kind: type[BaseException] | None) -> None:
        """A job that has no record yet did not finish: its run says so."""
        stopped = "FAILED" if kind is None or not issubclass(kind, KeyboardInterrupt) else "KILLED"
        for run in self._runs.values():
            self._opened().set_terminated(run, stopped)
        self._opened().set_terminated(self._parent, "FINISHED" if kind is None else stopped)


def open_mirror(
    uri: str | None,
    results_dir: Path,
    selection_title: str,
    *,
    enabled: bool = True,
    say: Callable[[str], None] | None = None,
) -> Mirror:
    """The mirror for one command. `uri`, else MLFLOW_TRACKING_URI, else sqlite in the results folder, artifacts beside it.

    Starts nothing: mlflow is imported and the run made when the first job starts.
    """
    results = Path(results_dir).absolute()
    resolved = uri or os.environ.get(URI_ENV) or f"sqlite:///{results / 'mlflow.db'}"
    artifacts = None if resolved.startswith("http") else (results / "mlartifacts").as_uri()
    mirror = Mirror(uri=resolved, artifacts=artifacts, title=selection_title, enabled=enabled)
    if say is not None:
        mirror.say = say
    return mirror


@dataclass(frozen=True)
class Pushed:
    """What a push did, by job id."""

    sent: tuple[str, ...]
    there: tuple[str, ...]
    """Complete in MLflow before."""


def push(records: Iterable[Record], mirror: Mirror) -> Pushed:
    """Send every record that MLflow does not have complete, each once however often this is called.

    A run that a killed command left half-way is replaced. Raises HarnessError when MLflow is away; what was sent by
    then stays.
    """
    _configure()
    sent: list[str] = []
    there: list[str] = []
    try:
        with _quiet(), mirror:
            for record in records:
                (sent if mirror._send(record) else there).append(record.job_id)
    except _failures() as error:
        raise HarnessError(
            f"MLflow at {mirror.uri} failed after {len(sent)} records ({type(error).__name__}: {_first_line(error)}); "
            f"see that it runs, or name another with --uri or {URI_ENV}, and push again: what is there is not sent twice"
        ) from error
    return Pushed(tuple(sent), tuple(there))


# ---------------------------------------------------------------------------------------------- mlflow itself


def _configure() -> None:
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)


def _failures() -> tuple[type[Exception], ...]:
    """What a tracking server or its database can raise: mlflow's own, the network's (OSError), the database's."""
    from mlflow.exceptions import MlflowException
    from mlflow.store.db import utils

    return (MlflowException, utils.sqlalchemy.exc.SQLAlchemyError, OSError)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """mlflow's and alembic's chatter off the screen; their configuration is restored by nobody, so levels are set anew."""
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic", "urllib3", "alembic.runtime.migration")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _connect(uri: str, artifacts: str | None) -> tuple[MlflowClient, str]:
    """A client and the experiment's id; makes database, tables and experiment under a lock where they are not there."""
    from mlflow import MlflowClient

    with _only_one(uri):
        client = MlflowClient(tracking_uri=uri)
        found = client.get_experiment_by_name(EXPERIMENT)
        identity = found.experiment_id if found else client.create_experiment(EXPERIMENT, artifact_location=artifacts)
    return client, str(identity)


@contextlib.contextmanager
def _only_one(uri: str) -> Iterator[None]:
    """Processes that start on a fresh sqlite file together would each make the tables: one does, the others wait."""
    if not uri.startswith("sqlite:///"):
        yield
        return
    database = Path(uri.removeprefix("sqlite:///"))
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _create(client: MlflowClient, experiment: str, name: str, tags: Mapping[str, str]) -> str:
    return str(client.create_run(experiment, run_name=name, tags=dict(tags)).info.run_id)


def _log_spec(client: MlflowClient, run: str, spec: Mapping[str, Any]) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag, Param

    params = [Param(key, value) for key, value in flatten(spec).items()]
    for start in range(0, len(params), MOST_PARAMS):
        client.log_batch(run, params=params[start : start + MOST_PARAMS])
    data = spec.get("dataset")
    if isinstance(data, Mapping):
        digest = str(data.get("fingerprint") or "unknown")[:36]
        source = json.dumps({"name": data["name"], "split": spec.get("split"), "subset": spec.get("subset")})
        entity = Dataset(name=str(data["name"]), digest=digest, source_type="harness", source=source)
        client.log_inputs(run, [DatasetInput(entity, [InputTag("mlflow.data.context", "training")])])


def _log_points(client: MlflowClient, run: str, points: Iterable[Point]) -> None:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    metrics = [Metric(allowed(name), float(value), now, int(step)) for step, name, value in points]
    for start in range(0, len(metrics), MOST_METRICS):
        client.log_batch(run, metrics=metrics[start : start + MOST_METRICS])


def _log_record(client: MlflowClient, run: str, record: Record, *, streamed: Iterable[tuple[int, str]] = ()) -> None:
    """Everything of a record that is not in the run yet; the tag `complete` comes last."""
    seen = set(streamed)
    curves = [(point["step"], point["name"], point["value"]) for point in record.curves]
    points = [point for point in curves if point[:2] not in seen]
    points += _numbers(record.metrics) + _numbers(record.cost, prefix="cost/")
    with tempfile.TemporaryDirectory() as folder:
        points += _write_artifacts(Path(folder), record)
        _log_points(client, run, points)
        client.log_artifacts(run, folder)
    tags = {"fingerprint": record.fingerprint, "reportable": str(reportable(record)).lower(), "complete": "true"}
    for name, value in tags.items():
        client.set_tag(run, name, value)
    client.set_terminated(run, "FINISHED")


# ---------------------------------------------------------------------------------------------- what is logged


def reportable(record: Record) -> bool:
    """False when the number rests on fewer videos than the lists name."""
    return not record.metrics.get("missing") and "limit" not in record.spec


def flatten(spec: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """{'schedule': {'steps': 5}} -> {'schedule.steps': '5'}; what is longer than MLflow shows is cut, with '...'."""
    flat: dict[str, str] = {}
    for key, value in spec.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{name}."))
            continue
        text = value if isinstance(value, str) else json.dumps(value)
        flat[allowed(name)] = text if len(text) <= LONGEST_PARAM else text[: LONGEST_PARAM - 3] + "..."
    return flat


def allowed(name: str) -> str:
    """The name with letters that MLflow refuses (parentheses, apostrophes) replaced by '_'."""
    return re.sub(r"[^\w\-. /]", "_", name)


def _numbers(values: Mapping[str, Any], prefix: str = "") -> list[Point]:
    return [(0, prefix + name, float(value)) for name, value in values.items() if isinstance(value, int | float)]


def _machine(step: int) -> list[Point]:
    """A sample of this machine under MLflow's own names; shown on the run's page of system metrics."""
    import psutil

    memory, disk = psutil.virtual_memory(), psutil.disk_usage(str(Path.cwd()))
    return [
        (step, "system/cpu_utilization_percentage", psutil.cpu_percent()),
        (step, "system/system_memory_usage_megabytes", memory.used / 1e6),
        (step, "system/system_memory_usage_percentage", memory.percent),
        (step, "system/process_memory_megabytes", psutil.Process().memory_info().rss / 1e6),
        (step, "system/disk_usage_percentage", disk.percent),
    ]


def _write_artifacts(folder: Path, record: Record) -> list[Point]:
    """record.json, scores.npz and the confusion matrix as .json and .png; gives per-class accuracy as points."""
    if record.folder is not None:
        (folder / RECORD).write_bytes((record.folder / RECORD).read_bytes())
    if SCORES not in record.files:
        return []
    (folder / SCORES).write_bytes(record.path(SCORES).read_bytes())
    scores = record.scores()
    counts = confusion(scores)
    names = list(record.classes)
    (folder / "confusion.json").write_text(json.dumps({"classes": names, "true_by_predicted": counts.tolist()}))
    draw_confusion(folder / "confusion.png", counts, names, title=record.title)
    accuracy = per_class_metrics(scores, record.classes)
    return [(0, f"class/{name}", value) for name, value in accuracy.items()]


def draw_confusion(path: Path, counts: np.ndarray, classes: Sequence[str], *, title: str) -> None:
    """Counts (C, C + 1) as a picture of row shares, true class down, predicted across, undecodable last."""
    from matplotlib.figure import Figure

    side_in = min(12.0, 3.0 + 0.22 * len(classes))
    figure = Figure(figsize=(side_in, side_in), layout="constrained")
    axes = figure.subplots()
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(title=title, xlabel="predicted", ylabel="true")
    axes.title.set_fontsize(8)
    if len(classes) <= 60:
        axes.set_xticks(range(len(classes)), classes, rotation=90, fontsize=6)
        axes.set_yticks(range(len(classes)), classes, fontsize=6)
    figure.colorbar(picture, shrink=0.6, label="share of the true class")
    figure.savefig(path, dpi=110)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else ""
