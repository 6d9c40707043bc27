"""Launchers around jobs that only count: order, events, errors, kills. Ray's is in tests/e2e/test_ray.py and tests/faults."""

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

from harness.commands.console import JsonWatch
from harness.core.callbacks import Callback
from harness.core.errors import BadLists, Fault, HarnessError
from harness.core.spec import Job
from harness.core.workspace import Workspace
from harness.jobs.options import JobOptions
from harness.launch import local, workers
from harness.launch.events import EventDispatcher, EventSender
from harness.launch.resources import GIB, members_of, needs_of, on_gpu, peaks_of
from tests import fakejobs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def where(tmp_path: Path) -> Workspace:
    (tmp_path / "results").mkdir()
    return Workspace(data=tmp_path / "data", results=tmp_path / "results")


class Listening(Callback):
    """Remembers who said what."""

    def __init__(self, heard: list[tuple[str, ...]] | None = None) -> None:
        self.heard = [] if heard is None else heard

    def job_started(self, job: Job) -> None:
        self.heard.append(("started", job.title))

    def note(self, text: str) -> None:
        self.heard.append(("note", text))

    def job_finished(self, record) -> None:
        self.heard.append(("finished", record.title))


def diamond() -> list[Job]:
    top = fakejobs.job(0)
    sides = [fakejobs.job(number, after=[top], steps=3, step_s=0.01) for number in (1, 2)]
    return [top, *sides, fakejobs.job(3, after=sides)]


@pytest.mark.parametrize("cores", [1, 2])
def test_every_job_runs_once_after_those_it_needs(where, cores, monkeypatch):
    monkeypatch.setenv("HARNESS_THREADS", str(cores))
    jobs, callback = diamond(), Listening()
    assert local.launch(fakejobs.plan_of(jobs, where), JobOptions(where), callback, do=fakejobs.do) == 4
    assert sorted(fakejobs.steps_done(where.results)) == sorted((j.id, s) for j in jobs for s in range(j.spec["steps"]))
    assert sorted(callback.heard) == sorted((what, job.title) for job in jobs for what in ("started", "finished"))
    assert callback.heard[0] == ("started", "fake 0") and callback.heard[-1] == ("finished", "fake 3")
    assert list(where.jobs.iterdir()) == []
    assert local.launch(fakejobs.plan_of(jobs, where), JobOptions(where), callback, do=fakejobs.do) == 0


@pytest.mark.parametrize("cores", [1, 2])
def test_a_job_that_cannot_be_done_stops_with_its_own_words(where, cores, monkeypatch):
    monkeypatch.setenv("HARNESS_THREADS", str(cores))
    good = fakejobs.job(0)
    bad = fakejobs.job(1, after=[good], fails=True)
    with pytest.raises(HarnessError, match="fake 1 cannot be done"):
        local.launch(
            fakejobs.plan_of([good, bad, fakejobs.job(2, after=[bad])], where),
            JobOptions(where),
            Callback(),
            do=fakejobs.do,
        )
    assert JobOptions(where).run_store.ids() == [good.id]


def test_a_killed_worker_is_said_and_the_next_command_goes_on(where, monkeypatch):
    monkeypatch.setenv("HARNESS_THREADS", "2")
    jobs = [fakejobs.job(0, steps=6, dies_at=3), fakejobs.job(1)]
    with pytest.raises(HarnessError, match="fake 0.*run the same command again"):
        local.launch(fakejobs.plan_of(jobs, where), JobOptions(where), Callback(), do=fakejobs.do)
    local.launch(fakejobs.plan_of(jobs, where), JobOptions(where), Callback(), do=fakejobs.do)
    assert [step for job_id, step in fakejobs.steps_done(where.results) if job_id == jobs[0].id] == list(range(6))
    assert list(where.jobs.iterdir()) == [] and len(JobOptions(where).run_store.ids()) == 2


