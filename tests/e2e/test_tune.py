"""`harness tune`: trials on held-out videos, the choice on file, and a run that uses it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.records.record import RunStore
from tests.toyworld import render_source, render_target

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
CELL = ["--dataset", "toy-hmdb51", "--protocol", "full-ft", "--modality", "rgb", "--init", "scratch", "--no-mlflow"]
for stage in ("source", "full-ft"):
    CELL += ["--set", f"{stage}.steps=5", "--set", f"{stage}.batch=4"]


def harness(where: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "HARNESS_DATA": str(where / "data"),
        "HARNESS_RESULTS": str(where / "results"),
        "HARNESS_PLUGINS": str(ROOT / "tests" / "toys"),
        "HARNESS_THREADS": "2",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-m", "harness", *words], env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def test_a_search_its_choice_and_a_run_that_uses_it(tmp_path):
    render_source(tmp_path / "data" / "toy-kinetics")
    render_target(tmp_path / "data" / "toy-hmdb51")
    output = harness(tmp_path, "tune", *CELL, "--trials", "2").stdout
    (path,) = (tmp_path / "results" / "tuned").glob("*.json")
    evidence = json.loads(path.read_text())
    assert len(evidence["trials"]) == 2 and len({trial["train.base_lr"] for trial in evidence["trials"]}) == 2
    best = max(evidence["trials"], key=lambda trial: (trial["top1"], -trial["loss"]))
    assert evidence["choice"]["train.base_lr"] == best["train.base_lr"]
    assert f"{best['train.base_lr']} *" in output

    run_store = RunStore(tmp_path / "results" / "runs")
    for trial in evidence["trials"]:
        record = run_store.read(trial["job"])
        assert record.counts["n"] == trial["n"] > 0
        assert record.spec.schedule.base_lr == trial["base_lr"]
    before = run_store.ids()
    assert "job(s) before them" in harness(tmp_path, "tune", *CELL, "--trials", "2").stdout
    assert run_store.ids() == before, "a second search runs nothing"

    harness(tmp_path, "run", *CELL, "--set", "train.base_lr=tuned")
    (job,) = set(run_store.ids()) - set(before)
    record = run_store.read(job)
    assert record.spec.schedule.base_lr == float(best["train.base_lr"])
    scored = set(record.scores().ids)
    for trial in evidence["trials"]:
        assert not scored & set(run_store.read(trial["job"]).scores().ids), "a trial saw a test video"
