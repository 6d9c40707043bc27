"""The page of --profile: every second has one place, modules are told apart, and nothing stays behind."""

from __future__ import annotations

import time

import pytest
import torch
from torch import nn

from harness.core.callbacks import Callback
from harness.core.contract import Schedule
from harness.data import loader
from harness.jobs import profiler
from harness.jobs.profiler import BACKWARD, COPY, FORWARD, OPTIMISER, REST, SCORING, WAIT
from harness.training.config import Step, TrainingConfig
from harness.training.evaluation import clip_loss, video_logits
from harness.training.trainer import train


class Slow(nn.Module):
    """Takes `seconds` forward and twice that backward."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds
        self.scale = nn.Parameter(torch.ones(()))
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        time.sleep(self.seconds)
        x = x * self.scale
        if x.requires_grad:
            x.register_hook(lambda _: time.sleep(2 * self.seconds))
        return self.fc(x)


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
    for _ in range(first, 5):
        time.sleep(0.02)
        yield Step(torch.randn(2, 4), torch.zeros(2, dtype=torch.int64), ("a", "b"))


@pytest.fixture
def timed(tmp_path, monkeypatch):
    """A training of five steps, whose batches come late, then a scoring."""
    monkeypatch.setattr(loader, "train_batches", steps)
    network = Network()
    schedule = Schedule(steps=5, batch=2, base_lr=0.01, policy="constant")
    config = TrainingConfig(
        schedule=schedule,
        device="cpu",
        precision="float32",
        job_id="job",
        checkpoints=tmp_path,
        loss=clip_loss("reduced", "mean"),
    )
    began = time.perf_counter()
    with profiler.profiled("cpu") as found:
        train(network, loader.train_batches, config, callback=Callback())
        views = [(torch.randn(1, 4), ["a"])]
        video_logits(network, views, reduce="mean", device="cpu", precision="float32", callback=Callback())
    return found, time.perf_counter() - began


def test_every_second_has_one_place(timed):
    found, wall_s = timed
    seconds = found.callback.seconds
    assert sum(seconds.values()) == pytest.approx(wall_s, rel=0.05)
    assert seconds[WAIT] >= 5 * 0.02 and seconds[FORWARD] >= 5 * 0.012 and seconds[BACKWARD] >= 5 * 0.024
    assert 0.012 <= seconds[SCORING] < seconds[FORWARD]
    assert seconds[OPTIMISER] > 0 and seconds[REST] > 0
    assert not found.callback.open and not found.begun


def test_modules_are_told_apart_forward_and_backward(timed):
    found, _ = timed
    # Sleeping may take longer than asked, so that nothing is said of how long at most.
    assert found.forward["trunk.slow"] >= 0.05 and found.forward["trunk.slow"] > found.forward["trunk.quick"] >= 0.01
    assert found.backward["trunk.slow"] >= 0.1 and found.backward["trunk.slow"] > found.backward["trunk.quick"]
    assert "trunk.slow.fc" not in found.forward, "too deep"


def test_nothing_stays_behind(timed):
    assert torch.Tensor.backward.__module__ == "torch._tensor"
    assert loader.train_batches is steps and loader.to_network.__module__ == "harness.data.batch"
    before = dict(timed[0].callback.seconds)
    network = Network()
    network(torch.randn(1, 4)).sum().backward()
    torch.optim.SGD(network.parameters(), lr=0.1).step()
    assert timed[0].callback.seconds == before


def test_hooks_go_when_the_job_fails():
    with pytest.raises(ZeroDivisionError), profiler.profiled("cpu"):
        raise ZeroDivisionError
    assert torch.Tensor.backward.__module__ == "torch._tensor"


@pytest.mark.parametrize(
    "seconds,words",
    [
        ({WAIT: 5, FORWARD: 5}, "--workers 5"),
        ({COPY: 1, FORWARD: 2, REST: 1}, "--workers"),
        ({OPTIMISER: 2, FORWARD: 5}, "larger batch"),
        ({SCORING: 4, FORWARD: 5}, "eval_every"),
        ({FORWARD: 3, BACKWARD: 6, REST: 1}, "python -m benchmarks"),
        ({REST: 9, FORWARD: 1}, "spread the start"),
    ],
)
def test_the_largest_share_is_answered_first(seconds, words):
    assert words in profiler.advice(seconds, threads=0, workers=3)[0]


def test_the_page_says_all_of_it(timed):
    text = profiler.page("I3D <rgb>", timed[0], threads=0, workers=0)
    for words in ("I3D &lt;rgb&gt;", "trunk.slow", "head", "What would help", WAIT.split(":")[0]):
        assert words in text
    assert text.index("trunk.slow") < text.index("trunk.quick"), "the longest first"
