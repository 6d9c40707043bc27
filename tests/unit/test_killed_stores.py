"""No half file outlives the next command, whichever process of a store was killed, and when."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from harness.core import atomic
from tests.commands import ROOT
from tests.slow_store import SlowRecipe, make


def halves(data: Path) -> list[Path]:
    return list(data.rglob("*.half"))


def started(data: Path, *, busy_s: float = 0.0, piece_s: float = 0.02) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.slow_store", str(data), str(busy_s), str(piece_s)]
    return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL)


def until(happened) -> None:
    end = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < end, "a minute has passed"
        time.sleep(0.005)


def workers_of(driver: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The processes of its pool; [] if it has ended."""
    try:
        children = psutil.Process(driver.pid).children()
        return [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    except psutil.NoSuchProcess:
        return []


def test_a_store_that_is_complete_is_swept_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make(tmp_path, SlowRecipe(piece_s=0.0), workers=1)
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: int(ended.stdout))
        atomic.temporary_path(store.folder / "class0" / "v0.slow").write_text("half")
    assert halves(tmp_path)
    make(tmp_path, SlowRecipe(), workers=1)
    assert not halves(tmp_path)


def test_a_killed_worker_costs_a_message_and_leaves_no_half_file(tmp_path: Path) -> None:
    make(tmp_path, SlowRecipe(piece_s=0.0), workers=1)  # renders and indexes the videos
    for file in tmp_path.rglob("*.slow"):
        file.unlink()
    driver = started(tmp_path, piece_s=1.0)
    until(lambda: halves(tmp_path))
    workers_of(driver)[0].kill()
    assert driver.wait(60) == 1
    assert not halves(tmp_path)
    make(tmp_path, SlowRecipe(piece_s=0.0), workers=1)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process notices the end of its parent when it can run")
def test_a_worker_that_is_busy_does_not_outlive_its_driver(tmp_path: Path) -> None:
    """It would write its half file when the next command has swept."""
    driver = started(tmp_path, busy_s=20.0)
    until(lambda: list(tmp_path.rglob("busy")))
    workers = workers_of(driver)
    assert workers
    driver.kill()
    driver.wait()
    _, alive = psutil.wait_procs(workers, 5)
    for process in alive:
        process.kill()
    assert not alive


@pytest.mark.faults
def test_forty_kills_leave_nothing(tmp_path: Path) -> None:
    """Of the driver or of a worker, at moments spread over a run; the next run ends without a half file each time."""
    rng, left, hits = np.random.default_rng(0), [], 0
    make(tmp_path, SlowRecipe(piece_s=0.0), workers=1)
    for kill in range(40):
        for file in tmp_path.rglob("*.slow"):
            file.unlink()
        driver = started(tmp_path)
        until(lambda driver=driver: halves(tmp_path) or driver.poll() is not None)
        time.sleep(rng.uniform(0, 0.6))
        victims = workers_of(driver) if kill % 2 else []
        (victims[0] if victims else driver).kill()
        driver.wait(60)
        hits += bool(halves(tmp_path))
        make(tmp_path, SlowRecipe(piece_s=0.0), workers=1)
        left += halves(tmp_path)
    assert not left and hits > 5
