"""Shell completion by click: scripts for three shells, verbs, flags and the names of plug-ins."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from harness.commands import PROGRAMS, harness
from harness.core import registry

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("name", ["harness", "quovadis"])
def test_the_script_of_each_shell_is_printed(shell: str, name: str) -> None:
    variable = f"_{name.upper()}_COMPLETE"
    call = f"import sys; sys.argv[0] = '/usr/bin/{name}'; from harness.commands import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", call],
        env=os.environ | {variable: f"{shell}_source"},
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert f"_{name}_completion" in done.stdout and f"{variable}={shell}_complete" in done.stdout


def test_both_names_are_installed() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == dict.fromkeys(PROGRAMS, "harness.commands:main")


def completed(*words: str) -> list[str]:
    *before, last = words
    items = ShellComplete(harness, {}, "harness", "_HARNESS_COMPLETE").get_completions(list(before), last)
    return [item.value for item in items]


def test_verbs_flags_and_names_are_completed() -> None:
    assert completed("re") == ["report"] and completed("data", "pre") == ["prepare"]
    assert completed("run", "--lim") == ["--limit"]
    assert completed("run", "--dataset", "micro-h") == ["micro-hmdb51"]
    assert completed("run", "--baseline", "i3d,two") == ["i3d,two-stream"]
    assert completed("plan", "--scale", "") == list(registry.names("scale"))
    assert completed("ls", "jobs", "--protocol", "full") == ["full-ft"]
    assert completed("ls", "flow") == ["flow-methods"]


def test_names_of_plug_ins_are_completed() -> None:
    toys = str(ROOT / "tests" / "toys")
    assert completed("run", "--plugins", toys, "--dataset", "toy-h") == ["toy-hmdb51"]
    registry.use_plugins(None)
