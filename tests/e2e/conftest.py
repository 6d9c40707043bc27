"""What the end-to-end tests share: one folder of toy data and results, filled by whoever asks first."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from filelock import FileLock

from harness.commands import harness
from tests.commands import FLOW, ROOT, run


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of data and results that the tests of all workers share; the first test fills it."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    where = shared / "house"
    where.mkdir(exist_ok=True)
    return where


@pytest.fixture(scope="session")
def transferred(house: Path) -> dict:
    """Flow I3D, pre-trained on toy-kinetics and fine-tuned on toy-hmdb51."""
    with FileLock(house / "transferred.lock"):
        (cell,) = run("--dataset", "toy-hmdb51", "--protocol", "full-ft", *FLOW, workspace=house, mlflow=True)
    return cell


@pytest.fixture
def asked(house: Path, monkeypatch: pytest.MonkeyPatch):
    """harness WORDS in this process, on the shared toy data and results folder."""
    for name, value in (("DATA", house / "data"), ("RESULTS", house / "results"), ("PLUGINS", ROOT / "tests" / "toys")):
        monkeypatch.setenv(f"HARNESS_{name}", str(value))
    monkeypatch.setenv("HARNESS_THREADS", "1")

    def ask(*words: object, code: int | None = 0) -> Result:
        done = CliRunner().invoke(harness, [str(word) for word in words])
        if code is not None:
            assert done.exit_code == code, (done.output, done.exception)
        return done

    return ask


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest test first: as the last one it would keep one worker while the other is idle."""
    items.sort(key=lambda item: item.path.name != "test_ray.py")
