"""Workers of a killed process exit, and do not run the script that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.core import processes

ROOT = Path(__file__).resolve().parents[2]
POOLS = {
    "flow and store": "derived._results(Recipe(), [task(n) for n in range(8)], workers=2)",
    "index": "index._pool(10**6).map(wait, range(2))",
    "jobs": "[worker.receive() for worker in given(wait)]",
    "rendering": "initialised(processes.begin_worker).map(wait, range(2))",
}
PARENT = """
import multiprocessing, os, sys, time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from harness.launch.workers import Worker
from harness.core import processes
from harness.core.workspace import Workspace
from harness.data import derived, index
from harness.jobs.options import JobOptions
from tests.fakejobs import fake_job

def wait(*_):
    (Path(sys.argv[1]) / str(os.getpid())).touch()
    time.sleep(600)

class Recipe:
    title = "nothing"
    def make(self, source, target, limit=None):
        wait()

def task(number):
    return derived.Task(Path("a"), Path(sys.argv[1]) / "out" / str(number), str(number), 1, 1)

def initialised(function, *args):
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(2, mp_context=spawn, initializer=function, initargs=args)

def given(do):
    workers = [Worker(), Worker()]
    for worker in workers:
        worker.assign(fake_job(0), JobOptions(Workspace(Path(sys.argv[1]), Path(sys.argv[1]))), do)
    return workers

def run():
    list(%s)
"""
UNGUARDED = """
import sys
from pathlib import Path
from harness.core.workspace import Workspace
from harness.jobs.options import JobOptions
from harness.launch.launchers.local import launch
from harness.core.callbacks import Callback
from tests.fakejobs import plan_of, run_fake, slow_jobs

print("started")
workspace = Workspace(Path(sys.argv[1]), Path(sys.argv[1]))
launch(plan_of(slow_jobs(), workspace), JobOptions(workspace, cpu_threads=2), Callback(), run=run_fake)
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def soon(happened) -> bool:
    """Whether it happens within a minute."""
    end = time.monotonic() + 60
    while not happened() and time.monotonic() < end:
        time.sleep(0.1)
    return bool(happened())


@pytest.mark.parametrize("pool", POOLS)
def test_workers_of_a_killed_process_exit(tmp_path, pool):
    script, folder = tmp_path / "parent.py", tmp_path / "workers"
    script.write_text(PARENT % POOLS[pool])
    folder.mkdir()

    def workers() -> list[int]:
        return [int(path.name) for path in folder.iterdir() if path.name.isdigit()]

    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    code = f"import sys; sys.path.append({str(tmp_path)!r}); import parent; parent.run()"
    parent = subprocess.Popen([sys.executable, "-c", code, str(folder)], env=environment)
    try:
        assert soon(lambda: len(workers()) == 2)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert soon(lambda: not any(alive(pid) for pid in workers()))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_that_would_kill_raises_and_the_handlers_return(number: signal.Signals, status: int) -> None:
    inherited = signal.signal(number, signal.SIG_DFL)  # under nohup, SIGHUP is ignored
    try:
        with pytest.raises(processes.Terminated) as raised, processes.terminable():
            with processes.undisturbed():
                os.kill(os.getpid(), number)  # no effect here
            os.kill(os.getpid(), number)
            time.sleep(5)
        assert raised.value.code == status and signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, inherited)


def test_a_signal_that_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with processes.terminable():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_script_without_a_guard_runs_once(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run = [sys.executable, str(script), str(tmp_path)]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "started\n"
    steps = (tmp_path / "steps").read_text().splitlines()
    assert len(steps) == 30 and len({line.split()[2] for line in steps}) == 2