@pytest.mark.parametrize("last_words", [b"", struct.pack("!i", 1000) + b"half an event"], ids=["none", "half"])
def test_a_worker_killed_in_the_middle_of_a_word_keeps_nobody_waiting(where, monkeypatch, last_words):
    monkeypatch.setenv("HARNESS_THREADS", "2")
    jobs = [fakejobs.job(0, last_words=last_words.decode("latin1")), fakejobs.job(1, sleep_s=600.0)]
    with pytest.raises(HarnessError, match=r"that did fake 0 was killed by SIGKILL \(out of memory\?\)"):
        local.launch(fakejobs.plan_of(jobs, where), JobOptions(where), Callback(), do=speak_and_die)
    assert multiprocessing.active_children() == []


def speak_and_die(one: Job, options: JobOptions, callback: EventSender) -> None:
    """Fake job 0: what it says last, while nobody else may speak."""
    if "last_words" not in one.spec:
        time.sleep(one.spec["sleep_s"])
    own = inspect.getclosurevars(callback.send).nonlocals
    with own["one_at_a_time"]:
        os.write(own["pipe"].fileno(), one.spec["last_words"].encode("latin1"))
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_leaves_is_told_with_its_code(where, monkeypatch):
    monkeypatch.setenv("HARNESS_THREADS", "2")
    jobs = [fakejobs.job(0), fakejobs.job(1)]
    with pytest.raises(HarnessError, match=r"that did fake \d left with code 3\. .*run the same command again"):
        local.launch(fakejobs.plan_of(jobs, where), JobOptions(where), Callback(), do=leave)


def leave(one: Job, options: JobOptions, callback: EventSender) -> None:
    os._exit(3)


class Unpicklable(Exception):
    def __init__(self, words: str, more: str) -> None:
        super().__init__(f"{words} {more}")


@pytest.mark.parametrize("number", [0, 1, 2])
def test_what_a_job_raises_is_raised_here(where, monkeypatch, number):
    monkeypatch.setenv("HARNESS_THREADS", "2")
    jobs = [fakejobs.job(number), fakejobs.job(3)]
    kind, words = [(BadLists, "one line"), (KeyError, "'two'"), (RuntimeError, "Unpicklable: three lines")][number]
    with pytest.raises(kind, match=words) as raised:
        local.launch(fakejobs.plan_of(jobs, where), JobOptions(where), Callback(), do=fail)
    assert "in fail" in "".join(traceback.format_exception(raised.value)), "where in the worker"
    if number == 0:
        assert raised.value.faults == (Fault("unreadable line", "one line"),)


def fail(one: Job, options: JobOptions, callback: EventSender) -> None:
    if one.spec["number"] == 0:
        raise BadLists([Fault("unreadable line", "one line")])
    if one.spec["number"] == 1:
        raise KeyError("two")
    if one.spec["number"] == 2:
        raise Unpicklable("three", "lines")
    time.sleep(600)


def test_a_plug_ins_own_error_keeps_its_words(where, monkeypatch):
    monkeypatch.setenv("HARNESS_THREADS", "2")
    jobs = [fakejobs.job(number) for number in range(2)]
    with pytest.raises(HarnessError, match=r"^no such thing: fake \d$"):
        local.launch(fakejobs.plan_of(jobs, where), JobOptions(where), Callback(), do=fail_in_its_own_way)


class Doubles(HarnessError):
    def __init__(self, name: str) -> None:
        super().__init__(f"no such thing: {name}")


def fail_in_its_own_way(one: Job, options: JobOptions, callback: EventSender) -> None:
    raise Doubles(one.title)


@pytest.mark.parametrize("how", ["stopped", "deaf"])
def test_a_worker_that_does_not_end_is_ended(where, monkeypatch, how):
    monkeypatch.setenv("HARNESS_THREADS", "2")
    monkeypatch.setattr(workers, "TERM_S", 0.5)
    jobs = [fakejobs.job(0, how=how), fakejobs.job(1, how="fails")]
    with pytest.raises(HarnessError, match="fake 1 has failed"):
        local.launch(fakejobs.plan_of(jobs, where), JobOptions(where), Callback(), do=do_not_end)
    assert multiprocessing.active_children() == []


