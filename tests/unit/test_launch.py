"""The local launcher around jobs that only count: progress, errors, kills. All launchers: tests/contract/test_launchers.py."""

from __future__ import annotations

import inspect
import io
import json
import multiprocessing
import os
import signal
import struct
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import ClassVar

import pytest

from harness.commands.console import JsonProgress
from harness.core.callbacks import Callback
from harness.core.cells import Job
from harness.core.contract import Schedule
from harness.core.errors import BadLists, Fault, HarnessError
from harness.core.workspace import Workspace
from harness.jobs.options import JobOptions
from harness.launch import workers
from harness.launch.entry import JobFunction
from harness.launch.events import EventDispatcher, EventSender
from harness.launch.launchers import local
from harness.launch.resources import CPU, GIB, Capacity, Decoding, members_of, needs_of, on_gpu, peaks_of
from tests.fakejobs import Recorder, fake_job, plan_of, record_of, run_fake, steps_done
from tests.specs import flow_spec, train_spec

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "results").mkdir()
    return Workspace(data=tmp_path / "data", results=tmp_path / "results")


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_THREADS", "2")


def launch(
    jobs: list[Job], workspace: Workspace, callback: Callback | None = None, *, run: JobFunction = run_fake
) -> int:
    return local.launch(plan_of(jobs, workspace), JobOptions(workspace), callback or Callback(), run=run)


def test_a_killed_worker_is_named_and_the_next_command_resumes(workspace, two_cores):
    jobs = [fake_job(0, steps=6, dies_at=3), fake_job(1)]
    with pytest.raises(HarnessError, match="fake 0.*run the same command again"):
        launch(jobs, workspace)
    launch(jobs, workspace)
    assert [step for job_id, step in steps_done(workspace.results) if job_id == jobs[0].id] == list(range(6))
    assert list(workspace.jobs.iterdir()) == [] and len(JobOptions(workspace).run_store.ids()) == 2


@pytest.mark.parametrize("sent", [b"", struct.pack("!i", 1000) + b"half an event"], ids=["nothing", "half"])
def test_a_worker_killed_while_it_sends_does_not_block_the_others(workspace, two_cores, sent):
    jobs = [fake_job(0, sent=sent.decode("latin1")), fake_job(1, sleep_s=600.0)]
    with pytest.raises(HarnessError, match=r"that ran fake 0 was killed by SIGKILL \(out of memory\?\)"):
        launch(jobs, workspace, run=send_and_die)
    assert multiprocessing.active_children() == []


def send_and_die(job: Job, options: JobOptions, callback: EventSender) -> None:
    """Fake job 0: killed while it holds the lock for sending."""
    if "sent" not in job.spec.more:
        time.sleep(job.spec.more["sleep_s"])
    closure = inspect.getclosurevars(callback.send).nonlocals
    with closure["lock"]:
        os.write(closure["pipe"].fileno(), job.spec.more["sent"].encode("latin1"))
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_exits_is_reported_with_its_status(workspace, two_cores):
    with pytest.raises(HarnessError, match=r"that ran fake \d exited with status 3\. .*run the same command again"):
        launch([fake_job(0), fake_job(1)], workspace, run=exit_3)


def exit_3(job: Job, options: JobOptions, callback: EventSender) -> None:
    os._exit(3)


class Unpicklable(Exception):
    def __init__(self, words: str, more: str) -> None:
        super().__init__(f"{words} {more}")


@pytest.mark.parametrize("number", [0, 1, 2])
def test_what_a_job_raises_is_raised_here(workspace, two_cores, number):
    kind, words = [(BadLists, "one line"), (KeyError, "'two'"), (RuntimeError, "Unpicklable: three lines")][number]
    with pytest.raises(kind, match=words) as raised:
        launch([fake_job(number), fake_job(3)], workspace, run=fail)
    assert "in fail" in "".join(traceback.format_exception(raised.value)), "the line in the worker"
    if number == 0:
        assert raised.value.faults == (Fault("unreadable line", "one line"),)


def fail(job: Job, options: JobOptions, callback: EventSender) -> None:
    if job.spec.number == 0:
        raise BadLists([Fault("unreadable line", "one line")])
    if job.spec.number == 1:
        raise KeyError("two")
    if job.spec.number == 2:
        raise Unpicklable("three", "lines")
    time.sleep(600)


