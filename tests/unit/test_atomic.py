"""Temporary files: no two writers share a name, and only those that no process will finish are removed."""

from __future__ import annotations

import errno
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


def write_half(path: Path, *, folder: bool) -> Path:
    temporary = atomic.temporary_path(path)
    if folder:
        (temporary / "inside").mkdir(parents=True)
        (temporary / "inside" / "file").write_text("half")
    else:
        temporary.write_text("half")
    return temporary


@pytest.mark.parametrize("folder", [False, True])
def test_files_of_ended_processes_are_removed_and_those_of_running_ones_stay(tmp_path, monkeypatch, folder):
    running = write_half(tmp_path / "a b.c", folder=folder)
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    monkeypatch.setattr(os, "getpid", lambda: int(done.stdout))
    ended = write_half(tmp_path / "a b.c", folder=folder)
    old = tmp_path / ".clip.mp4.999999999.half"
    old.write_text("the name that an earlier version gave")
    atomic.remove_stale(tmp_path)
    assert running.exists() and not ended.exists() and not old.exists()


def test_a_zombie_has_ended_and_a_pid_may_be_reused(tmp_path, monkeypatch):
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, but not waited for
    pid = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: process.pid)
    zombie = write_half(tmp_path / "clip.mp4", folder=False)
    monkeypatch.setattr(os, "getpid", lambda: pid)
    earlier = write_half(tmp_path / "clip.mp4", folder=False)
    os.utime(earlier, (0, 0))  # before this process, which has the pid now, was started
    running = write_half(tmp_path / "clip.mp4", folder=False)
    atomic.remove_stale(tmp_path)
    assert [running] == list(tmp_path.iterdir()) and not zombie.exists()
    process.wait()


@pytest.mark.parametrize("folder", [False, True])
def test_files_of_another_host_stay_for_a_day_whatever_their_pid(tmp_path, monkeypatch, folder):
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
    monkeypatch.setattr(os, "getpid", lambda: 999999999)
    remote = write_half(tmp_path / "clip.mp4", folder=folder)
    monkeypatch.undo()
    atomic.remove_stale(tmp_path)
    assert remote.exists()
    for path in (remote, *remote.rglob("*")):
        os.utime(path, (0, 0))
    atomic.remove_stale(tmp_path)
    assert not remote.exists()


def test_a_file_keeps_its_content_when_writing_fails(tmp_path):
    path = tmp_path / "checkpoint"
    atomic.write_text(path, "old")
    with pytest.raises(OSError), atomic.atomic_write(path, sync=True) as temporary:
        temporary.write_text("ne")
        raise OSError("disk full")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with atomic.atomic_write(path, sync=True) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


def test_a_folder_appears_complete_or_not_at_all_and_the_first_one_is_kept(tmp_path):
    path = tmp_path / "runs" / "a"
    with pytest.raises(OSError), atomic.atomic_folder(path) as temporary:
        (temporary / "file").touch()
        raise OSError("disk full")
    assert list(path.parent.iterdir()) == []
    for text in ("first", "second"):
        with atomic.atomic_folder(path) as temporary:
            (temporary / "file").write_text(text)
    assert (path / "file").read_text() == "first" and list(path.parent.iterdir()) == [path]
    with pytest.raises(OSError), atomic.atomic_folder(path / "file") as temporary:
        pass


@pytest.mark.parametrize("opened", [atomic.atomic_write, atomic.atomic_folder])
def test_a_write_to_an_open_file_that_fails_names_the_target(tmp_path: Path, opened) -> None:
    with pytest.raises(OSError, match="No space left") as raised, opened(tmp_path / "target"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert raised.value.filename == str(tmp_path / "target") and not list(tmp_path.iterdir())
