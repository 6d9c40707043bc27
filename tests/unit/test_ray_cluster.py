"""Ray's start and end, and the driver's loop, without Ray itself. With Ray: tests/e2e/test_ray.py, tests/faults/test_cluster.py."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest

from harness.core import processes
from harness.launch.ray import cluster, driver
from tests.fakejobs import fake_job

PARENT_OF_A_SLEEPER = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


def test_processes_that_ray_leaves_behind_are_killed(tmp_path):
    command = [sys.executable, "-c", PARENT_OF_A_SLEEPER]
    with contextlib.ExitStack() as stack:
        started, other = (
            stack.enter_context(subprocess.Popen([*command, f"--folder={name}"], stdout=subprocess.PIPE, text=True))
            for name in (tmp_path / "session", "another")
        )
        for parent in (started, other):
            stack.callback(parent.kill)
        left = psutil.Process(int(started.stdout.readline()))
        unrelated = psutil.Process(int(other.stdout.readline()))
        stack.callback(unrelated.kill)
        # As Ray does: it stops what it started, and not the processes below.
        cluster._stop(SimpleNamespace(shutdown=started.kill), str(tmp_path))
        left.wait(10)
        assert not left.is_running() and other.poll() is None and unrelated.is_running()


def test_sigterm_keeps_its_handler_and_its_status():
    """Ray's handler exits with status 15; a SystemExit of ours during a wait becomes status 1."""
    with processes.terminable():
        ours = signal.getsignal(signal.SIGTERM)
        with processes.sigterm_handler_restored():
            signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))
        assert signal.getsignal(signal.SIGTERM) is ours
    for status in (1, 15):
        with pytest.raises(processes.Terminated) as terminated, cluster._terminated():
            sys.exit(status)
        assert terminated.value.code == 143
    with pytest.raises(processes.Terminated) as terminated, cluster._terminated():
        raise processes.Terminated(129)
    assert terminated.value.code == 129


class FinishedTasks:
    """Stands for the module `ray`, with tasks that have all finished; counts the calls of `wait`."""

    def __init__(self) -> None:
        self.waits = 0

    def remote(self, **options: object):
        return lambda function: function

    def wait(self, refs: list[object], *, num_returns: int = 1, timeout: float):
        self.waits += 1
        return refs[:num_returns], refs[num_returns:]


def test_the_driver_asks_for_all_jobs_at_once(monkeypatch):
    """A call costs as much as there are jobs: one per finished job would make 500 jobs cost 250,000 looks."""
    ray, jobs, collected = FinishedTasks(), [fake_job(number) for number in range(50)], []
    monkeypatch.setattr(driver, "forward_events", lambda *_: None)
    monkeypatch.setattr(driver._Driver, "submit", lambda self, job, upstream: job.id)
    monkeypatch.setattr(driver._Driver, "collect", lambda self, ref, job: collected.append(job))
    driver._Driver(ray, None, None, None, {}).run(jobs)
    assert collected == jobs and ray.waits == 1
