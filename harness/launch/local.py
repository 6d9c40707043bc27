"""Jobs on this machine: in this process one after the other, or in as many processes as the cores can feed."""

from __future__ import annotations

import contextlib
import threading
from multiprocessing.connection import wait
from queue import SimpleQueue

from harness.core import environment, processes
from harness.core.callbacks import Callback
from harness.core.locks import clear_finished
from harness.jobs.options import JobOptions
from harness.launch import workers
from harness.launch.entry import JobFunction, run_job
from harness.launch.events import Event, EventDispatcher
from harness.launch.workers import Worker
from harness.planning.plan import Plan

LOOK_EVERY_S = 1.0
"""At workers that say nothing."""


def launch(plan: Plan, options: JobOptions, callback: Callback, *, do: JobFunction = run_job) -> int:
    """Run every job that is still to do, each after those it needs; returns how many ran."""
    clear_finished(options.places.jobs, options.run_store.has)
    at_once = side_by_side(plan)
    if at_once == 1:
        for job in plan.to_do:
            do(job, options, callback.for_job(job))
    else:
        _Scheduler(plan, options, callback, at_once, do).run()
    return len(plan.to_do)


def side_by_side(plan: Plan) -> int:
    """How many jobs fit on the cores at once: 1 on a GPU, or where a job takes all threads."""
    threads = max((int(job.spec.get("threads", 1)) for job in plan.to_do), default=0)
    if environment.device() != "cpu" or threads == 0:
        return 1
    return max(1, min(environment.cpu_threads() // threads, len(plan.to_do)))


class _Scheduler:
    """Keeps the workers fed with jobs whose needs are done, and passes on what they tell."""

    def __init__(self, plan: Plan, options: JobOptions, callback: Callback, at_once: int, do: JobFunction) -> None:
        self.waiting = list(plan.to_do)
        self.options, self.at_once, self.do = options, at_once, do
        self.desk = EventDispatcher(callback, read=options.run_store.read)
        self.desk.expect(plan.to_do)
        self.unfinished = {job.id for job in plan.to_do}
        self.workers: list[Worker] = []
        self.said: SimpleQueue[Event | None] = SimpleQueue()
        self.trouble: list[BaseException] = []
        """Why the watcher cannot be told any more: the reader of a pipe has left, say."""

    def run(self) -> None:
        # In a thread of its own: a screen that waits or a slow MLflow must not keep the workers waiting.
        teller = threading.Thread(target=self._tell, daemon=True)
        teller.start()
        try:
            while self.unfinished and not self.trouble:
                self._feed()
                self._listen()
            if not self.trouble:
                workers.dismiss(self.workers)
        finally:
            with processes.undisturbed():
                self._last_words()
                workers.stop(self.workers)
            self.said.put(None)
            teller.join()
        if self.trouble:
            raise self.trouble[0]

    def _feed(self) -> None:
        """Give out what can be done now, to as many workers as may run at once."""
        for job in [job for job in self.waiting if not self.unfinished & set(job.upstream.values())]:
            self.workers = [worker for worker in self.workers if worker.job or worker.process.is_alive()]
            idle = next((worker for worker in self.workers if not worker.job), None)
            if idle is None:
                if len(self.workers) == self.at_once:
                    return
                idle = Worker()
                self.workers.append(idle)
            self.waiting.remove(job)
            idle.give(job, self.options, self.do)

    def _listen(self) -> None:
        """Take what was said. A worker's pipe stays open where a process that it forked outlives it: so it is looked at."""
        busy = [worker for worker in self.workers if worker.job]
        heard = wait([worker.pipe for worker in busy], timeout=LOOK_EVERY_S)
        for worker in busy:
            if worker.pipe in heard:
                self._hear(worker)
            elif worker.gone:
                raise worker.lost()

    def _hear(self, worker: Worker) -> None:
        job = worker.job
        event = worker.hear()
        if event is not None:
            self.said.put(event)
        elif job is not None:
            self.unfinished.remove(job.id)

    def _last_words(self) -> None:
        """What lies in the pipes when one worker's job has failed: another's may have finished."""
        for worker in self.workers:
            with contextlib.suppress(Exception):
                while worker.job and worker.pipe.poll():
                    self._hear(worker)

    def _tell(self) -> None:
        while (event := self.said.get()) is not None:
            if not self.trouble:
                try:
                    self.desk.take(event)
                except BaseException as error:  # noqa: BLE001 - raised again where the jobs are given out
                    self.trouble.append(error)
