"""The tracker against a real MLflow database and against servers that fail: nothing is lost, and each failure is reported once."""

from __future__ import annotations

import dataclasses
import functools
import http.server
import json
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.core.callbacks import Callback
from harness.core.cells import Job
from harness.core.errors import HarnessError
from harness.core.job_specs import DataSpec
from harness.metrics.fusion import late_fusion
from harness.metrics.scores import CellResult, Scores, counts, topk_correct
from harness.metrics.summary import summary
from harness.records.record import Record, RunStore, write_record, write_scores
from harness.records.tracking import Tracker, open_tracker, pull, push
from harness.records.tracking.content import allowed, flatten, reportable
from tests.specs import CELL, train_spec

ROOT = Path(__file__).resolve().parents[2]


class Counting(Callback):
    def __init__(self) -> None:
        self.told: list[Any] = []

    def stage(self, name: str, total: int, unit: str) -> None:
        self.told.append((name, total))

    def advance(self, count: int = 1, note: str = "") -> None:
        self.told.append(count)


CLASSES = ("opening (a box)", "person's wave", "sit")


def job_of(seed: int) -> Job:
    spec = train_spec("micro", dataset=DataSpec("micro-hmdb51", 1, "f1"), seed=seed)
    cell = dataclasses.replace(CELL, dataset="micro-hmdb51", scale="micro", seed=seed)
    return Job(spec, f"i3d · rgb · micro-hmdb51 · seed {seed}", cell=cell)


def finished(seed: int, runs: Path, *, finished_at: str = "") -> Record:
    """A record on disk, as a job leaves it."""
    rng = np.random.default_rng(seed)
    labels = np.arange(30, dtype=np.int64) % 3
    logits = rng.normal(size=(30, 3)).astype(np.float32)
    logits[np.arange(30), labels] += 1.5
    scores = Scores(tuple(f"v{k}" for k in range(30)), logits, labels, tuple(f"g{k // 5}" for k in range(30)))
    job = job_of(seed)
    record = Record(
        job_id=job.id,
        spec=job.spec,
        title=job.title,
        upstream={},
        cell=job.cell,
        environment={"python": "3"},
        fingerprint="f1",
        metrics=summary(scores),
        counts=counts(scores),
        cost={"wall_s": 2.5},
        curves=tuple({"step": step, "name": "train/loss", "value": 3.0 / step} for step in (1, 2, 3)),
        classes=CLASSES,
        finished_at=finished_at,
    )
    return write_record(runs, record, fill=lambda folder: write_scores(folder / "scores.npz", scores))


def result_of(records: list[Record]) -> CellResult:
    scores = [record.scores() for record in records]
    return CellResult(functools.reduce(late_fusion, scores), tuple(r.job_id for r in records), tuple(records))


def client_of(tracker: Tracker) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=tracker.server.uri)


def runs_in(tracker: Tracker, query: str = "") -> list[Any]:
    client = client_of(tracker)
    experiment = client.get_experiment_by_name("quovadis-harness")
    return list(client.search_runs([experiment.experiment_id], filter_string=query))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tracker, list[Record], str]:
    """Two jobs and a cell mirrored as they ran: (results folder, tracker, records, what was said)."""
    results = tmp_path_factory.mktemp("results")
    said: list[str] = []
    records = [finished(seed, results / "runs") for seed in (0, 1)]
    with open_tracker(None, results, "i3d on micro-hmdb51", warn=said.append) as tracker:
        for seed, record in enumerate(records):
            tracker.job_started(job_of(seed))
            tracker.curve(record.job_id, [(1, "train/loss", 3.0), (2, "train/loss", 1.5)])
            tracker.job_finished(record)
        tracker.cell_finished(records[0].cell, result_of(records[:1]))
        tracker.cell_finished(dataclasses.replace(records[0].cell, modality="rgb+flow"), result_of(records))
    return results, tracker, records, "".join(said)


