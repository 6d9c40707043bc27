"""What all tests share. Nothing of the user's surroundings reaches a test, and nothing a test writes outlives it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.core import registry

# Before anything imports torch: threads are counted then, and a test that runs beside another must not take its core.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "HARNESS_THREADS"):
    os.environ[_name] = "1"
os.environ["HARNESS_DEVICE"] = "cpu"
os.environ.pop("COLUMNS", None)  # tables fit the terminal, whose width must not matter here
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# A tracking server, data folder, results folder or plug-in of the person who runs the tests must not reach them.
for _name in (
    "MLFLOW_TRACKING_URI",
    "HARNESS_DATA",
    "HARNESS_RESULTS",
    "HARNESS_PLUGINS",
    "HARNESS_OUT",
    "HARNESS_DECODER",
):
    os.environ.pop(_name, None)

TEST_DATA_ENV = "HARNESS_TEST_DATA"


def pytest_addoption(parser: pytest.Parser) -> None:
    about = "folder of plug-in files that the contract suite runs on as well"
    parser.addoption("--plugins", dest="harness_plugins", metavar="DIR", help=about)


def pytest_configure(config: pytest.Config) -> None:
    # Before collection: the contract suite is parametrised by what is found.
    if folder := config.getoption("harness_plugins"):
        os.environ["HARNESS_PLUGINS"] = str(Path(folder).resolve())


@pytest.fixture(autouse=True)
def plugin_folders_of_the_environment() -> Iterator[None]:
    """A command that a test runs in this process may read plug-in folders; the next test starts without them."""
    yield
    registry.use_plugins(None)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder of real clips, official split lists and checkpoint indexes; tests that need it are skipped without it."""
    folder = os.environ.get(TEST_DATA_ENV)
    if not folder:
        pytest.skip(f"needs real clips and official lists; point {TEST_DATA_ENV} at the folder that holds them")
    if not Path(folder).is_dir():
        raise pytest.UsageError(f"{TEST_DATA_ENV}={folder} is not a folder")
    return Path(folder)


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that the harness uses as its data folder during the test."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("HARNESS_DATA", str(folder))
    return folder


@pytest.fixture
def results_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that the harness uses as its results folder during the test."""
    folder = tmp_path / "results"
    folder.mkdir()
    monkeypatch.setenv("HARNESS_RESULTS", str(folder))
    return folder


@pytest.fixture(scope="module")
def one_thread():
    """OpenCV with one thread, as `flow.pairwise` has it."""
    cv2 = pytest.importorskip("cv2")
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(before)