def do_not_end(one: Job, options: JobOptions, callback: EventSender) -> None:
    ready = options.places.results / "ready"
    if one.spec["how"] == "fails":
        while not ready.exists():
            time.sleep(0.02)
        raise HarnessError("fake 1 has failed")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ready.touch()
    if one.spec["how"] == "stopped":
        os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(600)


def test_a_child_that_a_killed_worker_forked_does_not_hide_it(where, monkeypatch):
    monkeypatch.setenv("HARNESS_THREADS", "2")
    jobs = [fakejobs.job(0), fakejobs.job(1, sleep_s=600.0)]
    with pytest.raises(HarnessError, match="fake 0 was killed by SIGKILL"):
        local.launch(fakejobs.plan_of(jobs, where), JobOptions(where), Callback(), do=fork_and_die)
    os.kill(int((where.results / "child").read_text()), signal.SIGKILL)


def fork_and_die(one: Job, options: JobOptions, callback: EventSender) -> None:
    time.sleep(one.spec.get("sleep_s", 0.0))
    child = os.fork()
    if child == 0:
        time.sleep(600)
    (options.places.results / "child").write_text(str(child))
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_finished_beside_a_failure_is_told(where):
    one, callback = fakejobs.job(0), Listening()
    plan = fakejobs.plan_of([one], where)
    fakejobs.do(one, JobOptions(where), Callback())

    class Finished:
        """A worker whose last two words lie in its pipe when another's job fails."""

        job: Job | None = one
        words: ClassVar[list] = [(one.id, "job_started", (one,)), (one.id, "job_finished", (one.id,)), None]

        @property
        def pipe(self) -> Finished:
            return self

        def poll(self) -> bool:
            return bool(self.words)

        def hear(self):
            self.job = self.job if len(self.words) > 1 else None
            return self.words.pop(0)

    crew = local._Scheduler(plan, JobOptions(where), callback, 2, fakejobs.do)
    crew.workers = [Finished()]
    crew._last_words()
    crew.said.put(None)
    crew._tell()
    assert [what for what, _ in callback.heard] == ["started", "finished"] and not crew.unfinished


def test_a_watcher_that_cannot_go_on_ends_the_jobs(where, monkeypatch):
    """The reader of ``--json`` has left, say."""
    monkeypatch.setenv("HARNESS_THREADS", "2")

    class Deaf(Callback):
        def job_started(self, job: Job) -> None:
            raise BrokenPipeError

    jobs = [fakejobs.job(number, steps=6000, step_s=0.1) for number in range(2)]
    with pytest.raises(BrokenPipeError):
        local.launch(fakejobs.plan_of(jobs, where), JobOptions(where), Deaf(), do=fakejobs.do)
    assert multiprocessing.active_children() == []


DRIVER = """
import sys
from pathlib import Path
from harness.jobs.options import House
from harness.launch import local
from harness.core.workspace import Places
from harness.core.callbacks import Watch
from tests import fakejobs
if __name__ == "__main__":
    where = Places(Path(sys.argv[1]) / "data", Path(sys.argv[1]) / "results")
    jobs = [fakejobs.job(number, steps=20, step_s=0.05) for number in range(2)]
    local.launch(fakejobs.plan_of(jobs, where), House(where), Watch(), do=fakejobs.do)
"""


def test_workers_of_a_killed_driver_end_and_nothing_is_done_twice(where, tmp_path):
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HARNESS_THREADS": "2"}
    words = [sys.executable, str(script), str(tmp_path)]
    first = subprocess.Popen(words, env=environment)
    deadline = time.monotonic() + 120
    while not (where.results / "steps").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait(60)
    subprocess.run(words, env=environment, check=True, timeout=240)
    done = fakejobs.steps_done(where.results)
    assert len(JobOptions(where).run_store.ids()) == 2
    # Of each job, at most the step that was under way when its worker ended is done again.
    assert set(done) == {(job_id, step) for job_id in JobOptions(where).run_store.ids() for step in range(20)}
    assert len(done) <= 40 + 2
    assert list(where.jobs.iterdir()) == []


