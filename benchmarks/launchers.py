"""What launchers cost: `python -m benchmarks.launchers [--busy]`.

Jobs that do nothing but leave a record, through the local launcher and through Ray after its start-up; the time a job
takes beyond the same function called in a loop is what the launcher costs. `--busy` also runs 500 jobs that sleep a
second on four pretended GPUs (two minutes) and says which share of the time they were busy. For people; nothing here
passes or fails.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

JOBS, ROUNDS = 40, 3
BUSY_JOBS, GPUS, SLEEP_S = 500, 4, 1.0
TARGET_LOCAL_MS, TARGET_RAY_MS, TARGET_BUSY_PCT = 50, 300, 95


def jobs_of(number: int, **more: Any) -> list[Any]:
    from harness.core.spec import Job

    return [Job("nothing", f"nothing {n}", {"number": n, "threads": 1} | more) for n in range(number)]


def nothing(job: Any, options: Any, callback: Any) -> Any:
    """A job that takes `sleep_s` and leaves a record, as a real one would."""
    from harness.core import locks
    from harness.records.record import Record, write_record

    with locks.job_lock(options.places.jobs, job.id):
        callback.job_started(job)
        time.sleep(float(job.spec.get("sleep_s", 0.0)))
        empty: dict[str, Any] = {"environment": {}, "metrics": {}, "cost": {"wall_s": 0.0}, "fingerprint": ""}
        said = {"job_id": job.id, "kind": job.kind, "title": job.title, "spec": job.spec, "upstream": job.upstream}
        record = write_record(options.places.runs, Record(**said, **empty), fill=lambda folder: None)
        callback.job_finished(record)
        return record


def timed(run: Callable[[Any, Any], object], jobs: Sequence[Any]) -> float:
    """Seconds that `run(plan, house)` takes in an empty results folder."""
    from harness.core.workspace import Workspace
    from harness.jobs.options import JobOptions
    from harness.planning.plan import Plan

    with tempfile.TemporaryDirectory() as folder:
        options = JobOptions(Workspace(Path(folder) / "data", Path(folder) / "results"))
        plan = Plan(jobs=tuple(jobs), cells={job.id: (job.id,) for job in jobs}, done=frozenset())
        began = time.perf_counter()
        run(plan, options)
        took = time.perf_counter() - began
        assert len(options.run_store.ids()) == len(jobs)
        return took


def loop(plan: Any, options: Any) -> None:
    from harness.core.callbacks import Callback

    for job in plan.jobs:
        nothing(job, options, Callback())


def local(cores: int) -> Callable[[Any, Any], object]:
    from harness.core.callbacks import Callback
    from harness.launch.launchers import local as launcher

    def run(plan: Any, options: Any) -> None:
        os.environ["HARNESS_THREADS"] = str(cores)
        launcher.launch(plan, options, Callback(), run=nothing)

    return run


def on_ray(plan: Any, options: Any) -> None:
    from harness.core.callbacks import Callback
    from harness.launch.ray import driver

    driver.launch(plan, options, Callback(), run=nothing)


def row(what: str, run: Callable[[Any, Any], object], target_ms: int) -> dict[str, str]:
    """Milliseconds a job beyond the bare loop: paired rounds, median and range."""
    jobs = jobs_of(JOBS)
    extra = sorted(1000 * (timed(run, jobs) - timed(loop, jobs)) / JOBS for _ in range(ROUNDS))
    return {
        "what": what,
        "ms a job": f"{extra[len(extra) // 2]:.1f}",
        "range": f"{extra[0]:.1f} to {extra[-1]:.1f}",
        "target": f"<= {target_ms}",
    }


def busy_share() -> float:
    """Share of the time, in percent, that four pretended GPUs were busy with jobs that sleep."""
    # One worker for each GPU is up: jobs that took no time would all be done by the first.
    timed(on_ray, jobs_of(GPUS, sleep_s=5 * SLEEP_S, threads=0))
    jobs = jobs_of(BUSY_JOBS, sleep_s=SLEEP_S, threads=0)  # no CPU threads: planned for a GPU
    return 100 * BUSY_JOBS * SLEEP_S / (GPUS * timed(on_ray, jobs))


def main() -> None:
    from tabulate import tabulate

    from harness.launch.ray.cluster import prepare_environment

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--busy", action="store_true", help="also 500 jobs on four pretended GPUs (two minutes)")
    asked = parser.parse_args()
    os.environ["HARNESS_DEVICE"] = "cpu"
    rows = [
        row("local, one after the other", local(1), TARGET_LOCAL_MS),
        row("local, two processes, their start included", local(2), TARGET_LOCAL_MS),
    ]
    prepare_environment(None)
    import ray

    began = time.perf_counter()
    ray.init(
        "local", num_cpus=GPUS + 1, num_gpus=GPUS, include_dashboard=False, log_to_driver=False, logging_level="error"
    )
    up_s = time.perf_counter() - began
    timed(on_ray, jobs_of(GPUS))  # workers are up
    rows.append(row("ray, after its start", on_ray, TARGET_RAY_MS))
    print(tabulate(rows, headers="keys", disable_numparse=True, tablefmt="github"))
    print(f"\nray's start: {up_s:.1f} s; {os.cpu_count()} cores")
    if asked.busy:
        print(
            f"{GPUS} pretended GPUs, {BUSY_JOBS} jobs of {SLEEP_S:g} s: {busy_share():.1f}% busy (target {TARGET_BUSY_PCT})"
        )
    sys.stdout.flush()
    ray.shutdown()


if __name__ == "__main__":
    # Of the module by its name: what `__main__` defines travels to other processes as code, with every job.
    from benchmarks import launchers

    launchers.main()
