"""What launchers cost per job: `python -m benchmarks launchers [--busy]`.

Jobs that only write a record, through the local launcher and through Ray after its start; the time per job beyond the
same function called in a loop is the cost of the launcher.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from harness.core.cells import Job
from harness.core.job_specs import DataSpec, JobSpec

JOBS, ROUNDS = 40, 3
BUSY_JOBS, GPUS, SLEEP_S = 500, 4, 1.0
TARGET_LOCAL_MS, TARGET_RAY_MS, TARGET_BUSY_PCT = 50, 300, 95

Run = Callable[[Any, Any], object]
"""(plan, options): runs the jobs of the plan."""


@dataclass(frozen=True, kw_only=True)
class NothingSpec(JobSpec):
    """A job that sleeps."""

    kind = "nothing"

    number: int
    threads: int = 1
    sleep_s: float = 0.0


def jobs_of(number: int, **more: Any) -> list[Any]:
    data = DataSpec("none", 1, "none")
    return [Job(NothingSpec(dataset=data, code_version=0, number=n, **more), f"nothing {n}") for n in range(number)]


def nothing(job: Any, options: Any, callback: Any) -> Any:
    """A job that takes `sleep_s` and writes a record."""
    from harness.core import locks
    from harness.records.record import Record, write_record

    with locks.job_lock(options.workspace.jobs, job.id):
        callback.job_started(job)
        time.sleep(job.spec.sleep_s)
        empty: dict[str, Any] = {"environment": {}, "metrics": {}, "cost": {"wall_s": 0.0}, "fingerprint": ""}
        identity = {"job_id": job.id, "spec": job.spec, "title": job.title, "upstream": job.upstream, "cell": None}
        record = write_record(options.workspace.runs, Record(**identity, **empty), fill=lambda folder: None)
        callback.job_finished(record)
        return record


def seconds(run: Run, jobs: Sequence[Any]) -> float:
    """Wall-clock of `run` in an empty results folder."""
    from harness.core.workspace import Workspace
    from harness.jobs.options import JobOptions
    from harness.planning.plan import Plan

    with tempfile.TemporaryDirectory() as folder:
        options = JobOptions(Workspace(Path(folder) / "data", Path(folder) / "results"), device="cpu")
        plan = Plan(jobs=tuple(jobs), cells={job.id: (job.id,) for job in jobs}, done=frozenset())
        began = time.perf_counter()
        run(plan, options)
        taken = time.perf_counter() - began
        assert len(options.run_store.ids()) == len(jobs)
        return taken


def loop(plan: Any, options: Any) -> None:
    from harness.core.callbacks import Callback

    for job in plan.jobs:
        nothing(job, options, Callback())


def local(cores: int) -> Run:
    from harness.core.callbacks import Callback
    from harness.launch.launchers import local as launcher

    def run(plan: Any, options: Any) -> None:
        launcher.launch(plan, replace(options, cpu_threads=cores), Callback(), run=nothing)

    return run


def on_ray(plan: Any, options: Any) -> None:
    from harness.core.callbacks import Callback
    from harness.launch.ray import driver

    driver.launch(plan, options, Callback(), run=nothing)


@click.command()
@click.option("--busy", is_flag=True, help=f"Also run {BUSY_JOBS} jobs on {GPUS} pretended GPUs (two minutes).")
def launchers(busy: bool) -> None:
    """Time per job that a launcher adds."""
    from tabulate import tabulate

    from harness.launch.ray.cluster import prepare_environment

    rows = [
        _row("local, one after the other", local(1), TARGET_LOCAL_MS),
        _row("local, two processes, their start included", local(2), TARGET_LOCAL_MS),
    ]
    prepare_environment(None)
    import ray

    began = time.perf_counter()
    ray.init(
        "local", num_cpus=GPUS + 1, num_gpus=GPUS, include_dashboard=False, log_to_driver=False, logging_level="error"
    )
    start_s = time.perf_counter() - began
    seconds(on_ray, jobs_of(GPUS))  # starts the workers
    rows.append(_row("ray, after its start", on_ray, TARGET_RAY_MS))
    click.echo(tabulate(rows, headers="keys", disable_numparse=True, tablefmt="github"))
    click.echo(f"\nstart of ray: {start_s:.1f} s; {os.cpu_count()} cores")
    if busy:
        jobs = f"{BUSY_JOBS} jobs of {SLEEP_S:g} s on {GPUS} pretended GPUs"
        click.echo(f"{jobs}: {_busy_pct():.1f}% busy (target {TARGET_BUSY_PCT})")
    ray.shutdown()


def _row(name: str, run: Run, target_ms: int) -> dict[str, str]:
    """Milliseconds per job beyond the bare loop: paired rounds, median and range."""
    jobs = jobs_of(JOBS)
    extra = sorted(1000 * (seconds(run, jobs) - seconds(loop, jobs)) / JOBS for _ in range(ROUNDS))
    return {
        "launcher": name,
        "ms per job": f"{extra[len(extra) // 2]:.1f}",
        "range": f"{extra[0]:.1f} to {extra[-1]:.1f}",
        "target": f"<= {target_ms}",
    }


def _busy_pct() -> float:
    """Share of the time that the pretended GPUs are busy with jobs that sleep."""
    # Starts one worker per GPU: jobs that took no time would all be done by the first.
    seconds(on_ray, jobs_of(GPUS, sleep_s=5 * SLEEP_S, threads=0))
    jobs = jobs_of(BUSY_JOBS, sleep_s=SLEEP_S, threads=0)  # no CPU threads: planned for a GPU
    return 100 * BUSY_JOBS * SLEEP_S / (GPUS * seconds(on_ray, jobs))
