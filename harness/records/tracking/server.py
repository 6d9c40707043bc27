"""The calls to a tracking server that we need. The first one imports mlflow."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from harness.core.atomic import remove_if_stale, temporary_path
from harness.core.callbacks import Point
from harness.core.errors import HarnessError
from harness.core.job_specs import JobSpec
from harness.metrics.scores import Scores
from harness.records.record import Record
from harness.records.tracking import content

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "quovadis-harness"
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_CONFIGURE_LOGGING": "false",
    # One bar per record; ours shows the progress of all records.
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
"""Set before mlflow is imported, where the user has not set them: no telemetry, and a hanging server costs seconds."""
MOST_METRICS, MOST_PARAMS = 900, 90
"""Most metrics and parameters per log_batch; MLflow takes 1,000 and 100."""
NOTHING: Mapping[str, str] = MappingProxyType({})
COMPLETE = "complete"
"""Tag that a job's run gets last."""


@dataclass
class Server:
    """One tracking server or database. Every method raises what `failures` names when it does not work."""

    uri: str
    artifacts: str | None
    """URI under which artifacts go; None: the server decides."""
    most_pages: int = 1000
    """Pages of 1,000 runs that are read."""
    _client: MlflowClient | None = field(default=None, repr=False)
    _experiment: str = ""

    def open(self) -> None:
        """Import mlflow, and make the database and the experiment if they are missing; the first call of any method does."""
        self._opened()

    def start(self, name: str, tags: Mapping[str, str], start_ms: int | None = None) -> str:
        """A new run's id."""
        client, source = self._opened(), {"mlflow.source.name": "harness", "mlflow.source.type": "LOCAL"}
        made = client.create_run(self._experiment, run_name=name, tags=source | dict(tags), start_time=start_ms)
        return str(made.info.run_id)

    def finish(self, run: str, status: str = "FINISHED", end_ms: int | None = None) -> None:
        self._opened().set_terminated(run, status, end_ms)

    def log_data(self, run: str, spec: JobSpec) -> None:
        """The data set of a spec as an input."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        data = spec.dataset
        digest = (data.fingerprint or "unknown")[:36]
        part = {name: getattr(spec, name, None) for name in ("split", "subset")}
        source = json.dumps({"name": data.name, **part})
        entity = Dataset(name=data.name, digest=digest, source_type="harness", source=source)
        self._opened().log_inputs(run, [DatasetInput(entity, [InputTag("mlflow.data.context", "training")])])

    def log_points(
        self,
        run: str,
        points: Iterable[Point],
        *,
        params: Mapping[str, str] = NOTHING,
        tags: Mapping[str, str] = NOTHING,
    ) -> None:
        """Points and parameters in few batches: most of the time of a call does not depend on what is in it.

        The last batch sets the tags, after its points.
        """
        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        metrics = [Metric(content.allowed(name), float(value), now, int(step)) for step, name, value in points]
        parameters = [Param(*param) for param in params.items()]
        count = max(1, -(-len(metrics) // MOST_METRICS), -(-len(parameters) // MOST_PARAMS))
        for number in range(count):
            self._opened().log_batch(
                run,
                metrics=metrics[number * MOST_METRICS : (number + 1) * MOST_METRICS],
                params=parameters[number * MOST_PARAMS : (number + 1) * MOST_PARAMS],
                tags=[RunTag(*tag) for tag in tags.items()] if number == count - 1 else [],
            )

    def log_record(
        self,
        run: str,
        record: Record,
        scores: Scores | None,
        *,
        params: Mapping[str, str] = NOTHING,
        streamed: Iterable[tuple[int, str]] = (),
        end_ms: int | None = None,
    ) -> None:
        """Everything of a record that is not in the run yet; the tag `complete` comes last."""
        points = content.points_of(record, streamed=set(streamed))
        with tempfile.TemporaryDirectory() as folder:
            points += content.write_artifacts(Path(folder), record, scores)
            self._opened().log_artifacts(run, folder)
        tags = {
            "mlflow.note.content": content.note(record),
            "fingerprint": record.fingerprint,
            "reportable": content.reportable(record.counts, limit=record.spec.dataset.limit),
            COMPLETE: "true",
        }
        self.log_points(run, points, params=params, tags=tags)
        self.finish(run, end_ms=end_ms)

    def runs(self) -> dict[str, dict[str, bool]]:
        """Job id -> run id -> complete?, of every run of a job: asked once for all, since a search takes 50 ms."""
        jobs: dict[str, dict[str, bool]] = {}
        for run, job, complete in self._jobs(""):
            jobs.setdefault(job, {})[run] = complete
        return jobs

    def complete_jobs(self) -> dict[str, str]:
        """Job id -> run id of all jobs that are here whole."""
        return {job: run for run, job, complete in self._jobs(f"tags.{COMPLETE} = 'true'") if complete}

    def drop(self, run: str) -> None:
        self._opened().delete_run(run)

    def fetch(self, run: str, name: str, folder: Path) -> Path | None:
        """The artifact copied into `folder`; None where the run has no such artifact."""
        client = self._opened()
        if name not in {artifact.path for artifact in client.list_artifacts(run)}:
            return None
        return Path(client.download_artifacts(run, name, str(folder)))

    def _jobs(self, query: str) -> Iterator[tuple[str, str, bool]]:
        client, token = self._opened(), None
        tokens: set[str] = set()
        while len(tokens) < self.most_pages:
            page = client.search_runs([self._experiment], filter_string=query, max_results=1000, page_token=token)
            for run in page:
                tags = run.data.tags
                if "job_hash" in tags:
                    yield str(run.info.run_id), tags["job_hash"], tags.get(COMPLETE) == "true"
            token = page.token
            if not token:
                return
            if token in tokens:
                break
            tokens.add(token)
        raise HarnessError(
            f"{self.uri} lists runs without end ({len(tokens)} pages read); check that it is the address of a working MLflow server"
        )

    def _opened(self) -> MlflowClient:
        """The client; see `open`."""
        if self._client is None:
            from mlflow import MlflowClient

            with _only_one(self.uri) as database:
                if database is not None and not database.exists():
                    _make(database, self.artifacts or "")
                client = MlflowClient(tracking_uri=self.uri)
                experiment = client.get_experiment_by_name(EXPERIMENT)
                self._experiment = str(
                    experiment.experiment_id
                    if experiment
                    else client.create_experiment(EXPERIMENT, artifact_location=self.artifacts)
                )
            self._client = client
        return self._client


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """mlflow with our settings; its log messages and alembic's are hidden."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic", "alembic.runtime.migration", "urllib3")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def failures() -> tuple[type[Exception], ...]:
    """Exceptions of a tracking server or its database: mlflow's own, the network's (OSError), the database's."""
    from mlflow.exceptions import MlflowException
    from mlflow.store.db import utils

    return (MlflowException, utils.sqlalchemy.exc.SQLAlchemyError, OSError)


def first_line(error: Exception) -> str:
    """Kind and first line of an error, short enough for a sentence."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200] if lines else 'no message'}"


@contextlib.contextmanager
def _only_one(uri: str) -> Iterator[Path | None]:
    """The file of an sqlite database; None: another kind of server.

    Processes that start on a fresh file together would each make the tables: one does, the others wait.
    """
    if not uri.startswith("sqlite:///"):
        yield None
        return
    from mlflow.store.db.utils import sqlalchemy

    database = Path(sqlalchemy.engine.make_url(uri).database)
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield database


def _make(database: Path, artifacts: str) -> None:
    """Make a database with mlflow's tables, by one rename: a process that is killed leaves no file with half of them."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    for stale in database.parent.glob(f".{database.name}.*.half"):
        remove_if_stale(stale)
    temporary = temporary_path(database)
    temporary.mkdir()
    try:
        SqlAlchemyStore(f"sqlite:///{temporary / database.name}", artifacts).engine.dispose()
        (temporary / database.name).rename(database)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
