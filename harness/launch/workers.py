"""Worker processes that run one job after another, each connected by a pipe of its own.

Not a pool of `concurrent.futures`: its workers share queues, and therefore locks. A worker that is killed (out of
memory, for example) while it sends progress keeps the lock, and every other process waits forever. When a pipe's
process ends, the other end of the pipe notices.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from harness.core import environment, processes
from harness.core.cells import Job
from harness.core.errors import HarnessError
from harness.jobs.options import JobOptions
from harness.launch.entry import JobFunction
from harness.launch.events import Event, EventSender, logging_to
from harness.launch.resources import CPU

EXIT_S = 10.0
"""Time for idle workers to exit; killing them later loses nothing."""
TERM_S = 5.0
"""Time for a worker to exit on SIGTERM. A worker that is stopped, or ignores the signal, is killed."""


class Worker:
    """A spawned process, seen from the process that assigns its jobs."""

    def __init__(self, device: str = CPU) -> None:
        self.device = device
        """'cpu', or the id of the only GPU that the process sees."""
        variables = {} if device == CPU else {environment.VISIBLE_GPUS: device}
        spawn = multiprocessing.get_context("spawn")
        self.pipe, child_end = spawn.Pipe()
        self.process = spawn.Process(target=_work, args=(child_end,))
        with processes.starting(variables):
            self.process.start()
        # Only the child holds its end now, so the pipe closes when the child exits.
        child_end.close()
        self.job: Job | None = None
        """The job it runs; None: idle."""

    def assign(self, job: Job, options: JobOptions, run: JobFunction) -> None:
        self.job = job
        options = replace(options, device="cpu" if self.device == CPU else "cuda")
        try:
            self.pipe.send((job, options, run))
        except ConnectionError as error:
            raise self.lost() from error

    def receive(self) -> Event | None:
        """The next event; None when the job is done. Blocks while `pipe` has nothing to read.

        Raises what the job raised, and HarnessError if the process has exited.
        """
        try:
            event, error = self.pipe.recv()
        except (EOFError, OSError) as closed:
            raise self.lost() from closed
        if error is not None:
            try:
                raise error
            finally:
                del error  # or it would keep itself, this frame and the pipe, by its traceback
        if event is None:
            self.job = None
        return event

    @property
    def exited(self) -> bool:
        """Whether the process has ended and all its events are read, even if a process it forked holds the pipe open."""
        return not self.process.is_alive() and not self.pipe.poll()

    def lost(self) -> HarnessError:
        """The error to raise for a process that has ended."""
        self.process.join(TERM_S)
        process = f"the worker process that ran {self.job.title}" if self.job else "an idle worker process"
        return HarnessError(
            f"{process} {_exit_reason(self.process.exitcode)}. Finished jobs are saved; run the "
            "same command again to resume from the last checkpoints"
        )


def _exit_reason(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exited with status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was killed by {name}" + (" (out of memory?)" if -code == signal.SIGKILL else "")


def dismiss(workers: Sequence[Worker]) -> None:
    """Let idle workers exit."""
    for worker in workers:
        worker.pipe.close()
    deadline = time.monotonic() + EXIT_S
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))


def stop(workers: Sequence[Worker]) -> None:
    """End workers at once, idle or not: their jobs resume from a checkpoint later."""
    for worker in workers:
        worker.process.terminate()
    deadline = time.monotonic() + TERM_S
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()


def _work(pipe: Any) -> None:
    """Run every job that arrives, until the pipe closes."""
    processes.begin_worker()
    lock = threading.Lock()

    def send(event: Event | None, error: BaseException | None = None) -> None:
        try:
            with lock:
                pipe.send((event, error))
        except ConnectionError:
            os._exit(1)  # the driver is gone; the next command resumes the job

    while True:
        try:
            message = pipe.recv_bytes()
        except (EOFError, OSError):
            return
        try:
            job, options, run = pickle.loads(message)
            with logging_to(EventSender(job.id, send)) as sender:
                run(job, options, sender)
            send(None)
        except BaseException as error:  # noqa: BLE001 - raised again in the driver, whatever it is
            send(None, _portable(error))


def _portable(error: BaseException) -> BaseException:
    """The error with its traceback as a note, since tracebacks cannot be pickled; its text alone if it cannot be."""
    text = traceback.format_exc()
    try:
        error.add_note(f"In the worker:\n{text}")
        copy = pickle.loads(pickle.dumps(error))
        if type(copy) is type(error) and str(copy) == str(error):
            return error
    except Exception:  # noqa: BLE001 - an error's own pickling may do anything
        pass
    if isinstance(error, HarnessError):
        return HarnessError(str(error))
    return RuntimeError(text)
