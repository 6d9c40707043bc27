"""V-JEPA 2's attentive probe on cached features, the best of a grid of learning rates and weight decays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.core.parameters import BELOW_ONE, NOT_NEGATIVE, ONE_OR_MORE, Parameter
from harness.core.plugins import Head

if TYPE_CHECKING:
    from torch import nn

    from harness.training.config import TrainingResult
    from harness.training.features import HeadTask


def build(network: Any, num_classes: int, params: Mapping[str, float | int | str]) -> nn.Module:
    """`blocks` of self-attention, then one query that attends to all positions of a clip."""
    from harness.training.attentive import AttentiveHead
    from harness.training.pooled import feature_size

    return AttentiveHead(
        feature_size(network), num_classes, blocks=int(params["blocks"]), heads=int(params["attention_heads"])
    )


def fit(head: Any, task: HeadTask) -> TrainingResult:
    """Train the grid; `head` becomes the one that is best on held-out groups of the training videos."""
    from harness.training.attentive import fit_grid

    return fit_grid(head, task, held_out=float(task.params["held_out"]))


HEAD = Head(
    name="attentive",
    title="attentive probe",
    fit=fit,
    build=build,
    params={
        "blocks": Parameter(3, NOT_NEGATIVE),
        "attention_heads": Parameter(16, ONE_OR_MORE),
        "held_out": Parameter(0.2, BELOW_ONE),
    },
    in_steps=True,
)