def test_a_job_is_a_run_below_the_selections(filled: Any) -> None:
    _, tracker, records, said = filled
    assert said == "" and tracker.unsent == []
    (parent,) = runs_in(tracker, "tags.kind = 'selection'")
    assert (parent.info.run_name, parent.info.status) == ("i3d on micro-hmdb51", "FINISHED")
    jobs = runs_in(tracker, "tags.kind = 'train'")
    assert {run.data.tags["job_hash"] for run in jobs} == {record.job_id for record in records}
    assert {run.data.tags["mlflow.parentRunId"] for run in jobs} == {parent.info.run_id}
    assert {(run.info.status, run.data.tags["reportable"]) for run in jobs} == {("FINISHED", "true")}


def test_a_fused_number_is_a_run_with_axes_parameters_and_data_and_a_job_is_one_run(filled: Any) -> None:
    _, tracker, records, _ = filled
    (cell,) = runs_in(tracker, "tags.kind = 'cell'")
    fused = summary(result_of(records).scores)
    assert cell.data.metrics["top1"] == fused["top1"]["value"] and cell.data.metrics["n"] == 30
    tags = cell.data.tags
    assert (tags["modality"], tags["baseline"], tags["dataset"], tags["scale"]) == (
        "rgb+flow",
        "i3d",
        "micro-hmdb51",
        "micro",
    )
    assert tags["jobs"].split() == [record.job_id for record in records] and tags["reportable"] == "true"
    assert cell.data.params["schedule.steps"] == "10" and "seed" not in cell.data.params, "the seeds differ"
    assert [data.dataset.name for data in cell.inputs.dataset_inputs] == ["micro-hmdb51"]
    names = [run.info.run_name for run in runs_in(tracker)]
    assert len(names) == len(set(names)) == 4


def test_mlflow_shows_the_records_numbers(filled: Any) -> None:
    _, tracker, records, _ = filled
    (run,) = runs_in(tracker, f"tags.job_hash = '{records[1].job_id}'")
    shown = run.data.metrics
    for name in ("top1", "top5", "mean_class"):
        number = records[1].metrics[name]
        assert (shown[name], shown[f"{name}.low"], shown[f"{name}.high"]) == (
            number["value"],
            number["low"],
            number["high"],
        )
    assert (shown["n"], shown["correct"]) == (records[1].counts["n"], records[1].counts["correct"])
    right, labels = topk_correct(records[1].scores()), records[1].scores().labels
    assert shown["class/opening _a box_"] == pytest.approx(100 * right[labels == 0].mean())
    assert shown["class/person_s wave"] == pytest.approx(100 * right[labels == 1].mean())
    assert run.data.params["schedule.steps"] == "10" and run.data.params["dataset.name"] == "micro-hmdb51"
    assert {"system/cpu_utilization_percentage", "cost/wall_s"} <= set(shown)
    (data,) = run.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("micro-hmdb51", "f1")


def test_streamed_points_are_not_logged_again_at_the_end(filled: Any) -> None:
    _, tracker, records, _ = filled
    (run,) = runs_in(tracker, f"tags.job_hash = '{records[0].job_id}'")
    history = client_of(tracker).get_metric_history(run.info.run_id, "train/loss")
    assert [(point.step, point.value) for point in history] == [(1, 3.0), (2, 1.5), (3, 1.0)]


def test_artifacts_lie_in_the_results_folder(filled: Any) -> None:
    results, tracker, records, _ = filled
    (run,) = runs_in(tracker, f"tags.job_hash = '{records[0].job_id}'")
    assert run.info.artifact_uri.startswith((results / "mlartifacts").as_uri())
    (folder,) = (results / "mlartifacts").glob(f"{run.info.run_id}/artifacts")
    assert {path.name for path in folder.iterdir()} == {
        "record.json",
        "scores.npz",
        "confusion.html",
        "confusion.json",
    }
    told = json.loads((folder / "confusion.json").read_text())
    assert told["classes"] == list(CLASSES)
    assert sum(told["true_by_predicted"][k][k] for k in range(3)) == records[0].counts["correct"]
    assert "<td style=" in (folder / "confusion.html").read_text()


