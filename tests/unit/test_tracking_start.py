"""The first seconds of a tracker: importing mlflow and making its database, and a command that is stopped meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.records.tracking import open_tracker
from tests.unit.test_tracking import ROOT, finished

# Not print, which may hold the lock of stdout in its thread when the interpreter ends and flushes stdout.
SLOW_MLFLOW = "import os, time\n\nos.write(1, b'importing\\n')\ntime.sleep(120)\n"
COMMAND = """
import sys, time
from pathlib import Path
import click
from harness import commands
from harness.records.tracking import open_tracker
from tests.unit.test_tracking import job_of

results = Path(sys.argv.pop())

@click.command()
def run():
    with open_tracker(None, results, "terminated") as tracker, tracker.in_background() as background:
        background.job_started(job_of(20))
        for _ in range(2400):
            time.sleep(0.05)  # a signal that arrives just before a sleep does not shorten it

commands.harness = run
commands.main()
"""


def test_a_command_that_is_terminated_does_not_wait_for_mlflow_to_be_imported(tmp_path: Path) -> None:
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "__init__.py").write_text(SLOW_MLFLOW)
    results = tmp_path / "results"
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(results)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "importing\n"
        process.terminate()
        _, message = process.communicate(timeout=60)  # a wait for the import would take 120 s
    assert process.returncode == 143 and "run the same command again" in message and "Traceback" not in message
    assert not results.exists()


def test_records_that_a_stopped_command_could_not_send_are_counted(tmp_path: Path) -> None:
    messages: list[str] = []
    tracker = open_tracker(None, tmp_path, "stopped", warn=messages.append)
    with pytest.raises(KeyboardInterrupt), tracker:
        with pytest.raises(KeyboardInterrupt), tracker.in_background():
            raise KeyboardInterrupt
        tracker.job_finished(finished(0, tmp_path / "runs"))
        raise KeyboardInterrupt
    assert messages == ["1 finished job(s) are not in MLflow; `harness mlflow push` sends them."]
    assert not (tmp_path / "mlflow.db").exists()


def test_the_database_appears_with_all_its_tables_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """mlflow cannot continue with a database that has some of its tables: every later command would fail."""
    from mlflow.store.db import utils

    def killed(_: object) -> None:
        assert list(tmp_path.rglob("mlflow.db")), "the tables are made under another name"
        raise SystemExit

    server = open_tracker(None, tmp_path, "").server
    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(utils, "_upgrade_db", killed)
        server.open()
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.lock"]
