"""What continuous integration runs: the script of `.ci/` lists skipped tests, and the workflow tries each Python."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = """
SKIPPED [19] tests/contract/test_decoders.py:90: the decoder 'x' is not installed: pip install x
SKIPPED [2] tests/contract/test_decoders.py:115: the decoder 'x' is not installed: pip install x
SKIPPED [1] tests/unit/test_a.py: needs a GPU
SKIPPED [3] tests/e2e/test_page.py:65: needs a Chromium
=== 100 passed ===
"""
NEEDED = ("bash", "dirname", "mktemp", "tee", "rm", "awk", "sort")
"""Programs of the system that the script may use here. In particular not the one that installs packages."""


def ci_run(folder: Path, **scripts: str) -> subprocess.CompletedProcess[str]:
    """`.ci/run` with these shell scripts instead of the system's programs."""
    for name, script in scripts.items():
        path = folder / name.replace("_", "-")
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    for name in NEEDED:
        (folder / name).symlink_to(shutil.which(name) or pytest.fail(f"this system has no program '{name}'"))
    environment = {"PATH": str(folder), "HOME": str(folder)}
    return subprocess.run(
        [folder / "bash", ROOT / ".ci" / "run"], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("status", [0, 2])
def test_skipped_tests_are_listed_at_the_end_and_the_status_is_that_of_make(tmp_path, status):
    done = ci_run(tmp_path, make=f'echo "{OUTPUT}"; exit {status}', chromium="")
    assert done.returncode == status, done.stderr
    assert done.stdout.partition("Skipped tests by reason:\n")[2].splitlines() == [
        "    21  the decoder 'x' is not installed: pip install x",
        "     3  needs a Chromium",
        "     1  needs a GPU",
    ]


def test_that_no_test_was_skipped_is_printed(tmp_path):
    done = ci_run(tmp_path, make="echo 3 passed", google_chrome="")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("Skipped tests by reason:\n  none\n")


@pytest.mark.parametrize(
    ("user", "installs", "message"), [(0, "", ""), (0, "exit 100", "No browser could be installed"), (1000, "", "")]
)
def test_a_browser_is_installed_by_root_where_there_is_none(tmp_path, user, installs, message):
    install = f'echo "$@" >> {tmp_path}/installed; {installs}'
    done = ci_run(tmp_path, make="", id=f"echo {user}", apt_get=install)
    assert done.returncode == 0 and message in done.stderr, done.stderr
    installed = (tmp_path / "installed").read_text() if (tmp_path / "installed").exists() else ""
    assert ("update" in installed) == (user == 0)
    assert ("chromium" in installed) == (user == 0 and not installs)


def test_the_workflow_tries_every_python_of_the_classifiers():
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
    tried = re.findall(r'"(3\.\d+)"', workflow)
    declared = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    assert declared and set(declared) <= set(tried)