def test_the_error_type_of_a_plugin_keeps_its_text(workspace, two_cores):
    with pytest.raises(HarnessError, match=r"^no such thing: fake \d$"):
        launch([fake_job(0), fake_job(1)], workspace, run=fail_with_own_type)


class OwnError(HarnessError):
    def __init__(self, name: str) -> None:
        super().__init__(f"no such thing: {name}")


def fail_with_own_type(job: Job, options: JobOptions, callback: EventSender) -> None:
    raise OwnError(job.title)


@pytest.mark.parametrize("mode", ["stopped", "ignores SIGTERM"])
def test_a_worker_that_does_not_exit_is_killed(workspace, two_cores, monkeypatch, mode):
    monkeypatch.setattr(workers, "TERM_S", 0.5)
    with pytest.raises(HarnessError, match="fake 1 has failed"):
        launch([fake_job(0, mode=mode), fake_job(1, mode="fails")], workspace, run=do_not_exit)
    assert multiprocessing.active_children() == []


def do_not_exit(job: Job, options: JobOptions, callback: EventSender) -> None:
    ready = options.workspace.results / "ready"
    if job.spec.more["mode"] == "fails":
        while not ready.exists():
            time.sleep(0.02)
        raise HarnessError("fake 1 has failed")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ready.touch()
    if job.spec.more["mode"] == "stopped":
        os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(600)


def test_a_killed_worker_is_noticed_although_its_child_lives(workspace, two_cores):
    with pytest.raises(HarnessError, match="fake 0 was killed by SIGKILL"):
        launch([fake_job(0), fake_job(1, sleep_s=600.0)], workspace, run=fork_and_die)
    os.kill(int((workspace.results / "child").read_text()), signal.SIGKILL)


def fork_and_die(job: Job, options: JobOptions, callback: EventSender) -> None:
    time.sleep(job.spec.more.get("sleep_s", 0.0))
    child = os.fork()
    if child == 0:
        time.sleep(600)
    (options.workspace.results / "child").write_text(str(child))
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_job_that_finished_when_another_failed_is_reported(workspace):
    finished, callback = fake_job(0), Recorder()
    plan = plan_of([finished], workspace)
    run_fake(finished, JobOptions(workspace), Callback())

    class FinishedWorker:
        """A worker whose last events are still in its pipe when another's job fails."""

        job: Job | None = finished
        device = CPU
        events: ClassVar[list] = [
            (finished.id, "job_started", (finished,)),
            (finished.id, "job_finished", (finished.id,)),
            None,
        ]

        @property
        def pipe(self) -> FinishedWorker:
            return self

        def poll(self) -> bool:
            return bool(self.events)

        def receive(self):
            self.job = self.job if len(self.events) > 1 else None
            return self.events.pop(0)

    scheduler = local._Scheduler(
        plan, JobOptions(workspace), callback, Capacity({CPU: 2}, most=2), Decoding(0, 2, 0), run_fake
    )
    scheduler.workers = [FinishedWorker()]
    scheduler._drain()
    scheduler.events.put(None)
    scheduler._report_progress()
    assert [name for name, _ in callback.calls] == ["started", "finished"] and not scheduler.unfinished


def test_an_error_in_a_callback_ends_the_jobs(workspace, two_cores):
    """The reader of ``--json`` has exited, for example."""

    class ClosedPipe(Callback):
        def job_started(self, job: Job) -> None:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        launch([fake_job(number, steps=6000, step_s=0.1) for number in range(2)], workspace, ClosedPipe())
    assert multiprocessing.active_children() == []


DRIVER = """
import sys
from pathlib import Path
from harness.core.callbacks import Callback
from harness.core.workspace import Workspace
from harness.jobs.options import JobOptions
from harness.launch.launchers import local
from tests import fakejobs
if __name__ == "__main__":
    workspace = Workspace(Path(sys.argv[1]) / "data", Path(sys.argv[1]) / "results")
    jobs = [fakejobs.fake_job(number, steps=20, step_s=0.05) for number in range(2)]
    local.launch(fakejobs.plan_of(jobs, workspace), JobOptions(workspace), Callback(), run=fakejobs.run_fake)
"""


