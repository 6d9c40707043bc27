"""Linear: the network's own head (a softmax layer) trained in steps on cached features, as under the paper's Fixed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.plugins import Head

if TYPE_CHECKING:
    from torch import nn

    from harness.training.config import TrainingResult
    from harness.training.features import HeadTask


def fit(head: nn.Module, task: HeadTask) -> TrainingResult:
    """Train `head` in place; each epoch visits every training video once, through one of its cached views."""
    from harness.training.features import feature_steps
    from harness.training.trainer import train

    config = task.in_steps()
    head.train()
    steps = feature_steps(task.features, task.videos, config.schedule, seed=config.seed, device=config.device)
    return train(head, steps, config, callback=task.callback, held_out_loss=task.held_out_loss)


HEAD = Head(name="linear", title="softmax layer", fit=fit, in_steps=True)
