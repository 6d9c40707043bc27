"""One process at a time, even if owners are killed; real processes and real signals."""

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
        inside.touch(exist_ok=False)  # fails if another process holds the lock
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


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "count")


def test_processes_take_turns_and_leave_no_files(tmp_path):
    workers = [worker(tmp_path, times=12, hold_s=0.005) for _ in range(4)]
    for process in workers:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert (tmp_path / "count").read_text() == "x" * 48
    assert files(tmp_path) == []


def test_a_waiting_process_names_the_owner(tmp_path):
    first = worker(tmp_path, hold_s=1.0)
    assert first.stdout is not None and first.stdout.readline() == "in\n"
    second = worker(tmp_path)
    output, _ = second.communicate(timeout=30)
    assert f"process {first.pid}" in output.splitlines()[0] and output.splitlines()[1] == "in"
    first.communicate(timeout=60)
    assert first.returncode == 0


def test_the_lock_of_a_killed_owner_is_taken_over_at_once(tmp_path):
    first = worker(tmp_path, hold_s=60)
    assert first.stdout is not None and first.stdout.readline() == "in\n"
    waiting = worker(tmp_path)
    assert waiting.stdout is not None and f"process {first.pid}" in waiting.stdout.readline()
    (tmp_path / "inside").unlink()
    first.send_signal(signal.SIGKILL)  # not waited for yet: a zombie is dead, too
    killed = time.monotonic()
    assert waiting.stdout.readline() == "in\n"
    assert time.monotonic() - killed < locks.DEAD_AFTER_S / 2
    waiting.communicate(timeout=60)
    assert waiting.returncode == 0 and files(tmp_path) == []
    first.communicate(timeout=60)


def test_another_process_with_the_pid_of_the_owner_is_not_the_owner(tmp_path):
    earlier = dataclasses.replace(locks.this_process(), started=locks.this_process().started - 3600)
    (tmp_path / f"{JOB}.lock.1").write_text(json.dumps(dataclasses.asdict(earlier)))
    with locks.job_lock(tmp_path, JOB):
        assert files(tmp_path) == [f"{JOB}.lock.2"]
    assert files(tmp_path) == []


def remote_lock(folder: Path) -> Path:
    """The lock of a process on another machine."""
    path = folder / f"{JOB}.lock.1"
    owner = dataclasses.replace(locks.this_process(), machine="elsewhere")
    path.write_text(json.dumps(dataclasses.asdict(owner)))
    return path


def test_an_owner_on_another_machine_is_dead_without_a_heartbeat(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "DEAD_AFTER_S", 0.6)
    path = remote_lock(tmp_path)
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
    assert files(tmp_path) == []


def test_an_incomplete_lock_file_has_an_unknown_owner(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "DEAD_AFTER_S", 0.3)
    (tmp_path / f"{JOB}.lock.1").write_text("")
    with locks.job_lock(tmp_path, JOB):
        pass
    assert files(tmp_path) == []


@pytest.mark.parametrize("linked", [False, True])
def test_a_process_killed_while_it_creates_a_lock_is_not_waited_for(tmp_path, linked):
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
    assert killed.returncode == -signal.SIGKILL and len(files(tmp_path)) == 1 + linked
    began = time.monotonic()
    with locks.job_lock(tmp_path, JOB):
        assert time.monotonic() - began < locks.DEAD_AFTER_S / 2
    assert files(tmp_path) == []


def test_file_systems_without_hard_links(tmp_path, monkeypatch):
    def refuses(self: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted", str(self))

    monkeypatch.setattr(Path, "hardlink_to", refuses)
    with locks.job_lock(tmp_path, JOB):
        assert (
            files(tmp_path) == [f"{JOB}.lock.1"] and locks._owner_of(tmp_path / f"{JOB}.lock.1") == locks.this_process()
        )
        assert not locks._create(tmp_path / f"{JOB}.lock.1")
    assert files(tmp_path) == []


@pytest.mark.parametrize("cleared", [False, True])
def test_a_file_server_that_gets_a_request_twice(tmp_path, monkeypatch, cleared):
    """Its first answer was lost. The second says that the link exists, or that the draft is gone (removed in a takeover)."""
    link = Path.hardlink_to

    def twice(self: Path, target: Path) -> None:
        link(self, target)
        if cleared:
            target.unlink()
        link(self, target)

    monkeypatch.setattr(Path, "hardlink_to", twice)
    assert locks._create(tmp_path / f"{JOB}.lock.1")
    assert not locks._create(tmp_path / f"{JOB}.lock.1"), "the file of another process"
    assert files(tmp_path) == [f"{JOB}.lock.1"]


def test_the_heartbeat_is_renewed_while_the_job_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "HEARTBEAT_S", 0.05)
    with locks.job_lock(tmp_path, JOB):
        (path,) = tmp_path.iterdir()
        before = path.stat().st_mtime_ns
        time.sleep(0.3)
        assert path.stat().st_mtime_ns > before


def test_a_late_process_yields_to_an_owner_that_came_meanwhile(tmp_path, monkeypatch):
    """After it saw that owner n is dead and before it created n + 1, others ran the job, and one started again at 1."""
    dead = dataclasses.replace(locks.this_process(), started=0.0)
    path = tmp_path / f"{JOB}.lock.1"
    path.write_text(json.dumps(dataclasses.asdict(dead)))
    create = locks._create

    def late(own: Path) -> bool:
        path.write_text(json.dumps(dataclasses.asdict(locks.this_process())))
        return create(own)

    monkeypatch.setattr(locks, "_create", late)
    lock = locks._Lock(tmp_path, JOB)
    assert not lock._try()
    assert files(tmp_path) == [path.name]


def test_an_error_in_the_job_releases_the_lock(tmp_path):
    with pytest.raises(ValueError), locks.job_lock(tmp_path, JOB):
        raise ValueError
    assert files(tmp_path) == []
