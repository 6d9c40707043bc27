"""The page of --profile: every stage has its time, the parts of a step add up, and nothing stays behind."""

from __future__ import annotations

import gzip
import json
import time

import pytest
import torch
from torch import nn

from harness.core.contract import Schedule
from harness.jobs import profiler
from harness.jobs.profiler import START, Stage, StageProfiler
from harness.training.config import Step, TrainingConfig
from harness.training.evaluation import clip_loss, video_logits
from harness.training.trainer import train

STEPS = 5


class Slow(nn.Module):
    """Takes `seconds` forward and twice that backward."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        time.sleep(self.seconds)
        x = self.fc(x)
        if x.requires_grad:
            x.register_hook(lambda _: time.sleep(2 * self.seconds))
        return x


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential()
        self.trunk.add_module("quick", Slow(0.002))
        self.trunk.add_module("slow", Slow(0.010))
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.trunk(x)).unsqueeze(1)


def steps(first):
    for _ in range(first, STEPS):
        time.sleep(0.02)
        yield Step(torch.randn(2, 4), torch.zeros(2, dtype=torch.int64), ("a", "b"))


@pytest.fixture(scope="module")
def profiled(tmp_path_factory):
    """A training of five steps, whose batches come late, then a scoring."""
    folder = tmp_path_factory.mktemp("profiles")
    network = Network()
    config = TrainingConfig(
        schedule=Schedule(steps=STEPS, batch=2, base_lr=0.01, policy="constant"),
        device="cpu",
        precision="float32",
        job_id="job",
        checkpoints=folder,
        loss=clip_loss("reduced", "mean"),
    )
    with StageProfiler(folder, "job", "cpu") as profile:
        train(network, steps, config, callback=profile)
        # More batches than are recorded: each is started before the one before it is counted.
        profile.stage("score", 14, "videos")
        views = [(torch.randn(1, 4), [name]) for name in "abcdefghijklmn"]
        video_logits(network, views, reduce="mean", device="cpu", precision="float32", callback=profile)
    return profile


def test_every_stage_and_every_part_of_a_step_has_its_time(profiled):
    start, training, scoring = profiled.stages
    assert (start.name, training.name, scoring.name) == (START, "train", "score")
    assert training.steps == STEPS - profiler.SKIPPED and training.wall_s > STEPS * 0.05
    parts = training.tables["parts"]
    assert parts["wait for clips"] >= 0.02 and parts["forward"] >= 0.012 and parts["backward"] >= 0.024
    assert parts["optimizer"] > 0 and sum(parts.values()) >= 0.056
    assert 0.012 <= scoring.tables["parts"]["forward"]


def test_modules_and_operators_have_theirs(profiled):
    modules, operators = (profiled.stages[1].tables[name] for name in ("modules", "operators"))
    assert modules["trunk"] >= modules["trunk.slow"] >= 0.01 > modules["trunk.quick"] / 2 >= 0.001
    assert "trunk.slow.fc" not in modules, "too deep"
    assert operators["aten::addmm"] > 0 and not any(name.startswith("harness") for name in operators)


def test_a_trace_per_stage_is_next_to_the_page(profiled):
    path = profiled.write_page("I3D <rgb>")
    names = {file.name for file in path.parent.iterdir()}
    assert names == {"job.html", "job.train.json.gz", "job.score.json.gz"}
    events = json.loads(gzip.decompress((path.parent / "job.train.json.gz").read_bytes()))["traceEvents"]
    assert {"harness.backward", "module.trunk.slow"} <= {event.get("name") for event in events}
    text = path.read_text()
    assert all(
        words in text for words in ("I3D &lt;rgb&gt;", "Suggestions", "trunk.slow", "wait for clips", "aten::addmm")
    )
    assert text.index("trunk.slow") < text.index("trunk.quick"), "the longest first"


def test_nothing_stays_behind_when_the_job_fails(tmp_path):
    profile = StageProfiler(tmp_path, "job", "cpu")
    with pytest.raises(ZeroDivisionError), profile:
        profile.stage("train", 1, "steps")
        raise ZeroDivisionError
    assert profile.recorder is None and not list(tmp_path.iterdir())
    Network()(torch.randn(1, 4))
    assert not profile.names, "no module is watched any more"


@pytest.mark.parametrize(
    ("parts", "score_s", "words"),
    [
        ({"wait for clips": 5, "forward": 5}, 0, "--workers"),
        ({"convert clips": 1, "forward": 3}, 0, "--workers"),
        ({"optimizer": 2, "forward": 5}, 0, "larger batch"),
        ({"forward": 1}, 9, "test clips"),
        ({"forward": 3, "backward": 6, "other": 1}, 0, "faster device"),
        ({"forward": 1, "other": 9}, 0, "No part stands out"),
    ],
)
def test_the_largest_share_is_answered_first(parts, score_s, words):
    stages = [
        Stage(START, wall_s=1),
        Stage("train", wall_s=10, tables={"parts": parts}),
        Stage("score", wall_s=score_s),
    ]
    assert words in profiler.advice(stages)[0]
