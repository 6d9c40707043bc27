"""Half-written files: nobody takes another's name, and only what nobody will finish is swept away."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from harness.core import atomic


def test_no_two_writers_share_a_name(tmp_path, monkeypatch):
    names = [atomic.temporary_path(tmp_path / "clip.mp4")]
    names.append(atomic.temporary_path(tmp_path / "clip.mp4"))
    monkeypatch.setattr(socket, "gethostname", lambda: "node-7.cluster.example")
    names.append(atomic.temporary_path(tmp_path / "clip.mp4"))
    assert len(set(names)) == 3 and all(name.parent == tmp_path and name.name.endswith(".half") for name in names)
    assert "node-7_cluster_example" in names[2].name


def made(path: Path, *, folder: bool) -> Path:
    left = atomic.temporary_path(path)
    if folder:
        (left / "inside").mkdir(parents=True)
        (left / "inside" / "file").write_text("half")
    else:
        left.write_text("half")
    return left


@pytest.mark.parametrize("folder", [False, True])
def test_what_the_dead_leave_goes_and_what_the_living_write_stays(tmp_path, monkeypatch, folder):
    mine = made(tmp_path / "a b.c", folder=folder)
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    monkeypatch.setattr(os, "getpid", lambda: int(done.stdout))
    dead = made(tmp_path / "a b.c", folder=folder)
    old = tmp_path / ".clip.mp4.999999999.half"
    old.write_text("as an earlier version named it")
    atomic.remove_stale(tmp_path)
    assert mine.exists() and not dead.exists() and not old.exists()


def test_a_zombie_writes_no_more_and_a_number_may_have_been_given_again(tmp_path, monkeypatch):
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody has asked how
    number = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: process.pid)
    zombies = made(tmp_path / "clip.mp4", folder=False)
    monkeypatch.setattr(os, "getpid", lambda: number)
    earlier = made(tmp_path / "clip.mp4", folder=False)
    os.utime(earlier, (0, 0))  # written before this process, which has the number now, was started
    mine = made(tmp_path / "clip.mp4", folder=False)
    atomic.remove_stale(tmp_path)
    assert [mine] == list(tmp_path.iterdir()) and not zombies.exists()
    process.wait()


@pytest.mark.parametrize("folder", [False, True])
def test_another_hosts_work_stays_for_a_day_whatever_its_process_number(tmp_path, monkeypatch, folder):
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
    monkeypatch.setattr(os, "getpid", lambda: 999999999)
    there = made(tmp_path / "clip.mp4", folder=folder)
    monkeypatch.undo()
    atomic.remove_stale(tmp_path)
    assert there.exists()
    for path in (there, *there.rglob("*")):
        os.utime(path, (0, 0))
    atomic.remove_stale(tmp_path)
    assert not there.exists()
