"""A job as a Ray task: what it asks for, and how it runs on a node."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.core.callbacks import Callback
from harness.core.cells import Job
from harness.core.job_specs import FilesSpec
from harness.jobs.options import JobOptions
from harness.launch.entry import JobFunction
from harness.launch.events import Event, EventSender
from harness.launch.ray.storage import Storage, node_options, synchronised
from harness.launch.resources import ON_ALL_CORES, Decoding, Needs, members_of, needs_of, on_gpu, peaks_of, threads_of
from harness.records.record import Record

ATTEMPTS = 3
"""Number of restarts of a job after its worker or node was lost."""


@dataclass(frozen=True)
class RayTask:
    """All that a worker needs to run a job."""

    job: Job
    options: JobOptions
    run: JobFunction
    needs: Needs
    members: int = 1
    """Processes that share the job's steps, each with these needs."""
    storage: Storage | None = None
    """URL for exchanging records, if the nodes share no results folder."""


class TaskFactory:
    """Tasks for the jobs of one command; measured memory and the nodes' sizes are looked up once."""

    def __init__(
        self,
        options: JobOptions,
        run: JobFunction,
        largest: Mapping[str, float],
        *,
        gpus_per_job: int = 1,
        storage: Storage | None = None,
    ) -> None:
        self.options, self.run, self.largest = options, run, largest
        self.gpus_per_job, self.storage = gpus_per_job, storage
        cores, gpus = (int(largest.get(name, 0)) for name in ("CPU", "GPU"))
        self.decoding = Decoding(options.workers, cores, gpus)
        self.peaks = peaks_of(options.run_store.readable())

    def task(self, job: Job) -> RayTask:
        """The job's task. It never asks for more memory than the largest node has."""
        most_cpus = int(self.largest.get("CPU", 1))
        workers = self.decoding.processes(job)
        needs = needs_of(job, workers=workers, most_cpus=most_cpus, peaks=self.peaks)
        most_bytes = int(self.largest.get("memory", needs.memory_bytes))
        needs = replace(needs, memory_bytes=min(needs.memory_bytes, most_bytes))
        threads = needs.cpus if job.kind in ON_ALL_CORES else threads_of(job)
        options = replace(self.options, device="cuda" if on_gpu(job) else "cpu", cpu_threads=threads, workers=workers)
        members = members_of(job, self.gpus_per_job)
        if members > 1 and needs.gpus:
            needs = replace(needs, gpus=1)  # NCCL connects no two processes on one GPU
        return RayTask(job, options, self.run, needs, members, self.storage)


class _StorageEventSender(EventSender):
    """Leaves the end of the job to the driver, which reports it once the record has been fetched from the storage."""

    def job_finished(self, record: Record) -> None:
        self._flush()


def event_sender(task: RayTask, queue: Any) -> EventSender:
    """The task's callback: its events go to the actor `queue`."""
    import ray

    def send(event: Event) -> None:
        sent = queue.put.remote(event)
        if event[1] == "job_started":
            # The driver recognises a lost worker by a second start, so the first must arrive even if the worker dies now.
            ray.get(sent)

    return (_StorageEventSender if task.storage else EventSender)(task.job.id, send)


def run_on_node(task: RayTask, callback: Callback) -> None:
    """Run the job in the shared results folder, or in this node's own folder, synchronised with the storage."""
    options = options_on_node(task)
    with synchronised(task.job, options, task.storage) if task.storage else contextlib.nullcontext():
        store = options.run_store
        upstream = [store.read(job_id) for job_id in task.job.upstream.values() if store.has(job_id)]
        if task.storage and any(isinstance(record.spec, FilesSpec) for record in upstream):
            # Nodes that share no results folder may share no data folder either.
            from harness.jobs.execute import make_upstream_files

            make_upstream_files(task.job, options, callback)
        task.run(task.job, options, callback)


def options_on_node(task: RayTask) -> JobOptions:
    """The job's options with the results folder that this node uses."""
    if task.storage is None:
        return task.options
    import ray

    return node_options(task.options, task.storage, ray.get_runtime_context().get_node_id())
