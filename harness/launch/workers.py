"""Processes that do one job after the other, each with a pipe that is its alone.

Not a pool of `concurrent.futures`: its workers share queues, and with them locks. One that is killed, for want of memory
say, while it tells how far it is keeps the lock for ever, and everybody who waits for it waits for ever. What ends a pipe
is seen at its other end.
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
from typing import Any

from harness.core import processes
from harness.core.errors import HarnessError
from harness.core.spec import Job
from harness.jobs.options import JobOptions
from harness.launch.entry import JobFunction
from harness.launch.events import Event, EventSender

ENDING_S = 10.0
"""How long workers without work may take to leave: nothing is lost by ending them."""
TERM_S = 5.0
"""How long a worker may take over SIGTERM. One that is stopped, or that ignores it, is killed."""


class Worker:
    """A spawned process, as the one that gives it jobs sees it."""

    def __init__(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.pipe, theirs = spawn.Pipe()
        self.process = spawn.Process(target=_work, args=(theirs,))
        with processes.starting():
            self.process.start()
        # Theirs alone, so that their end is the pipe's.
        theirs.close()
        self.job: Job | None = None
        """What it does; None: it waits."""

    def give(self, job: Job, options: JobOptions, do: JobFunction) -> None:
        self.job = job
        try:
            self.pipe.send((job, options, do))
        except ConnectionError as gone:
            raise self.lost() from gone

    def hear(self) -> Event | None:
        """The next event; None when the job is done. Waits, if `pipe` has nothing to read.

        Raises what the job raised, and HarnessError where the process is gone.
        """
        try:
            event, error = self.pipe.recv()
        except (EOFError, OSError) as gone:
            raise self.lost() from gone
        if error is not None:
            try:
                raise error
            finally:
                del error  # or it would keep itself, this frame and the pipe, by its traceback
        if event is None:
            self.job = None
        return event

    @property
    def gone(self) -> bool:
        """Whether it has ended and everything it said is heard, though its pipe has no end: a process it forked has it too."""
        return not self.process.is_alive() and not self.pipe.poll()

    def lost(self) -> HarnessError:
        """What there is to say of a process that is gone."""
        self.process.join(TERM_S)
        title = self.job.title if self.job else "nothing"
        return HarnessError(
            f"the worker process that did {title} {_ending(self.process.exitcode)}. Finished jobs are kept; run the same "
            "command again to go on from the last checkpoints"
        )


def _ending(code: int | None) -> str:
    if code is None or code >= 0:
        return f"left with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was killed by {name}" + (" (out of memory?)" if -code == signal.SIGKILL else "")


def dismiss(workers: Sequence[Worker]) -> None:
    """Let workers that have nothing to do leave."""
    for worker in workers:
        worker.pipe.close()
    latest = time.monotonic() + ENDING_S
    for worker in workers:
        worker.process.join(max(0.0, latest - time.monotonic()))


def stop(workers: Sequence[Worker]) -> None:
    """End them at once, whatever they do: what they have under way resumes from its checkpoint."""
    for worker in workers:
        worker.process.terminate()
    latest = time.monotonic() + TERM_S
    for worker in workers:
        worker.process.join(max(0.0, latest - time.monotonic()))
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()


# ---------------------------------------------------------------------------------------------------- a worker's side


def _work(pipe: Any) -> None:
    """Every job that comes, until the pipe ends."""
    processes.begin_worker()
    one_at_a_time = threading.Lock()

    def say(event: Event | None, error: BaseException | None = None) -> None:
        try:
            with one_at_a_time:
                pipe.send((event, error))
        except ConnectionError:
            os._exit(1)  # nobody is left to hear it; what is under way belongs to who runs the command next

    while True:
        try:
            order = pipe.recv_bytes()
        except (EOFError, OSError):
            return
        try:
            job, options, do = pickle.loads(order)
            do(job, options, EventSender(job.id, say))
            say(None)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised again by who gave the job
            say(None, _portable(error))


def _portable(error: BaseException) -> BaseException:
    """The error, with where it was raised as a note: the traceback itself stays here. Its words, if it cannot travel."""
    where = traceback.format_exc()
    try:
        error.add_note(f"In the worker:\n{where}")
        copy = pickle.loads(pickle.dumps(error))
        if type(copy) is type(error) and str(copy) == str(error):
            return error
    except Exception:  # noqa: BLE001 - an error's own way to be pickled may do anything
        pass
    if isinstance(error, HarnessError):
        return HarnessError(str(error))
    return RuntimeError(where)
