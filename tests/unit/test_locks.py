"""One process at a time, whoever dies; real processes and real signals."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harness.core import locks

ROOT = Path(__file__).resolve().parents[2]
JOB = "0123456789ab"
WORKER = """
import sys, time
from pathlib import Path
from harness.core import locks
folder, times, hold_s = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
for _ in range(times):
    with locks.job_lock(folder, "0123456789ab", lambda text: print(text, flush=True)):
        inside = folder / "inside"
        inside.touch(exist_ok=False)  # fails if anybody else is in here
        print("in", flush=True)
        time.sleep(hold_s)
        with (folder / "count").open("a") as stream:
            stream.write("x")
        inside.unlink()
"""


def worker(folder: Path, *, times: int = 1, hold_s: float = 0.0) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-c", WORKER, str(folder), str(times), str(hold_s)]
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "count")


def test_processes_that_want_the_same_job_take_turns_and_leave_nothing(tmp_path):
    workers = [worker(tmp_path, times=12, hold_s=0.005) for _ in range(4)]
    for process in workers:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    assert (tmp_path / "count").read_text() == "x" * 48
    assert left(tmp_path) == []


def test_who_waits_is_told_for_whom(tmp_path):
    first = worker(tmp_path, hold_s=1.0)
    assert first.stdout is not None and first.stdout.readline() == "in\n"
    second = worker(tmp_path)
    said, _ = second.communicate(timeout=30)
    assert f"process {first.pid}" in said.splitlines()[0] and said.splitlines()[1] == "in"
    first.communicate(timeout=60)
    assert first.returncode == 0


def test_a_killed_owner_is_followed_at_once(tmp_path):
    first = worker(tmp_path, hold_s=60)
    assert first.stdout is not None and first.stdout.readline() == "in\n"
    waiting = worker(tmp_path)
    assert waiting.stdout is not None and f"process {first.pid}" in waiting.stdout.readline()
    (tmp_path / "inside").unlink()
    first.send_signal(signal.SIGKILL)  # not waited for yet: a corpse that still has its pid is dead too
    killed = time.monotonic()
    assert waiting.stdout.readline() == "in\n"
    assert time.monotonic() - killed < locks.DEAD_AFTER_S / 2
    waiting.communicate(timeout=60)
    assert waiting.returncode == 0 and left(tmp_path) == []
    first.communicate(timeout=60)


def test_a_pid_that_was_given_to_another_process_is_not_the_owner(tmp_path):
    earlier = dataclasses.replace(locks.this_process(), started=locks.this_process().started - 3600)
    (tmp_path / f"{JOB}.lock.1").write_text(json.dumps(dataclasses.asdict(earlier)))
    with locks.job_lock(tmp_path, JOB):
        assert left(tmp_path) == [f"{JOB}.lock.2"]
    assert left(tmp_path) == []


def stranger(folder: Path) -> Path:
    """The lock of a process on another machine."""
    path = folder / f"{JOB}.lock.1"
    owner = dataclasses.replace(locks.this_process(), machine="elsewhere")
    path.write_text(json.dumps(dataclasses.asdict(owner)))
    return path


def test_an_owner_on_another_machine_is_dead_when_its_heart_stands_still(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "DEAD_AFTER_S", 0.6)
    path = stranger(tmp_path)
    ended = threading.Event()

    def beat() -> None:
        for _ in range(6):
            time.sleep(0.25)
            os.utime(path)
        ended.set()

    threading.Thread(target=beat).start()
    began = time.monotonic()
    with locks.job_lock(tmp_path, JOB):
        assert ended.is_set(), "taken from a living owner"
        assert time.monotonic() - began > 1.5 + 0.6 - 0.25
    assert left(tmp_path) == []


def test_a_lock_that_was_torn_is_a_stranger_of_unknown_name(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "DEAD_AFTER_S", 0.3)
    (tmp_path / f"{JOB}.lock.1").write_text("")
    with locks.job_lock(tmp_path, JOB):
        pass
    assert left(tmp_path) == []


@pytest.mark.parametrize("linked", [False, True])
def test_who_is_killed_while_it_makes_a_lock_is_not_waited_for(tmp_path, linked):
    script = f"""
import os, signal
from pathlib import Path
from harness.core import locks
link = Path.hardlink_to
def killed(self, target):
    if {linked}:
        link(self, target)
    os.kill(os.getpid(), signal.SIGKILL)
Path.hardlink_to = killed
with locks.job_lock(Path({str(tmp_path)!r}), {JOB!r}):
    pass
"""
    killed = subprocess.run([sys.executable, "-c", script], env=os.environ | {"PYTHONPATH": str(ROOT)}, timeout=60)
    assert killed.returncode == -signal.SIGKILL and len(left(tmp_path)) == 1 + linked
    began = time.monotonic()
    with locks.job_lock(tmp_path, JOB):
        assert time.monotonic() - began < locks.DEAD_AFTER_S / 2
    assert left(tmp_path) == []


def test_file_systems_without_second_names(tmp_path, monkeypatch):
    def refuses(self: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted", str(self))

    monkeypatch.setattr(Path, "hardlink_to", refuses)
    with locks.job_lock(tmp_path, JOB):
        assert (
            left(tmp_path) == [f"{JOB}.lock.1"] and locks._owner_of(tmp_path / f"{JOB}.lock.1") == locks.this_process()
        )
        assert not locks._create(tmp_path / f"{JOB}.lock.1")
    assert left(tmp_path) == []


@pytest.mark.parametrize("cleared", [False, True])
def test_a_file_server_that_was_asked_twice(tmp_path, monkeypatch, cleared):
    """Its first answer was lost: the name is there, it says, or the draft is not (who took over cleared it); it is the asker's."""
    link = Path.hardlink_to

    def twice(self: Path, target: Path) -> None:
        link(self, target)
        if cleared:
            target.unlink()
        link(self, target)

    monkeypatch.setattr(Path, "hardlink_to", twice)
    assert locks._create(tmp_path / f"{JOB}.lock.1")
    assert not locks._create(tmp_path / f"{JOB}.lock.1"), "this one is not the asker's"
    assert left(tmp_path) == [f"{JOB}.lock.1"]


def test_the_heart_beats_while_the_job_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "HEARTBEAT_S", 0.05)
    with locks.job_lock(tmp_path, JOB):
        (path,) = tmp_path.iterdir()
        before = path.stat().st_mtime_ns
        time.sleep(0.3)
        assert path.stat().st_mtime_ns > before


def test_a_late_comer_gives_way_to_who_came_meanwhile(tmp_path, monkeypatch):
    """Between finding n dead and making n + 1, others have come, worked, gone, and one has begun anew at 1."""
    dead = dataclasses.replace(locks.this_process(), started=0.0)
    path = tmp_path / f"{JOB}.lock.1"
    path.write_text(json.dumps(dataclasses.asdict(dead)))
    made = locks._create

    def late(mine: Path) -> bool:
        path.write_text(json.dumps(dataclasses.asdict(locks.this_process())))
        return made(mine)

    monkeypatch.setattr(locks, "_create", late)
    lock = locks._Lock(tmp_path, JOB)
    assert not lock._try()
    assert left(tmp_path) == [path.name]


def test_an_error_in_the_job_gives_the_lock_back(tmp_path):
    with pytest.raises(ValueError), locks.job_lock(tmp_path, JOB):
        raise ValueError
    assert left(tmp_path) == []