def test_workers_of_a_killed_driver_exit_and_no_step_is_repeated(workspace, tmp_path):
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HARNESS_THREADS": "2"}
    command = [sys.executable, str(script), str(tmp_path)]
    first = subprocess.Popen(command, env=environment)
    deadline = time.monotonic() + 120
    while not (workspace.results / "steps").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait(60)
    subprocess.run(command, env=environment, check=True, timeout=240)
    done, job_ids = steps_done(workspace.results), JobOptions(workspace).run_store.ids()
    assert len(job_ids) == 2
    assert set(done) == {(job_id, step) for job_id in job_ids for step in range(20)}
    assert len(done) <= 40 + 2, "at most the step under way when its worker exited, per job"
    assert list(workspace.jobs.iterdir()) == []


def test_leftovers_of_an_owner_killed_after_its_record_are_removed(workspace):
    jobs = [fake_job(0), fake_job(1)]
    launch(jobs[:1], workspace)
    for job in jobs:
        (workspace.jobs / job.id).mkdir()
        (workspace.jobs / job.id / "00000001.ckpt").touch()
    launch([], workspace)
    assert [path.name for path in workspace.jobs.iterdir()] == [jobs[1].id], "checkpoints of unfinished jobs stay"


# ------------------------------------------------------------------------------------------------ events


def test_steps_are_sent_together_and_none_is_lost():
    sent: list = []
    sender = EventSender("j", sent.append, every_s=3600.0)
    sender.stage("train", 1000, "steps")
    for number in range(1000):
        sender.advance(1, f"loss {number}")
    sender.note("done")
    assert [event[1] for event in sent] == ["stage", "advance", "note"]
    assert sent[1][2] == (1000, "loss 999")


def test_a_restarted_job_is_announced_once():
    job, other = fake_job(0), fake_job(1)
    callback = Recorder()
    dispatcher = EventDispatcher([job, other], callback, read=lambda job_id: record_of(job))
    for event in [(job.id, "job_started", (job,))] * 2 + [(job.id, "job_finished", (job.id,))] * 2:
        dispatcher.dispatch(event)
    dispatcher.finish(job.id)
    dispatcher.finish(other.id)
    assert [name for name, _ in callback.calls] == ["started", "note", "finished"]
    assert "resumes from its last checkpoint" in callback.calls[1][1]


def test_json_events_of_many_jobs_carry_the_job_id():
    stream = io.StringIO()
    job = fake_job(0)
    callback = JsonProgress(stream).for_job(job)
    callback.job_started(job)
    callback.stage("train", 3, "steps")
    callback.note("slow")
    assert [json.loads(line)["job"] for line in stream.getvalue().splitlines()] == [job.id] * 3


# ------------------------------------------------------------------------------------------------ resources


@pytest.mark.parametrize(
    ("batch", "bn_batch", "gpus_per_job", "members"),
    [
        (24, 6, 4, 4),
        (24, 6, 8, 4),
        (24, 6, 3, 1),
        (24, 0, 4, 1),
    ],
)
def test_a_training_is_spread_over_processes_that_share_its_replicas_evenly(batch, bn_batch, gpus_per_job, members):
    schedule = Schedule(steps=1, batch=batch, base_lr=0.1, bn_batch=bn_batch)
    assert members_of(Job(train_spec(schedule=schedule), ""), gpus_per_job) == members
    assert members_of(Job(flow_spec(), ""), gpus_per_job) == 1


def test_resources_that_a_job_asks_for():
    def needs(job: Job, peaks: dict[str, int] | None = None, workers: int = 0):
        return needs_of(job, workers=workers, most_cpus=16, peaks=peaks or {})

    on_cpu = Job(train_spec(threads=4), "")
    assert (needs(on_cpu).cpus, needs(on_cpu).gpus) == (4, 0)
    gpu = Job(train_spec(threads=0), "")
    assert on_gpu(gpu) and (needs(gpu, workers=6).cpus, needs(gpu, workers=6).gpus) == (7, 1)
    flow = Job(flow_spec(), "")
    assert (needs(flow).cpus, needs(flow).gpus) == (8, 0)
    measured = record_of(gpu, cost={"peak_memory_bytes": 5 * GIB})
    assert needs(gpu, peaks_of([measured])).memory_bytes == 6 * GIB
    assert needs(on_cpu, peaks_of([record_of(gpu)])).memory_bytes == GIB
    assert needs(on_cpu, workers=30).cpus == 16, (
        "decoding processes do not ask for more cores than the largest node has"
    )
