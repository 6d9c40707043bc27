"""Optimizers and learning rates: how `Schedule.optimizer` and `Schedule.policy` become numbers.

To add an optimizer, add a builder to `OPTIMIZERS` and its name and hyper-parameters to `harness.core.contract.Schedule`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.core.contract import Schedule

if TYPE_CHECKING:
    import torch
    from torch import nn

Groups = list[dict[str, Any]]
"""Parameter groups in torch's form."""
WARM_UP = 0.15
"""Share of a one-cycle schedule over which the learning rate rises."""


def _sgd(groups: Groups, schedule: Schedule) -> torch.optim.Optimizer:
    import torch

    return eager(torch.optim.SGD)(groups, lr=schedule.base_lr, momentum=schedule.momentum)


def _adamw(groups: Groups, schedule: Schedule) -> torch.optim.Optimizer:
    import torch

    return eager(torch.optim.AdamW)(groups, lr=schedule.base_lr, fused=True)


OPTIMIZERS: Mapping[str, Callable[[Groups, Schedule], torch.optim.Optimizer]] = {"sgd": _sgd, "adamw": _adamw}
"""`Schedule.optimizer` -> builder from parameter groups and the schedule's hyper-parameters."""


def make_optimizer(module: nn.Module, schedule: Schedule) -> torch.optim.Optimizer:
    """The schedule's optimizer over the trainable parameters; weight decay on weights only, not on biases and batch norm."""
    return OPTIMIZERS[schedule.optimizer](parameter_groups(module, weight_decay=schedule.weight_decay), schedule)


def parameter_groups(module: nn.Module, *, weight_decay: float) -> Groups:
    """The trainable parameters in two groups: those with weight decay, and biases and norms, which have none.

    A group may also have `lr_factor`, a factor on the schedule's learning rate.
    """
    trainable = [p for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]


def eager(optimizer: type[torch.optim.Optimizer]) -> type[torch.optim.Optimizer]:
    """The same optimizer without the wrappers that torch puts around its methods for torch.compile.

    The first call of a wrapped method loads the compiler: two to four seconds and 150 MB in each process that trains.
    """
    import torch

    names = ("add_param_group", "load_state_dict", "state_dict", "step", "zero_grad")
    plain = {name: getattr(getattr(optimizer, name), "__wrapped__", None) for name in names}
    methods = {name: method for name, method in plain.items() if method is not None}
    if "step" in methods:
        methods["step"] = torch.no_grad()(methods["step"])
    return type(optimizer.__name__, (optimizer,), methods)


def learning_rate(schedule: Schedule, step: int, *, drops: int = 0) -> float:
    """The learning rate of a step, counted from 0; `drops` is the number of plateaus so far."""
    return POLICIES[schedule.policy](schedule, step, drops)


def _plateau(schedule: Schedule, step: int, drops: int) -> float:
    return schedule.base_lr * 0.1**drops


def _steps(schedule: Schedule, step: int, drops: int) -> float:
    passed = sum(step >= milestone for milestone in schedule.milestones)
    return schedule.base_lr * ((1.0, *schedule.lr_factors)[passed] if schedule.lr_factors else 0.1**passed)


def _one_cycle(schedule: Schedule, step: int, drops: int) -> float:
    done = (step + 1) / schedule.steps
    if done < WARM_UP:
        return schedule.base_lr * (0.05 + 0.95 * done / WARM_UP)
    return schedule.base_lr * 0.5 * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP)))


def _cosine(schedule: Schedule, step: int, drops: int) -> float:
    return schedule.base_lr * 0.5 * (1 + math.cos(math.pi * step / schedule.steps))


POLICIES: Mapping[str, Callable[[Schedule, int, int], float]] = {
    "plateau": _plateau,
    "steps": _steps,
    "one-cycle": _one_cycle,
    "cosine": _cosine,
    "constant": lambda schedule, step, drops: schedule.base_lr,
}
"""`Schedule.policy` -> learning rate of (schedule, step, drops)."""


@dataclass
class Plateau:
    """Detects that the held-out loss has stopped falling (paper section 2.5)."""

    patience: int
    """Evaluations without improvement that make a plateau."""
    best: float = math.inf
    bad: int = 0
    """Evaluations without improvement so far."""

    def saturated(self, loss: float) -> bool:
        """Whether this evaluation completes a plateau; counting then starts over."""
        if loss < self.best - 1e-4:
            self.best, self.bad = loss, 0
            return False
        self.bad += 1
        if self.bad < self.patience:
            return False
        self.bad = 0
        return True
