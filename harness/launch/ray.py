"""Jobs on a Ray cluster, or on one that is started here for the time being: `--launcher ray [--address ...]`.

A job is a Ray task that asks for its cores, its GPU and its memory; the tasks it needs are its arguments, so Ray starts it when
they are done, wherever there is room. A worker or a node that is lost takes nothing along: the task is started again and goes
on from the job's last checkpoint in the results folder, which every node sees. Events come back through one small actor;
the driver alone writes to the screen and to MLflow.
"""

from __future__ import annotations

import contextlib
import gc
import os
import secrets
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness import environment
from harness.errors import HarnessError
from harness.house import House
from harness.launch.doing import Doing, do_job
from harness.launch.needs import Needs, needs_of, on_gpu, peaks_of, threads_of
from harness.launch.telling import Desk, Event, Teller
from harness.locks import clear_finished
from harness.plan import Plan
from harness.spec import Job
from harness.watch import Watch

LOOK_EVERY_S = 0.2
"""Between two looks at what the jobs tell."""
TRIES = 3
"""Times that a job is started again after its worker or node was lost."""
STARTS = 4
LEFT_BYTES = 64 * 2**20
"""GPU memory that a finished job may leave allocated before a person is told."""
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    # A task without a GPU must not see those of others.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
}
"""Of Ray, set before it is imported where the user has not set them."""
PASSED_ON = ("HARNESS_PLUGINS",)
"""Environment variables of the driver that its workers need."""


def launch(plan: Plan, house: House, watch: Watch, *, address: str | None = None, do: Doing = do_job) -> int:
    """Run every job that is still to do on the cluster at `address`; returns how many ran.

    Without an address, RAY_ADDRESS or else a Ray of its own on this machine. Raises HarnessError when a job does, or is lost
    more often than `TRIES`; finished jobs are kept.
    """
    clear_finished(house.places.jobs, house.ledger.has)
    desk = Desk(watch, read=house.ledger.read)
    desk.expect(plan.to_do)
    with cluster(address) as ray, _inbox(ray) as inbox:
        _Driver(ray, plan, house, do, desk).run(inbox)
    return len(plan.to_do)


# ---------------------------------------------------------------------------------------------------- the cluster


@contextlib.contextmanager
def cluster(address: str | None) -> Iterator[Any]:
    """ray, connected: to `address`, to RAY_ADDRESS, to what this process is connected to, or to one started for the block."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    address = address or os.environ.get("RAY_ADDRESS") or None
    with contextlib.ExitStack() as stack:
        if address is None and os.environ.get("RAY_AUTH_MODE") is None:
            # Nobody else on this machine may reach it, and no token is left in the user's home.
            os.environ["RAY_AUTH_MODE"] = "token"
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(16))
        import ray

        if not ray.is_initialized():
            stack.callback(ray.shutdown)
            _connect(ray, address, stack)
        yield ray


def _connect(ray: Any, address: str | None, stack: contextlib.ExitStack) -> None:
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    common = {"log_to_driver": False, "logging_level": "error", "runtime_env": {"env_vars": passed}}
    if address is None:
        # Short: Ray puts sockets in it, whose paths may have 107 characters.
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True))
        # Ray must be gone before its folder.
        stack.callback(ray.shutdown)
        _start(ray, num_cpus=environment.cpu_threads(), include_dashboard=False, _temp_dir=folder, **common)
        return
    try:
        ray.init(address, **common)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise HarnessError(
            f"no Ray cluster answers at {address} ({type(error).__name__}: {str(error).splitlines()[0]}); start one with "
            "`ray start --head`, or leave --address out to use this machine alone"
        ) from error


def _start(ray: Any, **how: Any) -> None:
    """A Ray on this machine. Ray gives its own processes half a minute to come up, which a busy machine may exceed."""
    for left in reversed(range(STARTS)):
        try:
            ray.init("local", **how)
            return
        except Exception as error:
            if not left or "timed out during startup" not in str(error):
                raise
            ray.shutdown()


# ---------------------------------------------------------------------------------------------------- a worker's side


@dataclass(frozen=True)
class Errand:
    """What a worker is told to do."""

    job: Job
    house: House
    do: Doing
    needs: Needs

    @property
    def settings(self) -> dict[str, str]:
        """Environment variables for the time of the job. Ray sets OMP_NUM_THREADS to the cores that were asked for."""
        threads = self.needs.cpus if self.job.kind == "flow" else threads_of(self.job)
        return {
            "HARNESS_DEVICE": "cuda" if on_gpu(self.job) else "cpu",
            "HARNESS_THREADS": str(threads),
            "OMP_NUM_THREADS": str(threads),
        }


def errand(job: Job, house: House, do: Doing, most: Mapping[str, float]) -> Errand:
    """What a worker is told; the job never asks for more memory than the largest node has."""
    needs = needs_of(job, workers=house.workers, most_cpus=int(most.get("CPU", 1)), peaks=peaks_of(house.ledger))
    most_bytes = int(most.get("memory", needs.memory_bytes))
    return Errand(job, house, do, replace(needs, memory_bytes=min(needs.memory_bytes, most_bytes)))


def run_errand(errand: Errand, inbox: Any, *needed: str) -> str:
    """The job's id, when its record is written and everything it had to tell has arrived. `needed` are edges only."""
    import ray

    os.environ.update(errand.settings)
    teller = Teller(errand.job.id, lambda event: inbox.put.remote(event))
    record = errand.do(errand.job, errand.house, teller)
    left = _free_gpu()
    if left > LEFT_BYTES:
        teller.note(f"{errand.job.title} left {left / 2**20:.0f} MiB allocated on its GPU; the next job there has less")
    # Calls of one caller arrive in order: when this one is answered, all are there.
    ray.get(inbox.flushed.remote())
    return record.job_id


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


