"""Are the numbers of results/expected still reproduced, and would it show if they were not? Minutes: `tox -e regression`.

A shipped checkpoint is scored again, a cell is trained again, on a micro set rendered for it.
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from harness.analysis.regression import expected
from harness.commands import harness
from tests.breaks import BREAKS
from tests.commands import command

pytestmark = pytest.mark.regression


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data and results that these tests share."""
    return tmp_path_factory.mktemp("regression")


def test_what_is_expected_is_both_kinds_of_number():
    suites = expected.read()
    assert any(suite.retrained for suite in suites) and any(suite.rescored for suite in suites)
    for suite in suites:
        for entry in suite.rescored:
            shipped = suite.checkpoints / entry.job / "weights.safetensors"
            assert shipped.stat().st_size < 300_000, "a checkpoint in git is a small one"


def test_every_expected_number_is_reproduced(workspace):
    done = command(
        "check", "--run", "--junit", str(workspace / "junit.xml"), workspace=workspace, check=None, limit_s=3600
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    (suite,) = ElementTree.parse(workspace / "junit.xml").getroot()
    assert suite.get("failures") == "0" and int(suite.get("tests")) >= 2


@pytest.mark.parametrize("name", BREAKS)
def test_what_is_broken_is_caught_and_what_is_honest_passes(workspace, monkeypatch, name):
    with monkeypatch.context() as broken:
        BREAKS[name](broken)
        told = rescored(workspace, monkeypatch)
    assert told.exit_code == 1, (told.output, told.exception)
    assert ("labels of" if name == "label order" else "the same weights give other counts") in told.output
    if name == "BGR for RGB":
        # The shipped network answers far fewer videos right, not a few otherwise: 109 of 280 with its own order.
        assert right_answers(told) < 109 - 20
    assert rescored(workspace, monkeypatch).exit_code == 0


def right_answers(told: Result) -> int:
    """Of the line 'found    82 / 213 of 280'."""
    (found,) = re.findall(r"found +(\d+) / \d+ of 280", told.output)
    return int(found)


def rescored(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Result:
    monkeypatch.setenv("HARNESS_DATA", str(workspace / "data"))
    monkeypatch.setenv("HARNESS_RESULTS", str(workspace / "results"))
    return CliRunner().invoke(harness, ["check", "--only", "rescored"])
