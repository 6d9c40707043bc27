"""The command line on toy videos, from an empty folder to numbers, records, MLflow and a table; all real, all on the CPU.

The toy sets (tests/toys) are two reversal pairs of the micro world through the same renderer, encoder and readers, so
that a broken decoder, flow, trainer, protocol or scorer shows here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.core.cells import Cell
from harness.core.workspace import Workspace
from harness.metrics.scores import softmax
from harness.planning.lookup import lookup_in
from tests.commands import FLOW, QUICK, ROOT, command, record_of, run, source_of, weights_of

# One worker: others would wait for what these start from.
pytestmark = pytest.mark.xdist_group("transferred")


def test_it_learns_the_direction_of_time_from_flow(house, transferred):
    """Two reversal pairs: whoever ignores motion is at 25% or, knowing the pair but not the direction, at 50%."""
    for result, n in ((transferred, 40), (source_of(house, transferred["jobs"][0]), 40)):
        assert result["counts"]["n"] == n
        assert result["metrics"]["top1"]["low"] > 50, result["metrics"]


def test_the_record_tells_everything(house, transferred):
    record = record_of(house, transferred["jobs"][0])
    assert record["spec"]["protocol"]["name"] == "full-ft" and record["spec"]["schedule"]["steps"] == 20
    assert set(record["upstream"]) == {"source", "flow"}
    assert record["environment"]["torch"] and record["fingerprint"] == record["spec"]["dataset"]["fingerprint"]
    assert {"wall_s", "cpu_s", "device_s", "samples_per_s", "wait_share", "peak_memory_bytes"} <= set(record["cost"])
    assert record["cost"]["cpu_s"] > 0 == record["cost"]["device_s"]
    assert record["cost"]["samples_per_s"] > 0 and record["cost"]["peak_memory_bytes"] < 2 * 2**30
    assert record["chosen"]["rule"] == "last step of a fixed schedule"
    assert set(source_of(house, transferred["jobs"][0])["upstream"]) == {"image", "flow"}


def test_mlflow_has_the_same_numbers(house, transferred):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{house / 'results' / 'mlflow.db'}")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    (found,) = client.search_runs(experiments, f"tags.job_hash = '{transferred['jobs'][0]}'")
    assert found.data.metrics["top1"] == pytest.approx(transferred["metrics"]["top1"]["value"])
    assert client.get_metric_history(found.info.run_id, "train/loss")
    parents = {run.data.tags.get("mlflow.parentRunId") for run in client.search_runs(experiments)}
    assert len(parents - {None}) >= 1


def test_the_second_time_nothing_is_done_and_nothing_heavy_is_imported(house, transferred):
    words = ["run", *QUICK, "--dataset", "toy-hmdb51", "--protocol", "full-ft", *FLOW]
    program = (
        "import sys; from harness.commands import main\n"
        f"sys.argv = ['harness'] + {words!r}\n"
        "try: main()\n"
        "finally: print('imported', sorted({'torch', 'mlflow', 'timm', 'ray', 'cv2', 'sklearn'} & set(sys.modules)))"
    )
    environment = os.environ | {
        "HARNESS_DATA": str(house / "data"),
        "HARNESS_RESULTS": str(house / "results"),
        "HARNESS_PLUGINS": str(ROOT / "tests" / "toys"),
    }
    records = [house / "results" / "runs" / job_id / "record.json" for job_id in transferred["jobs"]]
    before = [record.stat().st_mtime_ns for record in records]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert "Nothing to do" in done.stdout, done.stderr
    assert "imported []" in done.stdout
    assert f"{transferred['metrics']['top1']['value']:.1f}" in done.stdout and transferred["jobs"][0] in done.stdout
    # Other tests leave records of their own meanwhile.
    assert before == [record.stat().st_mtime_ns for record in records]


@pytest.mark.slow
def test_shuffled_labels_teach_nothing(house, transferred):
    """What is learned comes from the labels. A network still sorts the videos by what they show, so that whole classes
    come out right or wrong together: what must be at chance is the probability it gives to the true class."""
    (cell,) = run("--dataset", "toy-shuffled", *FLOW[:4], workspace=house)
    honest = source_of(house, transferred["jobs"][0])
    assert cell["metrics"]["top1"]["high"] < honest["metrics"]["top1"]["low"]
    assert true_class_probability(house, honest["job_id"]) > 0.6
    assert abs(true_class_probability(house, cell["jobs"][0]) - 0.25) < 0.1


def true_class_probability(house: Path, job_id: str) -> float:
    scores = np.load(house / "results" / "runs" / job_id / "scores.npz")
    return float(softmax(scores["logits"])[np.arange(len(scores["labels"])), scores["labels"]].mean())


@pytest.mark.slow
def test_without_a_temporal_axis_the_direction_of_time_is_lost(house):
    """The same network, data and steps; the one that sees a single frame can tell the pair, never the direction."""
    words = ("--dataset", "toy-kinetics", "--modality", "rgb", "--init", "scratch", "--set", "source.steps=70")
    (moving,) = run(*words, "--baseline", "c3d", workspace=house)
    (still,) = run(*words, "--baseline", "stand-still", workspace=house)
    assert moving["metrics"]["top1"]["low"] > 50, moving["metrics"]
    assert still["metrics"]["top1"]["low"] <= 50 < moving["metrics"]["top1"]["low"], still["metrics"]
    assert still["metrics"]["top1"]["high"] < moving["metrics"]["top1"]["value"]


def test_fixed_moves_the_head_and_nothing_else(house, transferred):
    (cell,) = run(
        "--dataset", "toy-hmdb51", "--protocol", "fixed", "--set", "fixed.steps=150", *FLOW[:4], workspace=house
    )  # fmt: skip
    record = record_of(house, cell["jobs"][0])
    features = record_of(house, record["upstream"]["features"])
    assert features["upstream"]["source"] == record_of(house, transferred["jobs"][0])["upstream"]["source"]
    assert set(weights_of(house, cell["jobs"][0])) == {"head.fc.weight", "head.fc.bias"}
    assert cell["metrics"]["top1"]["low"] > 25, cell["metrics"]


def test_full_ft_without_steps_changes_nothing_but_the_head(house, transferred):
    (cell,) = run(
        "--dataset", "toy-hmdb51", "--protocol", "full-ft", *FLOW[:4], "--set", "full-ft.steps=0", workspace=house
    )  # fmt: skip
    source = weights_of(house, record_of(house, cell["jobs"][0])["upstream"]["source"])
    after = weights_of(house, cell["jobs"][0])
    moved = [name for name in after if not torch.equal(after[name], source[name])]
    assert moved and all(name.startswith("head.") for name in moved)
    trained = weights_of(house, transferred["jobs"][0])
    assert not torch.equal(trained["trunk.conv1a.conv.weight"], source["trunk.conv1a.conv.weight"]) or any(
        not torch.equal(trained[name], source[name]) for name in source if not name.startswith("head.")
    )


def test_both_streams_side_by_side_are_fused_from_their_logits(house, transferred):
    """Jobs in two processes at once give what one process gives, and rgb+flow is arithmetic on two records."""
    few = ("--set", "source.steps=3", "--set", "full-ft.steps=3", "--set", "source.batch=4", "--set", "full-ft.batch=4")
    (cell,) = run("--dataset", "toy-hmdb51", "--protocol", "full-ft", *few, workspace=house, threads=2)
    assert len(cell["jobs"]) == 2
    scores = [np.load(house / "results" / "runs" / job / "scores.npz") for job in cell["jobs"]]
    assert list(scores[0]["ids"]) == list(scores[1]["ids"])
    summed = scores[0]["logits"] + scores[1]["logits"]
    right = (summed.argmax(1) == scores[0]["labels"]).mean()
    assert cell["metrics"]["top1"]["value"] == pytest.approx(100 * right)


def test_a_table_stands_beside_the_papers_numbers(house, transferred):
    out = command("table", "4", "--scale", "micro", workspace=house).stdout
    assert "Two-Stream I3D" in out and "97.7" in out and "not comparable" in out


def test_a_results_folder_shows_its_numbers_without_the_data(house, transferred, tmp_path, monkeypatch):
    """A copied results folder: the data set is missing, or is a copy without an index."""
    monkeypatch.setenv("HARNESS_PLUGINS", str(ROOT / "tests" / "toys"))
    monkeypatch.setenv("HARNESS_THREADS", "1")
    said = transferred["cell"]
    cell = Cell(**{**said, "overrides": tuple(map(tuple, said["overrides"]))})
    there = lookup_in(Workspace(house / "data", house / "results"))(cell)
    elsewhere = lookup_in(Workspace(tmp_path / "none", house / "results"))(cell)
    assert there is not None and elsewhere is not None and there.job_ids == elsewhere.job_ids
    assert lookup_in(Workspace(tmp_path / "none", tmp_path / "results"))(cell) is None


@pytest.mark.slow
def test_scores_do_not_depend_on_who_runs_the_job(house, transferred, tmp_path):
    """The same job in another folder, in another process pool, has the same id and the same logits bit for bit."""
    few = ("--modality", "rgb", "--init", "scratch", "--set", "source.steps=3", "--set", "source.batch=4")
    (one,) = run("--dataset", "toy-kinetics", *few, workspace=house)
    for name in ("data",):
        (tmp_path / name).symlink_to(house / name)
    (two,) = run("--dataset", "toy-kinetics", *few, workspace=tmp_path, threads=2)
    assert one["jobs"] == two["jobs"]
    logits = [np.load(w / "results" / "runs" / one["jobs"][0] / "scores.npz")["logits"] for w in (house, tmp_path)]
    np.testing.assert_array_equal(*logits)
