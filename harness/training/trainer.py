"""One loop for everything that learns: images, clips, and heads on cached features."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from harness.core.callbacks import Callback, Point
from harness.core.contract import Schedule
from harness.core.errors import HarnessError
from harness.models.precision import autocast
from harness.training.checkpoint import resume, save_checkpoint
from harness.training.replicas import Replicas

if TYPE_CHECKING:
    from collections.abc import Sequence

LOG_EVERY = 10
WARM_UP = 0.15
"""Share of a one-cycle schedule that the learning rate rises over."""
PLATEAU_DROPS = 2
"""Ten-fold drops after which a plateau ends the training, as in the released models' schedules."""


class Step(NamedTuple):
    """What one forward pass of a training is computed from: a replica's share of an optimizer step, often all of it."""

    inputs: Any
    """What the module is called with."""
    labels: Tensor
    """(N,) int64."""
    ids: Sequence[str]
    """Of the videos, for the message if the loss explodes."""


@dataclass(frozen=True)
class Setting:
    """How to train, apart from on what."""

    schedule: Schedule
    device: str
    precision: str
    """'float32' or 'bfloat16' (autocast)."""
    job_id: str
    checkpoints: Path
    """Folder that checkpoints of this job live in until its record is written."""
    loss: Callable[[Tensor, Tensor], Tensor]
    """(logits (N, P, classes), labels (N,)) -> scalar."""
    seed: int = 0
    """Of what is drawn within a step, where a step has several replicas."""


@dataclass
class Trained:
    """What a training reports besides the weights, which stay in the module."""

    steps: int = 0
    samples: int = 0
    seconds: float = 0.0
    wait_s: float = 0.0
    """Part of `seconds` spent waiting for data."""
    curves: list[Point] = field(default_factory=list)
    drops: list[int] = field(default_factory=list)
    """Steps at which the learning rate fell ten-fold."""


def train(
    module: nn.Module,
    steps_from: Callable[[int], Iterator[Step]],
    setting: Setting,
    *,
    callback: Callback,
    held_out_loss: Callable[[], float] | None = None,
) -> Trained:
    """Train `module` in place, from the last checkpoint if there is one.

    `steps_from(k)` yields the passes of the steps from the k-th on, always the same ones: one a step, or one for each replica
    of it that falls to this process. Raises HarnessError, naming the videos, when a loss is not finite. A resumed training
    is bit-identical on the CPU to an unbroken one.
    """
    schedule = setting.schedule
    replicas = Replicas.of(schedule)
    optimizer = make_optimiser(module, schedule)
    plateau = Plateau(schedule.patience)
    trained = Trained()
    first = resume(setting, module, optimizer, plateau, trained, callback)
    callback.stage("train", schedule.steps, "steps")
    callback.advance(first)
    told, batches = len(trained.curves), iter(steps_from(first))
    for number in range(first, schedule.steps):
        if len(trained.drops) > PLATEAU_DROPS:
            break
        asked = time.perf_counter()
        rate = learning_rate(schedule, number, drops=len(trained.drops))
        loss = _update(module, optimizer, _timed(batches, trained), rate, setting, replicas, number)
        trained.steps, trained.samples = number + 1, trained.samples + schedule.batch
        trained.seconds += time.perf_counter() - asked
        if number % LOG_EVERY == 0 or number + 1 == schedule.steps:
            trained.curves += [(number + 1, "train/loss", loss), (number + 1, "train/lr", rate)]
        callback.advance(1, f"loss {loss:.2f}")
        if held_out_loss and schedule.eval_every and (number + 1) % schedule.eval_every == 0:
            _look(held_out_loss, plateau, trained, number + 1, replicas)
        if (number + 1) % schedule.checkpoint_every == 0 and replicas.leads:
            save_checkpoint(setting, module, optimizer, plateau, trained)
            callback.curve(setting.job_id, trained.curves[told:])
            told = len(trained.curves)
    callback.curve(setting.job_id, trained.curves[told:])
    return trained


def _timed(passes: Iterator[Step], trained: Trained) -> Iterator[Step]:
    """The passes, the time they were waited for added to `trained.wait_s`."""
    while True:
        asked = time.perf_counter()
        step = next(passes)
        trained.wait_s += time.perf_counter() - asked
        yield step


