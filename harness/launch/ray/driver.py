"""`--launcher ray [--address ...]`: jobs as tasks of Ray.

A job is a Ray task that asks for its cores, GPU and memory. The tasks it needs are its arguments, so Ray starts it when
they are done, on any node with enough resources. If a worker or node is lost, nothing is: the task is restarted and
resumes from the job's last checkpoint in the results folder, which every node sees. Events come back through one small
actor; only the driver writes to the terminal and to MLflow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.core.callbacks import Callback
from harness.core.cells import Job
from harness.core.errors import HarnessError
from harness.core.locks import clear_finished
from harness.jobs.options import JobOptions
from harness.launch.entry import JobFunction, run_job
from harness.launch.events import EventDispatcher
from harness.launch.ray.cluster import all_nodes, cluster, largest_node
from harness.launch.ray.queue import POLL_EVERY_S, event_queue, forward_events
from harness.launch.ray.storage import Storage, sync_driver
from harness.launch.ray.task import ATTEMPTS, RayTask, TaskFactory
from harness.launch.ray.worker import run_task

if TYPE_CHECKING:
    from harness.planning.plan import Plan

ON_ALL_GPUS = {"env_vars": {"RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES": "1"}}
"""Workers see all GPUs of their node, and each job selects the one assigned to it (`worker.on_assigned_gpu`). Otherwise Ray would
set CUDA_VISIBLE_DEVICES for each task, which CUDA reads only once in a process."""


def launch(
    plan: Plan,
    options: JobOptions,
    callback: Callback,
    *,
    run: JobFunction = run_job,
    address: str | None = None,
    storage: str | None = None,
    gpus_per_job: int = 1,
) -> int:
    """Run every unfinished job on the cluster at `address`. Returns the number of jobs run.

    Without an address: RAY_ADDRESS, or else Ray started on this machine. `storage` is the URL of a `Storage`, for nodes
    that do not share the results folder; records are fetched into this one. Raises the HarnessError of a job that fails,
    and HarnessError for one that is lost more than `ATTEMPTS` times; finished jobs keep their records.
    """
    if gpus_per_job < 1:
        raise HarnessError(f"--gpus-per-job must be >= 1, got {gpus_per_job}")
    clear_finished(options.workspace.jobs, options.run_store.has)
    shared = Storage(storage) if storage else None
    finished = sync_driver(plan.to_do, options, shared) if shared and plan.to_do else frozenset()
    jobs = [job for job in plan.to_do if job.id not in finished]
    if jobs:
        dispatcher = EventDispatcher(jobs, callback, read=options.run_store.read)
        with cluster(address, options.cpu_threads) as ray, event_queue(ray) as queue:
            tasks = TaskFactory(options, run, largest_node(ray), gpus_per_job=gpus_per_job, storage=shared)
            if note := tasks.decoding.note(jobs):
                callback.note(note)
            _Driver(ray, queue, tasks, dispatcher, all_nodes(ray)).run(jobs)
    return len(jobs)


class _Driver:
    """Submits all jobs to Ray and waits for the last, or for the first that fails."""

    def __init__(
        self, ray: Any, queue: Any, tasks: TaskFactory, dispatcher: EventDispatcher, total: Mapping[str, float]
    ) -> None:
        self.ray, self.queue, self.tasks, self.dispatcher, self.total = ray, queue, tasks, dispatcher, total
        # max_calls=0: by default Ray starts a fresh process for each task that asks for a GPU.
        self.remote = ray.remote(max_retries=ATTEMPTS, max_calls=0)(run_task)

    def run(self, jobs: list[Job]) -> None:
        running: dict[Any, Job] = {}
        try:
            refs: dict[str, Any] = {}
            for job in jobs:
                upstream = [refs[job_id] for job_id in job.upstream.values() if job_id in refs]
                refs[job.id] = self.submit(job, upstream)
                running[refs[job.id]] = job
            while running:
                # Not for the first that ends: a call costs as much as there are jobs, and would be made for each.
                ready, _ = self.ray.wait(list(running), num_returns=len(running), timeout=POLL_EVERY_S)
                forward_events(self.ray, self.queue, self.dispatcher)
                for ref in ready:
                    self.collect(ref, running.pop(ref))
        finally:
            for ref in running:
                self.ray.cancel(ref, force=True)

    def submit(self, job: Job, upstream: list[Any]) -> Any:
        task = self.tasks.task(job)
        needs = task.needs
        if waits := waiting_for(task, self.tasks.largest, self.total):
            self.dispatcher.dispatch((job.id, "note", (f"{job.title} waits for {waits}",)))
        if task.members > 1:
            # The task itself only waits for its group, which asks for its own resources.
            return self.remote.options(name=job.title, num_cpus=0).remote(task, self.queue, *upstream)
        remote = self.remote.options(
            name=job.title,
            num_cpus=needs.cpus,
            num_gpus=needs.gpus,
            memory=needs.memory_bytes,
            runtime_env=ON_ALL_GPUS if needs.gpus else None,
        )
        return remote.remote(task, self.queue, *upstream)

    def collect(self, ref: Any, job: Job) -> None:
        """Report a task that has ended. Raises HarnessError if it failed."""
        try:
            job_id = self.ray.get(ref)
        except self.ray.exceptions.RayTaskError as error:
            raise cause_of(error) from None
        except self.ray.exceptions.RayError as error:
            raise HarnessError(
                f"{job.title} was lost {ATTEMPTS + 1} times with its worker or node ({type(error).__name__}; out of memory?). "
                "Finished jobs are saved; run the same command again to resume from the last checkpoints"
            ) from error
        if self.tasks.storage:
            self.tasks.storage.fetch(job_id, self.tasks.options.workspace.runs)
        self.dispatcher.finish(job_id)


def waiting_for(task: RayTask, largest: Mapping[str, float], total: Mapping[str, float]) -> str:
    """What a task will wait for because the cluster does not have it, in words; '' if it has everything.

    `largest` and `total` are the resources of its largest node, and of all nodes together.
    """
    requested = {"CPU": task.needs.cpus, "GPU": task.needs.gpus}
    missing = [f"{count:g} {name}" for name, count in requested.items() if count > largest.get(name, 0)]
    if missing:
        return f"a node with {' and '.join(missing)}: the cluster has none"
    # Without a shared results folder, a group runs on one node.
    available = largest if task.storage else total
    for name, count in requested.items():
        if count * task.members > available.get(name, 0):
            where = "one node" if task.storage else "all nodes together"
            return (
                f"{count * task.members:g} {name}, {count:g} for each of {task.members} processes: {where} has "
                f"{available.get(name, 0):g}. Choose a smaller --gpus-per-job, or add nodes"
            )
    return ""


def cause_of(error: Any) -> BaseException:
    """The job's own error where Ray has kept it, else Ray's report of where the task failed."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, (HarnessError, OSError)) else error
