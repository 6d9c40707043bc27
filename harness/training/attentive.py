"""V-JEPA 2's attentive probe: a small transformer with one query over a clip's positions, and a grid of them trained in one pass."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from harness.core.contract import Schedule
from harness.training.config import TrainingResult
from harness.training.features import HeadTask
from harness.training.optim import OPTIMIZERS, parameter_groups
from harness.training.trainer import train

RATES = (5.0, 3.0, 1.0, 0.3, 0.1)
"""Factors on the schedule's learning rate: with 1e-3, the published grid."""
DECAYS = (0.1, 1.0, 4.0, 8.0)
"""Factors on the schedule's weight decay: with 0.1, the published grid."""
USUAL = (1.0, 1.0)
"""(factor on the rate, factor on the decay) where no video can be held out to choose one."""
MLP_RATIO = 4


class AttentiveHead(nn.Module):
    """(N, P, F) -> (N, P, classes): self-attention over the positions, then one query that attends to all of them.

    The logits are those of the clip, the same at every position. No position is encoded: the features carry what the
    network knows of time.
    """

    def __init__(self, features: int, classes: int, *, blocks: int, heads: int) -> None:
        super().__init__()
        # As many heads as divide the features evenly.
        heads = math.gcd(heads, features)
        self.blocks = nn.ModuleList(_block(features, heads) for _ in range(blocks))
        self.query = nn.Parameter(torch.zeros(1, 1, features))
        self.cross = CrossAttention(features, heads)
        self.norm = nn.LayerNorm(features)
        self.mlp = nn.Sequential(
            nn.Linear(features, MLP_RATIO * features), nn.GELU(), nn.Linear(MLP_RATIO * features, features)
        )
        self.fc = nn.Linear(features, classes)
        self.reset()

    def reset(self) -> None:
        """New initial weights: truncated normal with a deviation of 0.02, biases 0."""
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                nn.init.trunc_normal_(parameter, std=0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, features: Tensor) -> Tensor:
        """features (N, P, F) float -> logits (N, P, classes) float."""
        x = features
        for block in self.blocks:
            x = block(x)
        pooled = self.query + self.cross(self.query.expand(len(x), -1, -1), x)
        pooled = pooled + self.mlp(self.norm(pooled))
        return self.fc(pooled).expand(-1, features.shape[1], -1)  # type: ignore[no-any-return]


class CrossAttention(nn.Module):
    """Attention of queries to the norm of some positions, without an output projection."""

    def __init__(self, features: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(features)
        self.q, self.kv = nn.Linear(features, features), nn.Linear(features, 2 * features)

    def forward(self, queries: Tensor, x: Tensor) -> Tensor:
        """queries (N, Q, F) float, x (N, P, F) float -> (N, Q, F) float."""
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.q(queries), *self.kv(self.norm(x)).chunk(2, dim=-1))
        )
        return nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def _block(features: int, heads: int) -> nn.Module:
    return nn.TransformerEncoderLayer(
        features, heads, MLP_RATIO * features, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )


class Grid(nn.Module):
    """Copies of a head that differ in learning rate and weight decay, trained on the same batches."""

    def __init__(self, head: AttentiveHead, copies: Sequence[AttentiveHead]) -> None:
        super().__init__()
        self.heads = nn.ModuleList([head, *copies])

    def forward(self, features: Tensor) -> Tensor:
        """(N, P, F) float -> (N, 1, classes) float, N times the number of heads: the clip's logits, by clip, then by head."""
        return torch.stack([head(features)[:, :1] for head in self.heads], dim=1).flatten(0, 1)


def fit_grid(head: AttentiveHead, task: HeadTask, *, held_out: float) -> TrainingResult:
    """Train a copy of `head` for each pair of RATES and DECAYS; `head` becomes the best of them on held-out groups.

    The best has the highest accuracy on their training views, and of equals the lowest cross-entropy. Raises HarnessError
    as `train` does.
    """
    from harness.data.splits import hold_out

    config = task.in_steps()
    points = list(itertools.product(RATES, DECAYS))
    grid = Grid(head, [_renewed(head) for _ in points[1:]]).train()
    kept, held = hold_out(task.videos, held_out)
    count, one_loss = len(points), config.loss

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        # Their gradients do not mix, so the sum trains each as if it were alone. One that diverges cannot be the best, and
        # does not stop the others.
        losses = torch.stack([one_loss(of_head, labels) for of_head in logits.unflatten(0, (-1, count)).unbind(1)])
        finite = losses.isfinite()
        return torch.where(finite, losses, 0.0).sum() if finite.any() else losses.sum()

    optimizer = OPTIMIZERS[config.schedule.optimizer](list(_groups(grid, points, config.schedule)), config.schedule)
    result = train(
        grid,
        task.steps(kept),
        dataclasses.replace(config, loss=loss),
        callback=task.callback,
        optimizer=optimizer,
    )
    best = _best(grid, task, held) if held else points.index(USUAL)
    head.load_state_dict(grid.heads[best].state_dict())
    rate, decay = (
        factor * base
        for factor, base in zip(points[best], (config.schedule.base_lr, config.schedule.weight_decay), strict=True)
    )
    why = f"the best of {count} on held-out videos" if held else "since no class has a group to hold out"
    rule = f"last step of a fixed schedule; learning rate {rate:g}, weight decay {decay:g}, {why}"
    result.chosen = {"rule": rule, "held_out": [video.id for video in held]}
    return result


def _renewed(head: AttentiveHead) -> AttentiveHead:
    import copy

    other = copy.deepcopy(head)
    other.reset()
    return other


def _groups(grid: Grid, points: Sequence[tuple[float, float]], schedule: Schedule) -> Iterator[dict[str, Any]]:
    """Parameter groups of every head, with its factor on the learning rate and its weight decay."""
    for head, (rate, decay) in zip(grid.heads, points, strict=True):
        for group in parameter_groups(head, weight_decay=decay * schedule.weight_decay):
            yield group | {"lr_factor": rate}


def _best(grid: Grid, task: HeadTask, held: Sequence[Any]) -> int:
    """Number of the head with the highest accuracy on the videos `held`, and of equals the lowest cross-entropy."""
    device, count = task.in_steps().device, len(grid.heads)
    labels = {video.id: video.label for video in held}
    sums: dict[str, Tensor] = {}
    grid.eval()
    with torch.inference_mode():
        for features, ids in task.views(held):
            logits = grid(features.to(device)).float().unflatten(0, (len(ids), count))[:, :, 0].cpu()
            for video_id, row in zip(ids, logits, strict=True):
                sums[video_id] = sums.get(video_id, 0) + row.log_softmax(dim=1)
    # By head, video and class.
    values = torch.stack([*sums.values()], dim=1)
    wanted = torch.tensor([labels[video_id] for video_id in sums])
    right = (values.argmax(dim=2) == wanted).sum(dim=1)
    losses = torch.stack([nn.functional.nll_loss(rows, wanted) for rows in values])
    finite = [number for number in range(count) if losses[number].isfinite()]
    return max(finite, key=lambda number: (int(right[number]), -float(losses[number])))
