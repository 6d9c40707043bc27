"""Jobs on a Ray cluster, or on one that is started here for the time being: `--launcher ray [--address ...]`.

A job is a Ray task that asks for its cores, its GPU and its memory; the tasks it needs are its arguments, so Ray starts
it when they are done, wherever there is room. A worker or a node that is lost takes nothing along: the task is started
again and goes on from the job's last checkpoint in the results folder, which every node sees. Events come back through
one small actor; the driver alone writes to the screen and to MLflow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.core.callbacks import Callback
from harness.core.errors import HarnessError
from harness.core.locks import clear_finished
from harness.core.spec import Job
from harness.jobs.options import JobOptions
from harness.launch.entry import JobFunction, run_job
from harness.launch.events import EventDispatcher
from harness.launch.ray.cluster import cluster, most_of
from harness.launch.ray.storage import Storage, exchange
from harness.launch.ray.worker import LOOK_EVERY_S, TRIES, TaskFactory, cause_of, inbox, listen, run_task
from harness.planning.plan import Plan


def launch(
    plan: Plan,
    options: JobOptions,
    callback: Callback,
    *,
    address: str | None = None,
    storage: str | None = None,
    gpus_per_job: int = 1,
    do: JobFunction = run_job,
) -> int:
    """Run every job that is still to do on the cluster at `address`; returns how many ran.

    Without an address, RAY_ADDRESS or else a Ray of its own on this machine. `storage` is the URL of `storage.Storage`,
    for nodes that do not share the results folder; records come back to this one. Raises HarnessError when a job does,
    or is lost more often than `TRIES`; finished jobs are kept.
    """
    clear_finished(options.places.jobs, options.run_store.has)
    store = Storage(storage) if storage else None
    before = exchange(plan.to_do, options, store) if store and plan.to_do else frozenset()
    jobs = tuple(job for job in plan.to_do if job.id not in before)
    if not jobs:
        return 0
    desk = EventDispatcher(callback, read=options.run_store.read)
    desk.expect(jobs)
    with cluster(address) as ray, inbox(ray) as box:
        orders = TaskFactory(options, do, most_of(ray), gpus_per_job=gpus_per_job, storage=store)
        _Driver(ray, jobs, orders, desk).run(box)
    return len(jobs)


class _Driver:
    """Hands all jobs to Ray and ends with the last, or with the first that fails."""

    def __init__(self, ray: Any, jobs: Sequence[Job], orders: TaskFactory, desk: EventDispatcher) -> None:
        self.ray, self.jobs, self.orders, self.desk, self.most = ray, jobs, orders, desk, orders.most
        # max_calls=0: by default Ray starts a fresh process for each task that asks for a GPU.
        self.task = ray.remote(max_retries=TRIES, max_calls=0)(run_task)

    def run(self, box: Any) -> None:
        running: dict[Any, Job] = {}
        try:
            refs: dict[str, Any] = {}
            for job in self.jobs:
                edges = [refs[upstream] for upstream in job.upstream.values() if upstream in refs]
                refs[job.id] = self.submit(job, box, edges)
                running[refs[job.id]] = job
            while running:
                ready, _ = self.ray.wait(list(running), timeout=LOOK_EVERY_S)
                listen(self.ray, box, self.desk)
                for ref in ready:
                    self.take(ref, running.pop(ref))
        finally:
            for ref in running:
                self.ray.cancel(ref, force=True)

    def submit(self, job: Job, box: Any, edges: list[Any]) -> Any:
        told = self.orders.task(job)
        if told.members > 1:
            # The task itself only waits for its group, which asks for its own share of the cluster.
            return self.task.options(name=job.title, num_cpus=0).remote(told, box, *edges)
        asked = {"CPU": told.needs.cpus, "GPU": told.needs.gpus}
        short = [f"{count} {name}" for name, count in asked.items() if count > self.most.get(name, 0)]
        if short:
            self.desk.take((job.id, "note", (f"{job.title} waits for a node with {' and '.join(short)}: none has it",)))
        task = self.task.options(
            name=job.title, num_cpus=told.needs.cpus, num_gpus=told.needs.gpus, memory=told.needs.memory_bytes
        )
        return task.remote(told, box, *edges)

    def take(self, ref: Any, job: Job) -> None:
        """Take a finished task's word for it that the record is there."""
        try:
            job_id = self.ray.get(ref)
        except self.ray.exceptions.RayTaskError as error:
            raise cause_of(error) from None
        except self.ray.exceptions.RayError as error:
            raise HarnessError(
                f"{job.title} was lost {TRIES + 1} times with its worker or node ({type(error).__name__}; out of memory?). "
                "Finished jobs are kept; run the same command again to go on from the last checkpoints"
            ) from error
        if self.orders.storage:
            self.orders.storage.fetch(job_id, self.orders.options.places.runs)
        self.desk.finish(job_id)
