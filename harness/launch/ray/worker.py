"""A job in a worker of Ray's, and how it tells the driver."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.core.callbacks import Callback
from harness.core.errors import HarnessError
from harness.core.spec import Job
from harness.jobs.options import JobOptions
from harness.launch.entry import JobFunction
from harness.launch.events import Event, EventDispatcher, EventSender
from harness.launch.ray.storage import Storage, around, house_of_node
from harness.launch.resources import ON_ALL_CORES, Needs, members_of, needs_of, on_gpu, peaks_of, threads_of
from harness.records.record import Record

LOOK_EVERY_S = 0.2
"""Between two looks at what the jobs tell."""
TRIES = 3
"""Times that a job is started again after its worker or node was lost."""
LEFT_BYTES = 64 * 2**20
"""GPU memory that a finished job may leave allocated before a person is told."""


@dataclass(frozen=True)
class RayTask:
    """What a worker is told to do."""

    job: Job
    options: JobOptions
    do: JobFunction
    needs: Needs
    members: int = 1
    """Processes that share the job's steps, each with these needs."""
    storage: Storage | None = None
    """Where the nodes share no results folder."""

    @property
    def settings(self) -> dict[str, str]:
        """Environment variables for the time of the job. Ray sets OMP_NUM_THREADS to the cores that were asked for."""
        threads = self.needs.cpus if self.job.kind in ON_ALL_CORES else threads_of(self.job)
        return {
            "HARNESS_DEVICE": "cuda" if on_gpu(self.job) else "cpu",
            "HARNESS_THREADS": str(threads),
            "OMP_NUM_THREADS": str(threads),
        }


class TaskFactory:
    """Makes errands for the jobs of one command: what has been measured and what the nodes have is looked up once."""

    def __init__(
        self,
        options: JobOptions,
        do: JobFunction,
        most: Mapping[str, float],
        *,
        gpus_per_job: int = 1,
        storage: Storage | None = None,
    ) -> None:
        self.options, self.do, self.most, self.gpus_per_job, self.storage = options, do, most, gpus_per_job, storage
        self.peaks = peaks_of(options.run_store)

    def task(self, job: Job) -> RayTask:
        """What a worker is told; the job never asks for more memory than the largest node has."""
        most_cpus = int(self.most.get("CPU", 1))
        needs = needs_of(job, workers=self.options.workers, most_cpus=most_cpus, peaks=self.peaks)
        most_bytes = int(self.most.get("memory", needs.memory_bytes))
        needs = replace(needs, memory_bytes=min(needs.memory_bytes, most_bytes))
        return RayTask(job, self.options, self.do, needs, members_of(job, self.gpus_per_job), self.storage)


def run_task(task: RayTask, box: Any, *needed: str) -> str:
    """The job's id, when its record is written and everything it had to tell has arrived. `needed` are edges only."""
    import ray

    if task.members > 1:
        from harness.launch.ray.distributed import run_together

        run_together(task, box)
    else:
        run_alone(task, box)
    # Calls of one caller arrive in order: when this one is answered, all are there.
    ray.get(box.flushed.remote())
    return task.job.id


def run_alone(task: RayTask, box: Any) -> None:
    os.environ.update(task.settings)
    teller = teller_of(task, box)
    do_on_node(task, teller)
    left = _free_gpu()
    if left > LEFT_BYTES:
        teller.note(f"{task.job.title} left {left / 2**20:.0f} MiB allocated on its GPU; the next job there has less")


class _LateTeller(EventSender):
    """Of a job whose record must travel first: the driver announces it when it has arrived."""

    def job_finished(self, record: Record) -> None:
        self._bundle()


def teller_of(task: RayTask, box: Any) -> EventSender:
    return (_LateTeller if task.storage else EventSender)(task.job.id, lambda event: box.put.remote(event))


def do_on_node(task: RayTask, callback: Callback) -> None:
    """The job in the shared results folder, or in this node's own with what it needs brought from the storage and back."""
    options = options_on_node(task)
    with around(task.job, options, task.storage) if task.storage else contextlib.nullcontext():
        task.do(task.job, options, callback)


def options_on_node(task: RayTask) -> JobOptions:
    """Whose ledger has the job's record when it is done, on the node that this process runs on."""
    if task.storage is None:
        return task.options
    import ray

    return house_of_node(task.options, task.storage, ray.get_runtime_context().get_node_id())


def _free_gpu() -> int:
    """Bytes still allocated by this worker on its GPU after everything that can be freed was: the worker stays for the
    next job, since a fresh one for each costs a second in which the GPU idles."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return 0
    gc.collect()
    torch.cuda.empty_cache()
    return int(torch.cuda.memory_allocated())


class _EventQueue:
    """An actor on the driver's node that holds events until the driver fetches them."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def put(self, event: Event) -> None:
        self.events.append(event)

    def flushed(self) -> None: ...

    def fetch(self) -> list[Event]:
        events, self.events = self.events, []
        return events


# ---------------------------------------------------------------------------------------------------- the driver's ear


@contextlib.contextmanager
def listening(ray: Any, jobs: Sequence[Job], options: JobOptions, callback: Callback) -> Iterator[Any]:
    """An inbox for the time of the block, emptied by a thread of its own: for whoever must wait for something else."""
    desk = EventDispatcher(callback, read=options.run_store.read)
    desk.expect(tuple(jobs))
    ended = threading.Event()
    with inbox(ray) as box:

        def go_on() -> None:
            while not ended.wait(LOOK_EVERY_S):
                listen(ray, box, desk)

        ear = threading.Thread(target=go_on, daemon=True)
        ear.start()
        try:
            yield box
        finally:
            ended.set()
            ear.join()
            listen(ray, box, desk)


@contextlib.contextmanager
def inbox(ray: Any) -> Iterator[Any]:
    """The actor, on this node: it is lost with the driver or not at all."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    box = ray.remote(_EventQueue).options(num_cpus=0, scheduling_strategy=here).remote()
    try:
        yield box
    finally:
        ray.kill(box)


def listen(ray: Any, box: Any, desk: EventDispatcher) -> None:
    for event in ray.get(box.fetch.remote()):
        desk.take(event)


def cause_of(error: Any) -> BaseException:
    """What a person should read: the job's own words where it has any, else Ray's account of where it failed."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, (HarnessError, OSError)) else error
