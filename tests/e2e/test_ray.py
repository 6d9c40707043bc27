"""`--launcher ray` with Ray started on this machine; a cluster that loses workers and nodes is in tests/faults."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.core.callbacks import Callback
from harness.core.workspace import Workspace
from harness.jobs.options import JobOptions
from harness.launch.ray import driver
from harness.launch.ray.cluster import cluster, prepare_environment
from tests import fakejobs, gpus
from tests.toyworld import render_source

ROOT = Path(__file__).resolve().parents[2]
WORDS = [
    "run",
    "--dataset",
    "toy-kinetics",
    "--modality",
    "rgb",
    "--init",
    "scratch",
    "--baseline",
    "i3d,c3d",
    "--json",
]
WORDS += ["--set", "source.steps=2", "--set", "source.batch=4", "--no-mlflow"]


def run(where: Path, *more: str) -> list[dict]:
    environment = os.environ | {
        "HARNESS_DATA": str(where.parent / "data"),
        "HARNESS_RESULTS": str(where),
        "HARNESS_PLUGINS": str(ROOT / "tests" / "toys"),
        "PYTHONPATH": str(ROOT),
    }
    words = [sys.executable, "-m", "harness", *WORDS, *more]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_same_numbers_as_without_ray_and_every_job_is_reported_once(tmp_path):
    render_source(tmp_path / "data" / "toy-kinetics")
    alone, on_ray = run(tmp_path / "alone"), run(tmp_path / "ray", "--launcher", "ray")
    (first,), (second,) = ([e["cells"] for e in events if e["event"] == "results"] for events in (alone, on_ray))
    assert len(first) == 2
    for local, remote in zip(first, second, strict=True):
        assert (local["jobs"], local["metrics"]) == (remote["jobs"], remote["metrics"])
        scores = [np.load(tmp_path / name / "runs" / local["jobs"][0] / "scores.npz") for name in ("alone", "ray")]
        for part in scores[0].files:
            np.testing.assert_array_equal(scores[0][part], scores[1][part])
    jobs = sorted(cell["jobs"][0] for cell in first)
    for name in ("job_started", "job_finished"):
        assert sorted(event["job"] for event in on_ray if event["event"] == name) == jobs
    assert list((tmp_path / "ray" / "jobs").iterdir()) == []


@pytest.mark.faults
def test_order_lost_workers_and_errors(tmp_path, monkeypatch):
    """One start of Ray for three short checks: order, a worker killed in the middle, a job that fails."""
    import pytest

    from harness.core.errors import HarnessError

    monkeypatch.setenv("HARNESS_THREADS", "2")
    workspace = Workspace(tmp_path / "data", tmp_path / "results")
    workspace.results.mkdir()
    top = fakejobs.fake_job(0, steps=4, dies_at=2)
    sides = [fakejobs.fake_job(number, after=[top]) for number in (1, 2)]
    jobs = [top, *sides, fakejobs.fake_job(3, after=sides)]
    bad = fakejobs.fake_job(4, fails=True)
    callback = fakejobs.Recorder()
    with cluster(None, 2):
        assert (
            driver.launch(fakejobs.plan_of(jobs, workspace), JobOptions(workspace), callback, run=fakejobs.run_fake)
            == 4
        )
        with pytest.raises(HarnessError, match="^fake 4 cannot be done; choose another number$"):
            driver.launch(fakejobs.plan_of([bad], workspace), JobOptions(workspace), callback, run=fakejobs.run_fake)
    done = fakejobs.steps_done(workspace.results)
    assert [step for job_id, step in done if job_id == top.id] == [0, 1, 2, 3], "no step lost, none done twice"
    assert len(done) == 7 and done[0][0] == top.id and done[-1][0] == jobs[3].id
    names = [name for name, title in callback.calls if title != "fake 4"]
    assert sorted(names) == sorted(["started", "finished"] * 4 + ["note"])
    assert any("fake 0: its worker was lost" in text for name, text in callback.calls if name == "note")


@pytest.mark.faults
@pytest.mark.parametrize("storage", [False, True], ids=["one folder", "storage"])
def test_a_training_spread_over_two_processes_is_that_of_one(tmp_path, monkeypatch, storage):
    """Ray Train starts two processes (gloo on a CPU); batch norm stays within a replica, so the numbers are those of one."""
    render_source(tmp_path / "data" / "toy-kinetics")
    monkeypatch.setenv("HARNESS_THREADS", "2")
    monkeypatch.setenv("HARNESS_NODE_FOLDER", str(tmp_path / "nodes"))
    replicas = ("--set", "source.bn_batch=2")
    alone = run(tmp_path / "alone", *replicas)
    more = ("--storage", (tmp_path / "store").as_uri()) if storage else ()
    spread = run(tmp_path / "ray", *replicas, "--launcher", "ray", "--gpus-per-job", "2", *more)
    (first,), (second,) = ([e["cells"] for e in events if e["event"] == "results"] for events in (alone, spread))
    assert [cell["jobs"] for cell in first] == [cell["jobs"] for cell in second]
    for cell in first:
        (job,) = cell["jobs"]
        logits = [np.load(tmp_path / name / "runs" / job / "scores.npz")["logits"] for name in ("alone", "ray")]
        np.testing.assert_allclose(logits[0], logits[1], rtol=1e-4, atol=1e-5)
    started = [event["job"] for event in spread if event["event"] == "job_started"]
    assert sorted(started) == sorted(cell["jobs"][0] for cell in first)
    assert list((tmp_path / "ray" / "jobs").glob("*")) == []


@pytest.mark.slow
def test_every_job_computes_on_the_gpu_that_is_assigned_to_it(tmp_path):
    """200 jobs on four pretended GPUs, with 100 jobs on the CPU between them; a quick version is in tests/unit/test_gpus.py."""
    workspace = Workspace(tmp_path / "data", tmp_path / "results")
    prepare_environment(None)
    import ray

    ray.init("local", num_cpus=4, num_gpus=4, include_dashboard=False, log_to_driver=False, logging_level="error")
    try:
        plan = fakejobs.plan_of(gpus.mixed_jobs(100, workspace), workspace)
        driver.launch(plan, JobOptions(workspace), Callback(), run=gpus.run_on_gpu)
    finally:
        ray.shutdown()
    used = gpus.used_gpus(workspace.results)
    assert len(used) == 200 and {assigned for assigned, _ in used} == set("0123")
    assert [pair for pair in used if pair[0] != pair[1]] == []
