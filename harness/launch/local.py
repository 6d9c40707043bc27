"""Jobs on this machine: in this process one after the other, or in as many processes as the cores can feed."""

from __future__ import annotations

import multiprocessing
import queue
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from harness import environment
from harness.errors import HarnessError
from harness.house import House
from harness.launch.doing import Doing, do_job
from harness.launch.telling import Desk, Teller
from harness.locks import clear_finished
from harness.orphans import end_with_parent
from harness.plan import Plan
from harness.spec import Job
from harness.watch import Watch

LAST_WORDS_S = 0.3
"""How long events may still come after the workers have ended."""


def launch(plan: Plan, house: House, watch: Watch, *, do: Doing = do_job) -> int:
    """Run every job that is still to do, each after those it needs; returns how many ran."""
    clear_finished(house.places.jobs, house.ledger.has)
    at_once = side_by_side(plan)
    if at_once == 1:
        for job in plan.to_do:
            do(job, house, watch.for_job(job))
    else:
        _Pool(plan, house, watch, at_once, do).run()
    return len(plan.to_do)


def side_by_side(plan: Plan) -> int:
    """How many jobs fit on the cores at once: 1 on a GPU, or where a job takes all threads."""
    threads = max((int(job.spec.get("threads", 1)) for job in plan.to_do), default=0)
    if environment.device() != "cpu" or threads == 0:
        return 1
    return max(1, min(environment.cpu_threads() // threads, len(plan.to_do)))


# ---------------------------------------------------------------------------------------------------- a worker's side


_EVENTS: Any = None


def _begin(events: Any) -> None:
    global _EVENTS
    _EVENTS = events
    end_with_parent()


def _execute(job: Job, house: House, do: Doing) -> str:
    return do(job, house, Teller(job.id, _EVENTS.put)).job_id


# ---------------------------------------------------------------------------------------------------- the driver's side


class _Pool:
    """Keeps the workers fed with jobs whose needs are done, and passes on what they tell."""

    def __init__(self, plan: Plan, house: House, watch: Watch, at_once: int, do: Doing) -> None:
        self.waiting = list(plan.to_do)
        self.house, self.at_once, self.do = house, at_once, do
        self.desk = Desk(watch, read=house.ledger.read)
        self.desk.expect(plan.to_do)
        self.unfinished = {job.id for job in plan.to_do}
        self.running: dict[Future[str], Job] = {}

    def run(self) -> None:
        context = multiprocessing.get_context("spawn")
        events = context.Queue()
        teller = threading.Thread(target=self._tell, args=(events,), daemon=True)
        teller.start()
        pool = ProcessPoolExecutor(self.at_once, mp_context=context, initializer=_begin, initargs=(events,))
        try:
            self._feed(pool.submit)
            pool.shutdown()
        except BrokenProcessPool as error:
            names = ", ".join(job.title for job in self.running.values())
            raise HarnessError(
                f"a worker process was killed (out of memory?) while these ran: {names}. Finished jobs are kept; run the "
                "same command again to go on from the last checkpoints"
            ) from error
        finally:
            _stop(pool)
            events.put(None)
            teller.join()

    def _feed(self, submit: Callable[..., Future[str]]) -> None:
        while self.waiting or self.running:
            for job in [job for job in self.waiting if not self.unfinished & set(job.upstream.values())]:
                if len(self.running) == self.at_once:
                    break
                self.waiting.remove(job)
                self.running[submit(_execute, job, self.house, self.do)] = job
            finished, _ = wait(self.running, return_when=FIRST_COMPLETED)
            for future in finished:
                job_id = future.result()
                self.unfinished.remove(job_id)
                del self.running[future]

    def _tell(self, events: Any) -> None:
        """Pass events on, in a thread of its own, until told to end and nothing has come for a while."""
        ending = False
        while True:
            try:
                event = events.get(timeout=LAST_WORDS_S if ending else None)
            except queue.Empty:
                return
            if event is None:
                ending = True
                continue
            self.desk.take(event)


def _stop(pool: ProcessPoolExecutor) -> None:
    """End the workers at once: what they had under way resumes from its checkpoint."""
    for process in list((pool._processes or {}).values()):
        process.terminate()
    pool.shutdown(cancel_futures=True)
