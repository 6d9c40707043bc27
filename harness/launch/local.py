"""Jobs on this machine: in this process one after the other, or in as many processes as the cores can feed."""

from __future__ import annotations

from multiprocessing.connection import wait

from harness import environment
from harness.house import House
from harness.launch.doing import Doing, do_job
from harness.launch.telling import Desk
from harness.launch.workers import Worker
from harness.locks import clear_finished
from harness.plan import Plan
from harness.watch import Watch


def launch(plan: Plan, house: House, watch: Watch, *, do: Doing = do_job) -> int:
    """Run every job that is still to do, each after those it needs; returns how many ran."""
    clear_finished(house.places.jobs, house.ledger.has)
    at_once = side_by_side(plan)
    if at_once == 1:
        for job in plan.to_do:
            do(job, house, watch.for_job(job))
    else:
        _Crew(plan, house, watch, at_once, do).run()
    return len(plan.to_do)


def side_by_side(plan: Plan) -> int:
    """How many jobs fit on the cores at once: 1 on a GPU, or where a job takes all threads."""
    threads = max((int(job.spec.get("threads", 1)) for job in plan.to_do), default=0)
    if environment.device() != "cpu" or threads == 0:
        return 1
    return max(1, min(environment.cpu_threads() // threads, len(plan.to_do)))


class _Crew:
    """Keeps the workers fed with jobs whose needs are done, and passes on what they tell."""

    def __init__(self, plan: Plan, house: House, watch: Watch, at_once: int, do: Doing) -> None:
        self.waiting = list(plan.to_do)
        self.house, self.at_once, self.do = house, at_once, do
        self.desk = Desk(watch, read=house.ledger.read)
        self.desk.expect(plan.to_do)
        self.unfinished = {job.id for job in plan.to_do}
        self.workers: list[Worker] = []

    def run(self) -> None:
        try:
            while self.unfinished:
                self._feed()
                busy = [worker for worker in self.workers if worker.job]
                heard = wait([worker.pipe for worker in busy])
                for worker in busy:
                    if worker.pipe in heard:
                        self._hear(worker)
            for worker in self.workers:
                worker.dismiss()
        finally:
            for worker in self.workers:
                worker.stop()

    def _feed(self) -> None:
        """Give out what can be done now, to as many workers as may run at once."""
        for job in [job for job in self.waiting if not self.unfinished & set(job.upstream.values())]:
            idle = next((worker for worker in self.workers if not worker.job), None)
            if idle is None:
                if len(self.workers) == self.at_once:
                    return
                idle = Worker()
                self.workers.append(idle)
            self.waiting.remove(job)
            idle.give(job, self.house, self.do)

    def _hear(self, worker: Worker) -> None:
        job = worker.job
        event = worker.hear()
        if event is not None:
            self.desk.take(event)
        elif job is not None:
            self.unfinished.remove(job.id)
