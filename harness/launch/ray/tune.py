"""The search for a learning rate by Ray Tune, on a held-out part of the training videos. Test videos are never used.

A trial is a job with an id, a lock, checkpoints and a record. So an interrupted search resumes, and a repeated one runs
nothing.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Sequence
from typing import Any

from harness.core.callbacks import Callback
from harness.core.cells import Job
from harness.core.errors import HarnessError
from harness.jobs.options import JobOptions
from harness.launch.entry import run_job
from harness.launch.events import EventDispatcher
from harness.launch.ray.cluster import cluster, largest_node
from harness.launch.ray.driver import cause_of
from harness.launch.ray.queue import event_stream
from harness.launch.ray.storage import Storage, sync_driver
from harness.launch.ray.task import ATTEMPTS, RayTask, TaskFactory, options_on_node
from harness.launch.ray.worker import run_task
from harness.metrics.registered import PRIMARY
from harness.metrics.scores import Scores, softmax
from harness.planning import tuned
from harness.records.record import Record

ERROR = "error"
"""Name under which a trial reports why it could not be done."""


def search(
    trials: Sequence[Job],
    options: JobOptions,
    callback: Callback,
    *,
    address: str | None = None,
    storage: str | None = None,
) -> list[dict[str, Any]]:
    """Run every trial. Per trial, in order: its job, its rate and its result on the held-out videos, as `outcome` gives it.

    Raises HarnessError if a trial fails, naming it.
    """
    # Trials write records, not event files.
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    shared = Storage(storage) if storage else None
    missing = [job for job in trials if not options.run_store.has(job.id)]
    if shared and missing:
        finished = sync_driver(missing, options, shared)
        missing = [job for job in missing if job.id not in finished]
    if missing:
        dispatcher = EventDispatcher(missing, callback, read=options.run_store.read)
        with cluster(address, options.cpu_threads) as ray, event_stream(ray, dispatcher) as queue:
            factory = TaskFactory(options, run_job, largest_node(ray), storage=shared)
            _tune([factory.task(job) for job in missing], queue)
    return [outcome(options.run_store.read(job.id)) for job in trials]


def _tune(tasks: Sequence[RayTask], queue: Any) -> None:
    """Run the tasks as Tune's trials and fetch their records."""
    from ray import tune

    first = tasks[0]
    # Tune requires a folder of its own; nothing in it is needed afterwards.
    folder = first.options.workspace.results / tuned.TUNED / f".search-{os.getpid()}"
    trainable = tune.with_parameters(_run_trial, tasks={task.job.id: task for task in tasks}, queue=queue)
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": first.needs.cpus, "gpu": first.needs.gpus}),
        param_space={"job": tune.grid_search([task.job.id for task in tasks])},
        tune_config=tune.TuneConfig(metric=PRIMARY, mode="max", reuse_actors=True),
        run_config=tune.RunConfig(
            name="search", storage_path=str(folder), verbose=0, failure_config=tune.FailureConfig(max_failures=ATTEMPTS)
        ),
    )
    try:
        trials = tuner.fit()
        for error in trials.errors:
            raise cause_of(error)
        for trial in trials:
            if message := (trial.metrics or {}).get(ERROR):
                raise HarnessError(message)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for task in tasks:
        if task.storage:
            task.storage.fetch(task.job.id, task.options.workspace.runs)


def _run_trial(config: dict[str, str], tasks: dict[str, RayTask], queue: Any) -> None:
    """One trial, in a worker of Tune's."""
    from ray import tune

    task = tasks[config["job"]]
    try:
        run_task(task, queue)
    except HarnessError as error:
        # As a result: Tune repeats a trial that raises, and this one would fail again.
        tune.report({PRIMARY: 0.0, "loss": math.inf, ERROR: str(error)})
        return
    result = outcome(options_on_node(task).run_store.read(task.job.id))
    tune.report({name: result[name] for name in (PRIMARY, "loss")})


def outcome(record: Record) -> dict[str, Any]:
    """A finished trial in the evidence for the choice: its job, rate, accuracy, loss and number of videos."""
    return {
        "job": record.job_id,
        "base_lr": tuned.schedule_of(record).base_lr,
        PRIMARY: record.metrics[PRIMARY]["value"],
        "loss": cross_entropy(record.scores()),
        "n": record.counts["n"],
    }


def cross_entropy(scores: Scores) -> float:
    """Mean over the videos, in nats. An undecodable video has equal logits."""
    import numpy as np

    true = softmax(scores.logits.astype(np.float64))[np.arange(len(scores.labels)), scores.labels]
    return float(-np.log(np.maximum(true, np.finfo(np.float64).tiny)).mean())
