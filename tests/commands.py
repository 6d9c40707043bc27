"""The command line on toy videos, and its records: shared by the end-to-end tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
QUICK = ["--set", "images.steps=12", "--set", "images.batch=8"]
"""Enough of the picture network to be inflated; what it learns does not matter here."""
SOURCE_STEPS = 50
FLOW = ("--modality", "flow", "--set", f"source.steps={SOURCE_STEPS}", "--set", "full-ft.steps=20")


def command(
    *words: str, workspace: Path, threads: int = 1, check: int | None = 0, limit_s: float = 540
) -> subprocess.CompletedProcess[str]:
    """`python -m harness WORDS` with its folders below `workspace`; killed after `limit_s`."""
    environment = os.environ | {
        "HARNESS_DATA": str(workspace / "data"),
        "HARNESS_RESULTS": str(workspace / "results"),
        "HARNESS_PLUGINS": os.pathsep.join(
            filter(None, [str(ROOT / "tests" / "toys"), os.environ.get("HARNESS_PLUGINS")])
        ),
        "HARNESS_THREADS": str(threads),
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-m", "harness", *words], env=environment, capture_output=True, text=True, timeout=limit_s
    )
    if check is not None:
        assert done.returncode == check, done.stderr[-3000:]
    return done


def run(*words: str, workspace: Path, mlflow: bool = False, **more: int) -> list[dict]:
    """The cells of `harness run WORDS --json`. MLflow takes seconds to load: so that it is off by default."""
    tracking = () if mlflow else ("--no-mlflow",)
    images = () if "scratch" in words else QUICK  # a setting that no job reads is refused
    out = command("run", *images, *words, *tracking, "--json", workspace=workspace, **more).stdout
    (last,) = [event for line in out.splitlines() if (event := json.loads(line))["event"] == "results"]
    return last["cells"]


def record_of(workspace: Path, job_id: str) -> dict:
    return json.loads((workspace / "results" / "runs" / job_id / "record.json").read_text())


def weights_of(workspace: Path, job_id: str) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(workspace / "results" / "runs" / job_id / "weights.safetensors")


def source_of(workspace: Path, job_id: str) -> dict:
    return record_of(workspace, record_of(workspace, job_id)["upstream"]["source"])