def test_pushing_sends_what_is_missing_and_nothing_twice(filled: Any) -> None:
    results, tracker, records, _ = filled
    again = push(RunStore(results / "runs"), open_tracker(None, results, "pushed"))
    assert again.copied == () and set(again.present) == {record.job_id for record in records}
    third = finished(2, results / "runs")
    half = open_tracker(None, results, "killed half-way")
    half.job_started(job_of(2))
    assert push(RunStore(results / "runs"), open_tracker(None, results, "pushed")).copied == (third.job_id,)
    (run,) = runs_in(tracker, f"tags.job_hash = '{third.job_id}'")
    assert run.data.metrics["top1"] == third.metrics["top1"]["value"]
    assert run.data.metrics["train/loss"] == 1.0
    again = push(RunStore(results / "runs"), open_tracker(None, results, "pushed"))
    assert again.copied == () and third.job_id in again.present


def test_pulling_rebuilds_the_results_folder(filled: Any, tmp_path: Path) -> None:
    results, _, records, _ = filled
    tracker = open_tracker(None, results, "pulled")
    callback = Counting()
    pulled = pull(tmp_path / "runs", tracker, callback=callback)
    assert callback.told == [("copy", len(pulled.copied)), *[1] * len(pulled.copied)]
    run_store = RunStore(tmp_path / "runs")
    assert set(pulled.copied) == set(run_store.ids()) >= {record.job_id for record in records}
    for record in records:
        mine = run_store.read(record.job_id)
        assert mine.metrics == record.metrics and mine.spec == record.spec and mine.curves == record.curves
        assert np.array_equal(mine.scores().logits, record.scores().logits)
        with pytest.raises(HarnessError, match=r"has no weights\.safetensors"):
            mine.path("weights.safetensors")
    assert pull(tmp_path / "runs", tracker).copied == ()
    assert not [path for path in (tmp_path / "runs").iterdir() if path.name.startswith(".")]


def test_a_job_that_fails_leaves_a_failed_run(filled: Any) -> None:
    results, tracker, _, _ = filled

    def context() -> None:
        with open_tracker(None, results, "broken") as broken:
            broken.job_started(job_of(9))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        context()
    (run,) = runs_in(tracker, f"tags.job_hash = '{job_of(9).id}'")
    assert (run.info.status, run.data.tags["complete"]) == ("FAILED", "false")