def _update(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    passes: Iterator[Step],
    rate: float,
    setting: Setting,
    replicas: Replicas,
    number: int,
) -> float:
    """One optimizer step: the mean of its replicas' gradients. Returns the mean of their losses."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    if replicas.count == 1:
        value = _pass(module, next(passes), rate, setting, share=1.0)
    else:
        value = replicas.together(
            module, number, setting.seed, lambda: _pass(module, next(passes), rate, setting, replicas.share)
        )
    optimizer.step()
    return value


def _pass(module: nn.Module, step: Step, rate: float, setting: Setting, share: float) -> float:
    """Forward and backward; the gradients of `share` times the loss are added up. Returns that share of the loss."""
    with autocast(setting.device, setting.precision):
        logits = module(step.inputs)
    loss = setting.loss(logits.float(), step.labels)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise HarnessError(
            f"the loss became {value} on the batch of {', '.join(step.ids[:4])}"
            f"{'…' if len(step.ids) > 4 else ''}; lower --set train.base_lr (now {rate:g}), or look at these videos"
        )
    (loss if share == 1.0 else loss * share).backward()
    return value * share


def _look(
    held_out_loss: Callable[[], float], plateau: Plateau, trained: Trained, step: int, replicas: Replicas
) -> None:
    value = replicas.agreed(held_out_loss() if replicas.leads else 0.0)
    trained.curves.append((step, "held_out/loss", value))
    if plateau.saturated(value):
        trained.drops.append(step)


# ---------------------------------------------------------------------------------------------------- the rate


@dataclass
class Plateau:
    """Says when the held-out loss has stopped falling (paper section 2.5)."""

    patience: int
    best: float = math.inf
    bad: int = 0

    def saturated(self, value: float) -> bool:
        """Whether this look is the `patience`-th without improvement since the last drop."""
        if value < self.best - 1e-4:
            self.best, self.bad = value, 0
            return False
        self.bad += 1
        if self.bad < self.patience:
            return False
        self.bad = 0
        return True


def learning_rate(schedule: Schedule, step: int, *, drops: int = 0) -> float:
    """The rate of the step counted from 0."""
    base = schedule.base_lr
    if schedule.policy == "plateau":
        return base * 0.1**drops
    if schedule.policy == "steps":
        passed = sum(step >= milestone for milestone in schedule.milestones)
        return base * ((1.0, *schedule.lr_factors)[passed] if schedule.lr_factors else 0.1**passed)
    if schedule.policy == "constant":
        return base
    done = (step + 1) / schedule.steps
    if done < WARM_UP:
        return base * (0.05 + 0.95 * done / WARM_UP)
    return base * 0.5 * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP)))


def make_optimiser(module: nn.Module, schedule: Schedule) -> torch.optim.Optimizer:
    """SGD with momentum, or AdamW; weight decay on weights only, not on biases and batch norm."""
    moving = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in moving if p.ndim > 1], "weight_decay": schedule.weight_decay},
        {"params": [p for p in moving if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if schedule.optimizer == "adamw":
        return eager(torch.optim.AdamW)(groups, lr=schedule.base_lr, fused=True)
    return eager(torch.optim.SGD)(groups, lr=schedule.base_lr, momentum=schedule.momentum)


def eager(optimizer: type[torch.optim.Optimizer]) -> type[torch.optim.Optimizer]:
    """The same arithmetic without what torch wraps around these methods for its compiler, which never traces them here.

    The first call of any of them would load that compiler: two to four seconds and 150 MB in each process that trains.
    """
    told = ("add_param_group", "load_state_dict", "state_dict", "step", "zero_grad")
    plain = {name: getattr(getattr(optimizer, name), "__wrapped__", None) for name in told}
    methods = {name: method for name, method in plain.items() if method is not None}
    if "step" in methods:
        methods["step"] = torch.no_grad()(methods["step"])
    return type(optimizer.__name__, (optimizer,), methods)


# ---------------------------------------------------------------------------------------------------- batch norm


def reestimate_batch_norm(module: nn.Module, inputs: Iterable[Any], *, device: str, precision: str) -> None:
    """Replace the moving statistics by the plain average over `inputs`, with everything but batch norm in eval mode.

    A training shorter than the memory of its moving average leaves statistics behind that belong to earlier weights.
    """
    norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    was_training = module.training
    module.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    with torch.no_grad(), autocast(device, precision):
        for one in inputs:
            module(one)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    module.train(was_training)
