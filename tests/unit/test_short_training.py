"""Networks after a few steps with the paper's batch-norm decay: eval mode gives logits of the size of training mode."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch

from harness.core import registry
from harness.core.contract import CHANNELS, BuildSpec, Scale, Schedule
from harness.jobs.execute import reestimation_steps
from harness.models.build import build
from harness.training.evaluation import clip_loss
from harness.training.optim import make_optimizer
from harness.training.trainer import reestimate_batch_norm

PAPER: Scale = registry.load("scale", "paper")
SMALL = replace(PAPER, name="micro", width=1 / 16)
"""The paper's statistics and dropout, on the clips of scale=micro."""
SCHEDULE = Schedule(steps=20, batch=4, base_lr=0.1)
BASELINES = {
    "convnet-lstm": ("rgb",),
    "c3d": ("rgb",),
    "two-stream": ("flow",),
    "fused-3d": ("rgb", "flow"),
    "i3d": ("rgb",),
    "i3d-r50": ("rgb",),
    "tsn": ("rgb",),
    "per-frame": ("rgb",),
    "torchvision:r3d_18": ("rgb",),
}
SAME = {"i3d-r50-nl": "i3d-r50"}
"""Baseline -> one above that has the same batch norm."""


def clips(baseline, streams, number: int) -> dict[str, torch.Tensor]:
    clip = baseline.train_clip["micro"]
    sizes = {s: (number, CHANNELS[s], clip.frames(s), clip.side_px, clip.side_px) for s in streams}
    return {s: torch.rand(size) * 2 - 1 for s, size in sizes.items()}


def logits_after(name: str, checked=(1, 2, 5, 20), base_lr=0.1) -> dict[int, tuple[float, float]]:
    """Steps -> largest logit in eval mode with (re-estimated, moving) statistics."""
    torch.manual_seed(0)
    baseline, streams = registry.load("baseline", name), BASELINES[name]
    network = build(baseline, BuildSpec(streams, 4, SMALL)).train()
    optimizer = make_optimizer(network, replace(SCHEDULE, base_lr=base_lr))
    loss = clip_loss(baseline.loss, baseline.reduce)
    largest = {}
    for step in range(1, max(checked) + 1):
        optimizer.zero_grad()
        loss(network(clips(baseline, streams, 4)), torch.arange(4)).backward()
        optimizer.step()
        if step in checked:
            scored = copy.deepcopy(network)
            moving = _largest(scored, baseline, streams)
            batches = reestimation_steps(SMALL, SCHEDULE, step)
            inputs = (clips(baseline, streams, SCHEDULE.batch) for _ in range(batches))
            reestimate_batch_norm(scored, inputs, device="cpu", precision="float32")
            largest[step] = _largest(scored, baseline, streams), moving
    return largest


def _largest(network, baseline, streams) -> float:
    with torch.no_grad():
        return float(network.eval()(clips(baseline, streams, 2)).abs().max())


def test_every_baseline_is_here():
    alone = {name for name, card in registry.all("baseline").items() if not card.at}
    assert alone == {name for name in BASELINES if ":" not in name} | set(SAME)


@pytest.mark.parametrize("name", BASELINES)
def test_after_a_few_steps_logits_are_finite_and_of_a_sane_size(name):
    largest = logits_after(name)
    assert all(estimated < 1000 for estimated, _ in largest.values()), largest  # also false for NaN


def test_the_moving_statistics_would_not_do():
    """The failure that this prevents: without normalisation, layers multiply what steps of 0.1 made of the weights."""
    assert logits_after("c3d", checked=(5,))[5][1] > 1e5


def test_with_the_moving_statistics_convnet_lstm_gives_nan():
    """The LSTM limits its states, so logits stay small until the convolutions overflow: they are NaN at once."""
    estimated, moving = logits_after("convnet-lstm", checked=(5,), base_lr=100.0)[5]
    assert math.isnan(moving) and math.isfinite(estimated)


@pytest.mark.parametrize(
    ("scale", "clips_set", "steps", "batches"),
    [
        ("paper", 0, 1, 1),
        ("paper", 0, 20, 16),
        ("paper", 0, 2999, 16),
        ("paper", 0, 3000, 0),
        ("paper", 9, 5000, 3),
        ("micro", 0, 1, 0),
        ("micro", 0, 220, 0),
        ("micro", 8, 1, 2),
    ],
)
def test_statistics_are_estimated_again_after_a_training_too_short_for_the_averages(scale, clips_set, steps, batches):
    card = replace(registry.load("scale", scale), precise_bn_clips=clips_set)
    assert reestimation_steps(card, SCHEDULE, steps) == batches
