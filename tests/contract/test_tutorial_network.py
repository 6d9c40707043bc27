"""The network of docs/tutorials/your-network.md, word for word: it is planned, built, trained and scored."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from harness.core import registry
from harness.core.cells import Selection
from harness.core.contract import BuildSpec
from harness.core.workspace import Workspace
from harness.models import build
from harness.planning.plan import make_plan
from harness.planning.selection import cells

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def plugins(tmp_path, monkeypatch) -> Path:
    """The folder with the tutorial's file in it, under the name its first line gives."""
    (block,) = re.findall(
        r"```python\n(# plugins/.*?)```",
        (ROOT / "docs" / "tutorials" / "your-network.md").read_text("utf-8"),
        re.DOTALL,
    )
    path = tmp_path / block.split()[1]
    path.parent.mkdir()
    path.write_text(block)
    monkeypatch.setenv(registry.PLUGINS_ENV, str(path.parent))
    return path.parent


def test_it_plans_builds_and_answers(plugins, tmp_path):
    asked = Selection(baselines=("my-network",), datasets=("micro-hmdb51",), protocols=("full-ft",))
    plan = make_plan(cells(asked), Workspace(tmp_path / "data", tmp_path / "results"))
    assert [job.kind for job in plan.jobs] == ["train", "train"]
    card, micro = registry.load("baseline", "my-network"), registry.load("scale", "micro")
    network = build.build(card, BuildSpec(("rgb",), 5, micro)).eval()
    for clip in (card.train_clip["micro"], card.test_clip["micro"]):
        logits = network({"rgb": torch.rand(2, 3, clip.window, clip.side_px, clip.side_px)})
        assert logits.shape[::2] == (2, 5) and logits.isfinite().all()


def test_it_is_trained_and_scored(plugins, tmp_path):
    words = ["--baseline", "my-network", "--protocol", "original", "--dataset", "toy-hmdb51"]
    words += ["--set", "train.steps=2", "--set", "train.batch=4", "--no-mlflow", "--json"]
    environment = os.environ | {
        "HARNESS_DATA": str(tmp_path / "data"),
        "HARNESS_RESULTS": str(tmp_path / "results"),
        registry.PLUGINS_ENV: os.pathsep.join([str(plugins), str(ROOT / "tests" / "toys")]),
        "PYTHONPATH": str(ROOT),
    }
    run = [sys.executable, "-m", "harness", "run", *words]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["cells"][0]["counts"]["n"] == 40
