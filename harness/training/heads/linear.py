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
    from harness.training.trainer import train

    head.train()
    return train(
        head, task.steps(task.videos), task.in_steps(), callback=task.callback, held_out_loss=task.held_out_loss
    )


HEAD = Head(name="linear", title="softmax layer", fit=fit, in_steps=True)