def test_what_a_killed_owner_left_after_its_record_is_cleared(where):
    jobs = [fakejobs.job(0), fakejobs.job(1)]
    local.launch(fakejobs.plan_of(jobs[:1], where), JobOptions(where), Callback(), do=fakejobs.do)
    for one in jobs:
        (where.jobs / one.id).mkdir()
        (where.jobs / one.id / "00000001.ckpt").touch()
    local.launch(fakejobs.plan_of([], where), JobOptions(where), Callback(), do=fakejobs.do)
    assert [path.name for path in where.jobs.iterdir()] == [jobs[1].id], "checkpoints of unfinished jobs stay"


# ------------------------------------------------------------------------------------------------ events


def test_steps_are_bundled_and_none_is_lost():
    sent: list = []
    teller = EventSender("j", sent.append, every_s=3600.0)
    teller.stage("train", 1000, "steps")
    for number in range(1000):
        teller.advance(1, f"loss {number}")
    teller.note("done")
    assert [event[1] for event in sent] == ["stage", "advance", "note"]
    assert sent[1][2] == (1000, "loss 999")


def test_a_job_that_is_started_again_is_announced_once():
    one, other = fakejobs.job(0), fakejobs.job(1)
    callback = Listening()
    desk = EventDispatcher(callback, read=lambda job_id: fakejobs._record(one))
    desk.expect((one, other))
    for event in [(one.id, "job_started", (one,))] * 2 + [(one.id, "job_finished", (one.id,))] * 2:
        desk.take(event)
    desk.finish(one.id)
    desk.finish(other.id)
    assert [what for what, _ in callback.heard] == ["started", "note", "finished"]
    assert "goes on from its last checkpoint" in callback.heard[1][1]


def test_json_events_of_many_jobs_say_whose_they_are():
    stream = io.StringIO()
    one = fakejobs.job(0)
    callback = JsonWatch(stream).for_job(one)
    callback.job_started(one)
    callback.stage("train", 3, "steps")
    callback.note("slow")
    assert [json.loads(line)["job"] for line in stream.getvalue().splitlines()] == [one.id] * 3


# ------------------------------------------------------------------------------------------------ needs


@pytest.mark.parametrize(
    ("kind", "batch", "bn_batch", "asked", "members"),
    [
        ("train", 24, 6, 4, 4),
        ("train", 24, 6, 8, 4),
        ("train", 24, 6, 3, 1),
        ("train", 24, 0, 4, 1),
        ("head", 24, 6, 4, 1),
    ],
)
def test_a_training_is_spread_over_what_shares_its_replicas_evenly(kind, batch, bn_batch, asked, members):
    schedule = {"batch": batch} | ({"bn_batch": bn_batch} if bn_batch else {})
    assert members_of(Job(kind, "", {"schedule": schedule}), asked) == members


def test_what_a_job_asks_for():
    def needs(one: Job, peaks: dict[str, int] | None = None, workers: int = 0):
        return needs_of(one, workers=workers, most_cpus=16, peaks=peaks or {})

    on_cpu = Job("train", "", {"threads": 4, "baseline": {"name": "i3d"}})
    assert (needs(on_cpu).cpus, needs(on_cpu).gpus) == (4, 0)
    gpu = Job("train", "", {"threads": 0, "baseline": {"name": "i3d"}})
    assert on_gpu(gpu) and (needs(gpu, workers=6).cpus, needs(gpu, workers=6).gpus) == (7, 1)
    flow = Job("flow", "", {})
    assert (needs(flow).cpus, needs(flow).gpus) == (8, 0)
    measured = fakejobs._record(gpu)
    measured = type(measured)(**{**vars(measured), "cost": {"peak_memory_bytes": 5 * GIB}})
    assert needs(gpu, peaks_of([measured])).memory_bytes == 6 * GIB
    assert needs(on_cpu, peaks_of([fakejobs._record(gpu)])).memory_bytes == GIB