def test_a_command_that_is_terminated_leaves_no_run_running(filled: Any, tmp_path: Path) -> None:
    _, tracker, _, _ = filled
    code = f"""
import sys, time
import click
from harness import commands
from harness.records.tracking import open_tracker
from pathlib import Path
from tests.unit.test_tracking import job_of

@click.command()
def run():
    with open_tracker({tracker.server.uri!r}, Path({str(tmp_path)!r}), "terminated") as tracker:
        tracker.job_started(job_of(20))
        print("ready", flush=True)
        for _ in range(1200):
            time.sleep(0.05)  # a signal that arrives just before a sleep does not shorten it

commands.harness = run
sys.argv = ["harness"]
commands.main()
"""
    started = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    with started as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        process.terminate()
        _, message = process.communicate(timeout=60)
    assert process.returncode == 143 and "run the same command again" in message
    (parent,) = runs_in(tracker, "attributes.run_name = 'terminated'")
    (run,) = runs_in(tracker, f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    assert (parent.info.status, run.info.status, run.data.tags["complete"]) == ("KILLED", "KILLED", "false")


# ---------------------------------------------------------------------------------------------- servers that fail


class _Broken(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(500)
        self.end_headers()
        self.wfile.write(b"out of order")

    do_POST = do_GET

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture(params=["answers 500", "hangs", "is not there"])
def bad_uri(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A tracking server that fails in one of three ways."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    if request.param == "answers 500":
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Broken)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        server.server_close()
        return
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if request.param == "hangs":
            listener.listen(10)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_failing_server_is_named_once_and_costs_no_job(bad_uri: str, tmp_path: Path) -> None:
    said: list[str] = []
    began = time.monotonic()
    with open_tracker(bad_uri, tmp_path, "i3d", warn=said.append) as tracker:
        for seed in (0, 1):
            record = finished(seed, tmp_path / "runs")
            tracker.job_started(job_of(seed))
            tracker.curve(record.job_id, [(1, "train/loss", 3.0)])
            tracker.job_finished(record)
        tracker.cell_finished(CELL, result_of([record, record]))
    assert time.monotonic() - began < 60
    assert len(said) == 1 and bad_uri in said[0] and "harness mlflow push" in said[0]
    assert set(tracker.unsent) == set(RunStore(tmp_path / "runs").ids())
    with pytest.raises(HarnessError, match="failed after 0 records"):
        push(RunStore(tmp_path / "runs"), open_tracker(bad_uri, tmp_path, "pushed"))
    with pytest.raises(HarnessError, match="failed after 0 records"):
        pull(tmp_path / "other", open_tracker(bad_uri, tmp_path, "pulled"))


def test_a_server_that_goes_away_in_the_middle_is_caught_up_by_a_push(filled: Any, tmp_path: Path) -> None:
    results, _, _, _ = filled
    said: list[str] = []
    record = finished(5, tmp_path / "runs")
    tracker = open_tracker(f"sqlite:///{results / 'mlflow.db'}", tmp_path, "cut", warn=said.append)
    with tracker:
        tracker.job_started(job_of(5))
        tracker.server._client = client_of(open_tracker("http://127.0.0.1:9", tmp_path, ""))
        tracker.job_finished(record)
    assert tracker.unsent == [record.job_id] and len(said) == 1
    caught_up = open_tracker(f"sqlite:///{results / 'mlflow.db'}", tmp_path, "pushed")
    assert push(RunStore(tmp_path / "runs"), caught_up).copied == (record.job_id,)
    (run,) = runs_in(caught_up, f"tags.job_hash = '{record.job_id}'")
    assert run.data.tags["complete"] == "true"


# ---------------------------------------------------------------------------------------------- what costs nothing


def test_nothing_to_log_imports_no_mlflow_and_makes_no_file(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from types import SimpleNamespace
from harness.records.tracking import open_tracker
with open_tracker(None, Path({str(tmp_path)!r}), "nothing") as tracker:
    tracker.cell_finished(None, SimpleNamespace(records=(1, 2)))
print(tracker.how_to_open)
print([m for m in ("mlflow", "matplotlib", "psutil") if m in sys.modules])
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == [f"mlflow ui --backend-store-uri sqlite:///{tmp_path}/mlflow.db", "[]"]
    assert list(tmp_path.iterdir()) == []


def test_the_command_that_opens_the_runs_can_be_pasted(tmp_path: Path) -> None:
    command = open_tracker(None, tmp_path / "my runs", "x").how_to_open
    assert shlex.split(command)[-1] == f"sqlite:///{tmp_path}/my runs/mlflow.db"


def test_switched_off_it_does_nothing(tmp_path: Path) -> None:
    with open_tracker(None, tmp_path, "off", enabled=False) as tracker:
        tracker.job_started(job_of(0))
        tracker.job_finished(finished(0, tmp_path / "runs"))
    assert tracker.unsent == []
    assert not (tmp_path / "mlflow.db").exists()


def test_the_tracking_server_of_the_environment_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example:5000")
    tracker = open_tracker(None, tmp_path, "team")
    assert (tracker.server.uri, tracker.server.artifacts) == ("http://mlflow.example:5000", None)
    assert open_tracker("sqlite:///x.db", tmp_path, "mine").server.uri == "sqlite:///x.db"


def test_specs_are_flattened_within_mlflows_limits() -> None:
    flat = flatten({"a": {"b": {"c": 1.5}}, "ids": ["x" * 90] * 20, "na(me)": "plain", "none": None})
    assert flat["a.b.c"] == "1.5" and flat["na_me_"] == "plain" and flat["none"] == "null"
    assert len(flat["ids"]) == 500 and flat["ids"].endswith("...")
    assert allowed("massaging person's head") == "massaging person_s head"


def test_a_number_on_fewer_videos_is_not_reportable(tmp_path: Path) -> None:
    record = finished(0, tmp_path)
    assert reportable(record.counts, limit=0) == "true"
    assert reportable(record.counts, limit=8) == "false"
    assert reportable(record.counts | {"missing": 3}, limit=0) == "false"
