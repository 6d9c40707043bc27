"""Jobs on this machine: one after another in this process, or in as many processes as its cores and GPUs allow."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import wait
from queue import SimpleQueue
from typing import TYPE_CHECKING

from harness.core import environment, processes
from harness.core.callbacks import Callback
from harness.core.cells import Job
from harness.core.locks import clear_finished
from harness.core.plugins import Launcher
from harness.jobs.options import JobOptions
from harness.launch import workers
from harness.launch.entry import JobFunction, run_job
from harness.launch.events import Event, EventDispatcher
from harness.launch.resources import CPU, Capacity, Decoding, on_gpu, threads_of
from harness.launch.workers import Worker

if TYPE_CHECKING:
    from harness.planning.plan import Plan

CHECK_EVERY_S = 1.0
"""Between two checks that silent workers are alive."""


def launch(plan: Plan, options: JobOptions, callback: Callback, *, run: JobFunction = run_job) -> int:
    """Run every unfinished job after the jobs it needs. Returns the number of jobs run."""
    clear_finished(options.workspace.jobs, options.run_store.has)
    capacity = capacity_for(plan.to_do, options)
    decoding = Decoding(options.workers, options.cpu_threads, min(len(capacity.gpus), sum(map(on_gpu, plan.to_do))))
    if note := decoding.note(plan.to_do):
        callback.note(note)
    if capacity.at_once(plan.to_do) <= 1:
        for job in plan.to_do:
            run(job, replace(options, workers=decoding.processes(job)), callback.for_job(job))
    else:
        _Scheduler(plan, options, callback, capacity, decoding, run).run()
    return len(plan.to_do)


def capacity_for(jobs: Sequence[Job], options: JobOptions) -> Capacity:
    """Room for these jobs: on a CPU, as many as its cores have threads for; on GPUs, each of them, and one job without a GPU at the
    same time, such as optical flow, which uses all cores."""
    if options.device == "cpu":
        threads = max(map(threads_of, jobs), default=1)
        return Capacity({CPU: max(1, options.cpu_threads // threads)}, most=options.cpu_threads)
    gpus = environment.gpu_ids(options.device) if any(map(on_gpu, jobs)) else []
    return Capacity({**dict.fromkeys(gpus, 1.0), CPU: 1.0}, most=max(len(gpus), options.cpu_threads))


class _Scheduler:
    """Assigns jobs whose upstream jobs are finished to worker processes, and forwards their events."""

    def __init__(
        self,
        plan: Plan,
        options: JobOptions,
        callback: Callback,
        capacity: Capacity,
        decoding: Decoding,
        run: JobFunction,
    ) -> None:
        self.waiting = list(plan.to_do)
        self.options, self.capacity, self.decoding, self.job_function = options, capacity, decoding, run
        self.dispatcher = EventDispatcher(plan.to_do, callback, read=options.run_store.read)
        self.unfinished = {job.id for job in plan.to_do}
        self.workers: list[Worker] = []
        self.events: SimpleQueue[Event | None] = SimpleQueue()
        self.callback_errors: list[BaseException] = []
        """Why progress can no longer be reported: the reader of a pipe has exited, for example."""

    def run(self) -> None:
        # In a thread of its own: a blocked terminal or a slow MLflow server must not keep workers waiting.
        reporter = threading.Thread(target=self._report_progress, daemon=True)
        reporter.start()
        try:
            while self.unfinished and not self.callback_errors:
                self._assign()
                self._poll()
            if not self.callback_errors:
                workers.dismiss(self.workers)
        finally:
            with processes.undisturbed():
                self._drain()
                workers.stop(self.workers)
            self.events.put(None)
            reporter.join()
        if self.callback_errors:
            raise self.callback_errors[0]

    def _assign(self) -> None:
        """Give every job that can start now to an idle or a new worker of a device with room for it."""
        full: set[bool] = set()
        for job in [job for job in self.waiting if not self.unfinished & set(job.upstream.values())]:
            # Jobs keep their order: one that needs a whole GPU must not wait until no small job is left.
            device = None if on_gpu(job) in full else self.capacity.reserve(job)
            if device is None:
                full.add(on_gpu(job))
                continue
            self.workers = [worker for worker in self.workers if worker.job or worker.process.is_alive()]
            idle = next((worker for worker in self.workers if not worker.job and worker.device == device), None)
            if idle is None:
                idle = Worker(device)
                self.workers.append(idle)
            self.waiting.remove(job)
            options = replace(self.options, workers=self.decoding.processes(job))
            idle.assign(job, options, self.job_function)

    def _poll(self) -> None:
        """Receive events. Also checks that workers live: a process that one forked keeps a dead worker's pipe open."""
        busy = [worker for worker in self.workers if worker.job]
        readable = wait([worker.pipe for worker in busy], timeout=CHECK_EVERY_S)
        for worker in busy:
            if worker.pipe in readable:
                self._receive(worker)
            elif worker.exited:
                raise worker.lost()

    def _receive(self, worker: Worker) -> None:
        job = worker.job
        event = worker.receive()
        if event is not None:
            self.events.put(event)
        elif job is not None:
            self.capacity.release(job, worker.device)
            self.unfinished.remove(job.id)

    def _drain(self) -> None:
        """Receive what is left in the pipes: when one worker's job fails, another's may have finished."""
        for worker in self.workers:
            with contextlib.suppress(Exception):
                while worker.job and worker.pipe.poll():
                    self._receive(worker)

    def _report_progress(self) -> None:
        while (event := self.events.get()) is not None:
            if not self.callback_errors:
                try:
                    self.dispatcher.dispatch(event)
                except BaseException as error:  # noqa: BLE001 - raised again by `run`
                    self.callback_errors.append(error)


LAUNCHER = Launcher(name="local", title="on this machine", launch=launch, on_this_machine=True)