# ---------------------------------------------------------------------------------------------------- the driver's side


class _Driver:
    """Hands all jobs to Ray and ends with the last, or with the first that fails."""

    def __init__(self, ray: Any, plan: Plan, house: House, do: Doing, desk: Desk) -> None:
        self.ray, self.jobs, self.house, self.do, self.desk = ray, plan.to_do, house, do, desk
        # max_calls=0: by default Ray starts a fresh process for each task that asks for a GPU.
        self.task = ray.remote(max_retries=TRIES, max_calls=0)(run_errand)
        self.most = most_of(ray)

    def run(self, inbox: Any) -> None:
        running: dict[Any, Job] = {}
        try:
            refs: dict[str, Any] = {}
            for job in self.jobs:
                edges = [refs[upstream] for upstream in job.upstream.values() if upstream in refs]
                refs[job.id] = self.submit(job, inbox, edges)
                running[refs[job.id]] = job
            while running:
                ready, _ = self.ray.wait(list(running), timeout=LOOK_EVERY_S)
                _listen(self.ray, inbox, self.desk)
                for ref in ready:
                    self.take(ref, running.pop(ref))
        finally:
            for ref in running:
                self.ray.cancel(ref, force=True)

    def submit(self, job: Job, inbox: Any, edges: list[Any]) -> Any:
        told = errand(job, self.house, self.do, self.most)
        asked = {"CPU": told.needs.cpus, "GPU": told.needs.gpus}
        short = [f"{count} {name}" for name, count in asked.items() if count > self.most.get(name, 0)]
        if short:
            self.desk.take((job.id, "note", (f"{job.title} waits for a node with {' and '.join(short)}: none has it",)))
        task = self.task.options(
            name=job.title, num_cpus=told.needs.cpus, num_gpus=told.needs.gpus, memory=told.needs.memory_bytes
        )
        return task.remote(told, inbox, *edges)

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
        self.desk.finish(job_id)


@contextlib.contextmanager
def listening(ray: Any, jobs: Sequence[Job], house: House, watch: Watch) -> Iterator[Any]:
    """An inbox for the time of the block, emptied by a thread of its own: for whoever must wait for something else."""
    desk = Desk(watch, read=house.ledger.read)
    desk.expect(tuple(jobs))
    ended = threading.Event()
    with _inbox(ray) as inbox:

        def listen() -> None:
            while not ended.wait(LOOK_EVERY_S):
                _listen(ray, inbox, desk)

        ear = threading.Thread(target=listen, daemon=True)
        ear.start()
        try:
            yield inbox
        finally:
            ended.set()
            ear.join()
            _listen(ray, inbox, desk)


@contextlib.contextmanager
def _inbox(ray: Any) -> Iterator[Any]:
    """The actor, on this node: it is lost with the driver or not at all."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    inbox = ray.remote(_Inbox).options(num_cpus=0, scheduling_strategy=here).remote()
    try:
        yield inbox
    finally:
        ray.kill(inbox)


def _listen(ray: Any, inbox: Any, desk: Desk) -> None:
    for event in ray.get(inbox.fetch.remote()):
        desk.take(event)


def cause_of(error: Any) -> BaseException:
    """What a person should read: the job's own words where it has any, else Ray's account of where it failed."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, (HarnessError, OSError)) else error


def most_of(ray: Any) -> dict[str, float]:
    """The most of each resource that one living node has."""
    most: dict[str, float] = {}
    for node in ray.nodes():
        if node["Alive"]:
            for name, amount in node["Resources"].items():
                most[name] = max(most.get(name, 0.0), amount)
    return most
