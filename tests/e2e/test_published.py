"""Published weights scored unchanged on a data set that has some of their classes, through the command line."""

from __future__ import annotations

import os

import numpy as np
import torch
from safetensors.torch import save_file

from harness.core import registry
from harness.core.contract import BuildSpec
from harness.records.stored import read_scores
from tests.commands import ROOT, command, record_of, run, weights_of

PLUGIN = """
from dataclasses import replace

from baselines import c3d
from harness import Clip, Frames, Weights

SMALL = Clip(window=16, side_px=112)


def build(spec):
    return c3d.BASELINE.build(replace(spec, scale=replace(spec.scale, width=0.03)))


BASELINE = replace(
    c3d.BASELINE,
    name="theirs-3d",
    train_clip={"paper": SMALL},
    test_clip={"paper": replace(SMALL, count=2)},
    build=build,
    frames={"paper": Frames(fps=12.5, short_side_px=112)},
    weights=(
        Weights("theirs", "rgb", "their videos", 6, "own", "https://example.org/w.pth", "MIT", "as ours",
                accuracy={"toy-hmdb51": 12.5}, labels=("x", "Approach", "y", "closing", "Opening", "recede")),
    ),
)
"""


def test_published_weights_are_scored_without_training(tmp_path, monkeypatch):
    (tmp_path / "plugins").mkdir()
    classes = registry_classes(tmp_path)
    labels = ["x", *reversed([name.upper() for name in classes]), "y"]
    text = PLUGIN.replace('("x", "Approach", "y", "closing", "Opening", "recede")', repr(tuple(labels)))
    (tmp_path / "plugins" / "theirs_3d.py").write_text(text)
    folders = os.pathsep.join([str(tmp_path / "plugins"), str(ROOT / "tests" / "toys")])
    monkeypatch.setenv("HARNESS_PLUGINS", str(tmp_path / "plugins"))
    registry.use_plugins(folders)
    try:
        torch.manual_seed(0)
        network = registry.load("baseline", "theirs-3d").build(BuildSpec(("rgb",), 6, registry.load("scale", "paper")))
    finally:
        registry.use_plugins(None)
    # Away from where it started: zeros are refused in trained weights.
    state = {
        name: (tensor + 0.1 * torch.rand_like(tensor) if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in network.state_dict().items()
    }
    save_file(state, tmp_path / "w.safetensors")
    command("weights", "import", "theirs", str(tmp_path / "w.safetensors"), workspace=tmp_path)
    asked = (
        "--baseline",
        "theirs-3d",
        "--protocol",
        "as-published",
        "--source",
        "published:theirs",
        "--scale",
        "paper",
    )
    (cell,) = run(*asked, "--dataset", "toy-hmdb51", "--init", "scratch", workspace=tmp_path)
    (job,) = cell["jobs"]
    record, kept = record_of(tmp_path, job), weights_of(tmp_path, job)
    rows = [labels.index(name.upper()) for name in classes]
    assert torch.equal(kept["head.fc.weight"], state["head.fc.weight"][rows])
    assert all(torch.equal(kept[name], tensor) for name, tensor in state.items() if not name.startswith("head."))
    assert record["chosen"]["rule"] == "as published, without training"
    assert record["spec"]["pretrained"]["accuracy"] == {"toy-hmdb51": 12.5} and record["spec"]["scale"]["fps"] == 12.5
    scores = read_scores(tmp_path / "results" / "runs" / job / "scores.npz")
    assert scores.logits.shape[1] == len(classes) and np.isfinite(scores.logits).all()
    out = command(
        "run", *asked, "--dataset", "toy-hmdb51", "--init", "scratch", "--no-mlflow", workspace=tmp_path
    ).stdout
    assert "published" in out and "12.5%" in out


def registry_classes(folder) -> list[str]:
    """Classes of the toy data set, in the order of its labels."""
    from tests.toyworld import ACTIONS, WORLDS

    return sorted(WORLDS["film"].classes[action] for action in ACTIONS)
