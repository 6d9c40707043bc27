"""The search for a learning rate, by Ray Tune, on a held-out part of the training videos. Test videos are never looked at.

A trial is a job like any other: it has an id, a lock, checkpoints and a record, so a search that breaks off goes on,
and one that is asked for twice runs once.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from typing import Any

from harness.core.callbacks import Callback
from harness.core.spec import Job
from harness.jobs.options import JobOptions
from harness.launch.entry import run_job
from harness.launch.ray import worker as launcher
from harness.launch.ray.cluster import cluster, most_of
from harness.launch.ray.storage import Storage, exchange
from harness.metrics.scores import Scores, softmax
from harness.metrics.summary import PRIMARY
from harness.planning import tuned
from harness.records.record import Record

TUNE_SETTINGS = {
    # Trials leave records, not event files.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
}


def search(
    trials: Sequence[Job], options: JobOptions, callback: Callback, *, address: str | None, storage: str | None = None
) -> list[dict[str, Any]]:
    """Run every trial; per trial, in order: its job, rate, and what it came to on the held-out videos.

    Raises HarnessError when a trial fails, naming it.
    """
    for name, value in TUNE_SETTINGS.items():
        os.environ.setdefault(name, value)
    store = Storage(storage) if storage else None
    missing = [job for job in trials if not options.run_store.has(job.id)]
    if store and missing:
        before = exchange(tuple(missing), options, store)
        missing = [job for job in missing if job.id not in before]
    if missing:
        with cluster(address) as ray, launcher.listening(ray, missing, options, callback) as box:
            _tune(ray, missing, options, box, store)
    return [outcome(options.run_store.read(job.id)) for job in trials]


def _tune(ray: Any, trials: Sequence[Job], options: JobOptions, box: Any, store: Storage | None) -> None:
    from ray import tune

    orders = launcher.TaskFactory(options, run_job, most_of(ray), storage=store)
    tasks = {job.id: orders.task(job) for job in trials}
    needs = tasks[trials[0].id].needs
    # Tune insists on a folder of its own; nothing in it is needed when it ends.
    folder = options.places.results / tuned.TUNED / f".search-{os.getpid()}"
    trainable = tune.with_parameters(_trial, tasks=tasks, box=box)
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": needs.cpus, "gpu": needs.gpus}),
        param_space={"job": tune.grid_search(list(tasks))},
        tune_config=tune.TuneConfig(metric=PRIMARY, mode="max", reuse_actors=True),
        run_config=tune.RunConfig(
            name="search",
            storage_path=str(folder),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=launcher.TRIES),
        ),
    )
    try:
        for error in tuner.fit().errors:
            raise launcher.cause_of(error)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if store:
        for job in trials:
            store.fetch(job.id, options.places.runs)


def _trial(config: dict[str, str], tasks: dict[str, Any], box: Any) -> None:
    """One trial in a worker of Tune's."""
    from ray import tune

    task = tasks[config["job"]]
    launcher.run_task(task, box)
    found = outcome(launcher.options_on_node(task).run_store.read(task.job.id))
    tune.report({name: found[name] for name in (PRIMARY, "loss")})


def outcome(record: Record) -> dict[str, Any]:
    """What a trial's record says, as evidence."""
    return {
        "job": record.job_id,
        "base_lr": record.spec["schedule"]["base_lr"],
        PRIMARY: record.metrics[PRIMARY]["value"],
        "loss": cross_entropy(record.scores()),
        "n": record.counts["n"],
    }


def cross_entropy(scores: Scores) -> float:
    """Mean over the videos, in nats; an undecodable video's logits are equal ones."""
    import numpy as np

    true = softmax(scores.logits.astype(np.float64))[np.arange(len(scores.labels)), scores.labels]
    return float(-np.log(np.maximum(true, np.finfo(np.float64).tiny)).mean())
