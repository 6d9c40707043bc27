"""A file or package of the user that is called `baselines` or `reports` is never imported instead of ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "raise SystemExit('the wrong module was imported')\n"


def python(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Python started in `cwd`, where it looks for modules first."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", ["reports.py", "baselines/__init__.py"])
@pytest.mark.parametrize(
    "words",
    [
        ("-m", "harness", "ls", "baselines"),
        ("-c", "import harness; harness.plan()"),
        ("-c", "from harness.launch.entry import run_job; run_job(None, None, None)"),
    ],
    ids=["command", "function", "job"],
)
def test_another_module_of_that_name_stops_the_start_and_both_are_named(words, name, tmp_path):
    theirs = tmp_path / name
    theirs.parent.mkdir(exist_ok=True)
    theirs.write_text(HOSTILE)
    done = python(*words, cwd=tmp_path)
    assert done.returncode == (2 if "harness" in words else 1)
    message = done.stderr.splitlines()[-1]
    assert str(theirs) in message and str(ROOT / name.partition("/")[0].removesuffix(".py")) in message


def test_a_folder_that_is_no_package_does_not_disturb(tmp_path):
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "thesis.py").write_text(HOSTILE)
    done = python("-m", "harness", "ls", "baselines", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
