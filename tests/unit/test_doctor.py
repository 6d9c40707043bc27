"""The doctor sees what is broken, says what to do, and leaves nothing behind."""

from __future__ import annotations

import http.server
import importlib.metadata
import shutil
import threading
from types import SimpleNamespace

import pytest

from harness.commands import doctor
from harness.commands.doctor import software, storage
from harness.core import environment, registry
from harness.core.workspace import Workspace


@pytest.fixture
def workspace(tmp_path):
    return Workspace(data=tmp_path / "data", results=tmp_path / "results")


def states(results):
    return {result.name: result.state for result in results}


def test_a_sound_machine_has_nothing_that_fails(workspace, tmp_path):
    results = list(doctor.checks(workspace, import_torch=False))
    assert {"python", "decoder", "flow tvl1", "flow dis", "mlflow", "data", "results"} <= set(states(results))
    assert [result for result in results if result.state == "fail"] == []
    assert list(tmp_path.iterdir()) == [], "looking made a file"


def test_every_data_set_is_named_and_absent_ones_come_with_a_remedy(workspace):
    results = {result.name: result for result in doctor.checks(workspace, import_torch=False)}
    # `folder` is a family: it has no place of its own.
    assert set(registry.names("dataset")) - {"folder"} <= set(results)
    assert results["micro-hmdb51"].state == "ok"
    assert results["hmdb51"].state == "warn"
    assert str(workspace.data / "hmdb51") in results["hmdb51"].detail
    assert results["hmdb51"].remedy


def test_torch_and_torchvision_of_two_indexes_are_told_without_dying(monkeypatch):
    broken = "raise RuntimeError('operator torchvision::nms does not exist')"
    monkeypatch.setattr(software, "IMPORT_TORCH", broken)
    (result,) = software.torch_pair()
    assert result.state == "fail"
    assert "torchvision::nms" in result.detail
    assert "one index" in result.remedy


def test_a_pair_that_goes_together_names_its_devices(monkeypatch):
    answer = """print('{"torch": "2.15.0", "torchvision": "0.29.2", "gpus": ["H200"]}')"""
    monkeypatch.setattr(software, "IMPORT_TORCH", answer)
    pair, devices = software.torch_pair()
    assert (pair.state, devices.state) == ("ok", "ok")
    assert "H200" in devices.detail


def test_a_gpu_that_runs_would_not_use_is_a_warning(monkeypatch):
    monkeypatch.delenv("HARNESS_DEVICE")
    monkeypatch.setattr(environment, "DRIVER_FILES", ())
    result = software._devices(["H200"])
    assert (result.state, result.remedy) == ("warn", "set HARNESS_DEVICE=cuda")
    monkeypatch.setenv("HARNESS_DEVICE", "cpu")
    assert software._devices(["H200"]).state == "ok", "as the user wants it"


def test_a_library_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(
        importlib.metadata, "requires", lambda _: ["numpy>=2", "leftpad[x]>=1", 'nvidia-ml-py; extra == "gpu"']
    )
    missing = [result for result in software.libraries() if result.state == "fail"]
    assert [result.detail for result in missing] == ["not installed: leftpad"]
    assert missing[0].remedy == "pip install leftpad"


def test_a_distribution_with_a_package_of_the_same_name_is_named(monkeypatch):
    owners = {"baselines": ["quovadis-harness", "other-baselines"], "reports": ["quovadis-harness"], "numpy": ["numpy"]}
    monkeypatch.setattr(importlib.metadata, "packages_distributions", lambda: owners)
    (result,) = software.shared_packages()
    assert (result.name, result.state) == ("baselines", "warn")
    assert result.detail.startswith("other-baselines installs") and "uninstall -y other-baselines;" in result.remedy


def test_a_tracking_server_is_asked(monkeypatch):
    class Healthy(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *args):
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Healthy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    uri = f"http://127.0.0.1:{server.server_port}"
    assert storage.server(uri).state == "ok"
    server.shutdown()
    server.server_close()
    gone = storage.server(uri)
    assert gone.state == "warn"
    assert "mlflow push" in gone.remedy


def test_a_torn_mlflow_database_is_told(workspace, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert storage.mlflow(workspace.results).state == "ok"
    workspace.results.mkdir()
    (workspace.results / "mlflow.db").write_bytes(b"not a database, by any stretch of the imagination" * 40)
    assert storage.mlflow(workspace.results).state == "warn"


@pytest.mark.parametrize(("free_gb", "state"), [(100, "ok"), (3, "warn"), (0.1, "fail")])
def test_a_disk_that_fills_up_is_told(workspace, monkeypatch, free_gb, state):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free_gb * 1e9))
    assert states(storage.disk(workspace)) == {"data": state, "results": state}


def test_a_checkout_that_is_not_installed_still_names_its_libraries(monkeypatch, tmp_path):
    def absent(_):
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(importlib.metadata, "requires", absent)
    monkeypatch.setattr(software, "PROJECT", tmp_path / "pyproject.toml")
    (alone,) = [result for result in software.libraries() if result.name == "libraries"]
    assert (alone.state, "not known" in alone.detail) == ("warn", True)
    software.PROJECT.write_text('[project]\ndependencies = ["numpy>=2", "leftpad>=1"]\n')
    results = [result for result in software.libraries() if result.name == "libraries"]
    assert [result.state for result in results] == ["warn", "ok", "fail"]
    assert "numpy" in results[1].detail and results[2].detail == "not installed: leftpad"


def test_an_indexed_data_set_is_held_against_its_card(tmp_path, monkeypatch):
    from harness.core.contract import Dataset, Listing, Video
    from harness.data import prepare

    listing = Listing(("a", "b"), {"train": (Video("x", "x", 0),), "test": (Video("y", "y", 1),)})
    rows = {"x": None, "y": None}
    monkeypatch.setattr(prepare, "expected_fingerprint", lambda *_: "f")
    monkeypatch.setattr(
        prepare, "open_prepared", lambda *_, **__: SimpleNamespace(listing=lambda split: listing, rows=rows)
    )

    def card(tested):
        facts = {"num_classes": 2, "splits": (1,), "subsets": ("test",), "layout": "", "download": "", "licence": ""}
        counts = {(1, "train"): 1, (1, "test"): tested}
        return Dataset(name="own", title="own", kind="video", counts=counts, read=lambda *_: listing, **facts)

    whole, short = (storage.dataset_check("own", card(tested), tmp_path) for tested in (1, 3))
    assert whole.state == "ok" and "2 files" in whole.detail
    assert short.state == "warn" and "split 1 test: 1 of 3 videos" in short.detail
    assert short.remedy == "'harness data verify own' lists the files"
