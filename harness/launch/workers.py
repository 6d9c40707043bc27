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
import traceback
from typing import Any

from harness.errors import HarnessError
from harness.house import House
from harness.launch.doing import Doing
from harness.launch.telling import Event, Teller
from harness.orphans import end_with_parent
from harness.spec import Job

ENDING_S = 10.0
"""How long a worker without work may take to leave: nothing is lost by ending it."""


class Worker:
    """A spawned process, as the one that gives it jobs sees it."""

    def __init__(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_work, args=(theirs,))
        self._process.start()
        # Theirs alone, so that their end is the pipe's.
        theirs.close()
        self.job: Job | None = None
        """What it does; None: it waits."""

    def give(self, job: Job, house: House, do: Doing) -> None:
        self.job = job
        try:
            self.pipe.send((job, house, do))
        except ConnectionError as gone:
            raise self._lost() from gone

    def hear(self) -> Event | None:
        """The next event; None when the job is done. Waits, if `pipe` has nothing to read.

        Raises what the job raised, and HarnessError where the process is gone.
        """
        try:
            event, error = self.pipe.recv()
        except (EOFError, OSError) as gone:
            raise self._lost() from gone
        if error is not None:
            raise error
        if event is None:
            self.job = None
        return event

    def dismiss(self) -> None:
        """Let it leave, once it has nothing to do."""
        self.pipe.close()
        self._process.join(ENDING_S)

    def stop(self) -> None:
        """End it at once: what it has under way resumes from its checkpoint."""
        self._process.terminate()
        self._process.join()
        self.pipe.close()

    def _lost(self) -> HarnessError:
        self._process.join(ENDING_S)
        code = self._process.exitcode
        how = (
            f"was killed by {signal.Signals(-code).name}" if code is not None and code < 0 else f"left with code {code}"
        )
        guess = " (out of memory?)" if code == -signal.SIGKILL else ""
        title = self.job.title if self.job else "nothing"
        return HarnessError(
            f"the worker process that did {title} {how}{guess}. Finished jobs are kept; run the same command again to go "
            "on from the last checkpoints"
        )


def _work(pipe: Any) -> None:
    """In the worker: every job that comes, until the pipe ends."""
    # Ctrl-C reaches the whole group; the process that gave the work decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    one_at_a_time = threading.Lock()

    def say(event: Event | None, error: BaseException | None = None) -> None:
        try:
            with one_at_a_time:
                pipe.send((event, error))
        except ConnectionError:
            os._exit(1)  # nobody is left to hear it; what is under way belongs to who runs the command next

    while True:
        try:
            job, house, do = pipe.recv()
        except (EOFError, ConnectionError):
            return
        try:
            do(job, house, Teller(job.id, say))
            say(None)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised again by who gave the job
            say(None, _portable(error))


def _portable(error: BaseException) -> BaseException:
    """The error with where it was raised as a note: the traceback itself stays here. Its text, if it cannot travel."""
    where = traceback.format_exc()
    try:
        error.add_note(f"In the worker:\n{where}")
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - an error's own way to be pickled may do anything
        return RuntimeError(where)
    return error
