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

from harness.core.callbacks import Watch
from harness.core.errors import HarnessError
from harness.core.spec import Job
from harness.jobs.options import House
from harness.launch.entry import Doing
from harness.launch.events import Desk, Event, Teller
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
class Errand:
    """What a worker is told to do."""

    job: Job
    house: House
    do: Doing
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


class Orders:
    """Makes errands for the jobs of one command: what has been measured and what the nodes have is looked up once."""

    def __init__(
        self,
        house: House,
        do: Doing,
        most: Mapping[str, float],
        *,
        gpus_per_job: int = 1,
        storage: Storage | None = None,
    ) -> None:
        self.house, self.do, self.most, self.gpus_per_job, self.storage = house, do, most, gpus_per_job, storage
        self.peaks = peaks_of(house.ledger)

    def errand(self, job: Job) -> Errand:
        """What a worker is told; the job never asks for more memory than the largest node has."""
        most_cpus = int(self.most.get("CPU", 1))
        needs = needs_of(job, workers=self.house.workers, most_cpus=most_cpus, peaks=self.peaks)
        most_bytes = int(self.most.get("memory", needs.memory_bytes))
        needs = replace(needs, memory_bytes=min(needs.memory_bytes, most_bytes))
        return Errand(job, self.house, self.do, needs, members_of(job, self.gpus_per_job), self.storage)


def run_errand(errand: Errand, box: Any, *needed: str) -> str:
    """The job's id, when its record is written and everything it had to tell has arrived. `needed` are edges only."""
    import ray

    if errand.members > 1:
        from harness.launch.ray.distributed import run_together

        run_together(errand, box)
    else:
        run_alone(errand, box)
    # Calls of one caller arrive in order: when this one is answered, all are there.
    ray.get(box.flushed.remote())
    return errand.job.id


def run_alone(errand: Errand, box: Any) -> None:
    os.environ.update(errand.settings)
    teller = teller_of(errand, box)
    do_on_node(errand, teller)
    left = _free_gpu()
    if left > LEFT_BYTES:
        teller.note(f"{errand.job.title} left {left / 2**20:.0f} MiB allocated on its GPU; the next job there has less")


class _LateTeller(Teller):
    """Of a job whose record must travel first: the driver announces it when it has arrived."""

    def job_finished(self, record: Record) -> None:
        self._bundle()


def teller_of(errand: Errand, box: Any) -> Teller:
    return (_LateTeller if errand.storage else Teller)(errand.job.id, lambda event: box.put.remote(event))


def do_on_node(errand: Errand, watch: Watch) -> None:
    """The job in the shared results folder, or in this node's own with what it needs brought from the storage and back."""
    house = house_here(errand)
    with around(errand.job, house, errand.storage) if errand.storage else contextlib.nullcontext():
        errand.do(errand.job, house, watch)


def house_here(errand: Errand) -> House:
    """Whose ledger has the job's record when it is done, on the node that this process runs on."""
    if errand.storage is None:
        return errand.house
    import ray

    return house_of_node(errand.house, errand.storage, ray.get_runtime_context().get_node_id())


def _free_gpu() -> int:
    """Bytes still allocated by this worker on its GPU after everything that can be freed was: the worker stays for the
    next job, since a fresh one for each costs a second in which the GPU idles."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return 0
    gc.collect()
    torch.cuda.empty_cache()
    return int(torch.cuda.memory_allocated())


class _Inbox:
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
def listening(ray: Any, jobs: Sequence[Job], house: House, watch: Watch) -> Iterator[Any]:
    """An inbox for the time of the block, emptied by a thread of its own: for whoever must wait for something else."""
    desk = Desk(watch, read=house.ledger.read)
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
    box = ray.remote(_Inbox).options(num_cpus=0, scheduling_strategy=here).remote()
    try:
        yield box
    finally:
        ray.kill(box)


def listen(ray: Any, box: Any, desk: Desk) -> None:
    for event in ray.get(box.fetch.remote()):
        desk.take(event)


def cause_of(error: Any) -> BaseException:
    """What a person should read: the job's own words where it has any, else Ray's account of where it failed."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, (HarnessError, OSError)) else error
