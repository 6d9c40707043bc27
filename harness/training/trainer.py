"""The training loop of everything that learns: images, clips, and heads on cached features."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.profiler import record_function

from harness.core.callbacks import Callback
from harness.core.contract import Schedule
from harness.core.errors import HarnessError
from harness.models.precision import autocast
from harness.models.saved_activations import recompute_cheap_activations
from harness.training.checkpoint import TrainingState, read_newest, restore, save_checkpoint
from harness.training.config import Step, TrainingConfig, TrainingResult
from harness.training.group import Group
from harness.training.optim import Plateau, learning_rate, make_optimizer
from harness.training.replicas import Replicas

LOG_EVERY = 10
HELD_OUT_LOSS = "held_out/loss"
PLATEAU_DROPS = 2
"""Ten-fold drops after which a plateau ends the training, as in the released models' schedules."""


def train(
    module: nn.Module,
    steps_from: Callable[[int], Iterator[Step]],
    config: TrainingConfig,
    *,
    callback: Callback,
    held_out_loss: Callable[[int], float] | None = None,
    optimizer: torch.optim.Optimizer | None = None,
) -> TrainingResult:
    """Train `module` in place, from the last checkpoint if there is one.

    `steps_from(k)` yields this process's passes of the steps from the k-th on, always the same ones: one per step, or
    one per replica. `held_out_loss(k)` is the loss on the held-out videos after k steps; every process of the group calls
    it. `optimizer` None: the schedule's, over all trainable parameters. Raises HarnessError, naming the videos, when a loss
    is not finite. On the CPU a resumed training is bit-identical to an uninterrupted one.
    """
    schedule = config.schedule
    replicas = Replicas.of(schedule)
    optimizer = optimizer or make_optimizer(module, schedule)
    result = TrainingResult()
    state = TrainingState(module, optimizer, Plateau(schedule.patience), result)
    _resume(state, config, replicas.group, callback)
    first = result.steps
    callback.stage("train", schedule.steps, "steps")
    callback.advance(first)
    logged, passes = len(result.curves), _timed(iter(steps_from(first)), result)

    def save() -> None:
        nonlocal logged
        if replicas.group.is_main:
            save_checkpoint(config, state)
            callback.curve(config.job_id, result.curves[logged:])
            logged = len(result.curves)

    def evaluate() -> bool:
        """Whether an evaluation was due."""
        if held_out_loss is None or not _evaluation_is_due(schedule, result):
            return False
        _evaluate(held_out_loss, state.plateau, result, replicas.group)
        return True

    evaluate()  # the checkpoint may have been written just before
    for number in range(first, schedule.steps):
        if len(result.drops) > PLATEAU_DROPS:
            break
        began = time.perf_counter()
        rate = learning_rate(schedule, number, drops=len(result.drops))
        loss = _update(module, optimizer, passes, rate, config, replicas, number)
        result.steps, result.samples = number + 1, result.samples + schedule.batch
        result.seconds += time.perf_counter() - began
        if number % LOG_EVERY == 0 or number + 1 == schedule.steps:
            result.curves += [(number + 1, "train/loss", loss), (number + 1, "train/lr", rate)]
        callback.advance(1, f"loss {loss:.2f}")
        checkpoint_is_due = (number + 1) % schedule.checkpoint_every == 0
        if checkpoint_is_due:
            save()
        if evaluate() and checkpoint_is_due:
            save()  # an evaluation may take longer than the steps before it
    callback.curve(config.job_id, result.curves[logged:])
    return result


def _resume(state: TrainingState, config: TrainingConfig, group: Group, callback: Callback) -> None:
    """Restore the newest checkpoint that the main process can read, if there is one.

    All processes then have the main process's weights: on another processor, initial weights may differ in the last bits, and on a
    network file system, a process may not see the newest checkpoint yet.
    """
    stored = group.broadcast(read_newest(config.checkpoints, callback) if group.is_main else None)
    if stored:
        restore(stored, config, state)
    else:
        group.copy_from_main([*state.module.parameters(), *state.module.buffers()])


def _timed(passes: Iterator[Step], result: TrainingResult) -> Iterator[Step]:
    """The passes; the time spent waiting for them is added to `result.wait_s`."""
    while True:
        began = time.perf_counter()
        with record_function("harness.wait for clips"):
            step = next(passes)
        result.wait_s += time.perf_counter() - began
        yield step


def _update(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    passes: Iterator[Step],
    rate: float,
    config: TrainingConfig,
    replicas: Replicas,
    number: int,
) -> float:
    """One optimizer step with the mean of its replicas' gradients. Returns the mean of their losses."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("lr_factor", 1.0)
    optimizer.zero_grad(set_to_none=True)
    if replicas.count == 1:
        loss = _backward(module, next(passes), rate, config, scale=1.0)
    else:
        loss = replicas.run_step(
            module, number, config.seed, lambda: _backward(module, next(passes), rate, config, replicas.loss_scale)
        )
    with record_function("harness.optimizer"):
        optimizer.step()
    return loss


def _backward(module: nn.Module, step: Step, rate: float, config: TrainingConfig, scale: float) -> float:
    """Forward and backward of `scale` times the loss, added to the gradients. Returns the scaled loss."""
    with record_function("harness.forward"):
        less = recompute_cheap_activations() if config.recompute_activations else contextlib.nullcontext()
        with less, autocast(config.device, config.precision):
            logits = module(step.inputs)
        loss = config.loss(logits.float(), step.labels)
        value = float(loss.detach())
    if not math.isfinite(value):
        raise HarnessError(
            f"the loss became {value} on the batch of {', '.join(step.ids[:4])}"
            f"{'…' if len(step.ids) > 4 else ''}; lower --set train.base_lr (now {rate:g}), or look at these videos"
        )
    with record_function("harness.backward"):
        (loss if scale == 1.0 else loss * scale).backward()
    return value * scale


def _evaluation_is_due(schedule: Schedule, result: TrainingResult) -> bool:
    """Whether the held-out videos are to be evaluated now, after `result.steps` steps."""
    if not result.steps or not schedule.eval_every or result.steps % schedule.eval_every:
        return False
    return not any(point[:2] == (result.steps, HELD_OUT_LOSS) for point in result.curves)


def _evaluate(held_out_loss: Callable[[int], float], plateau: Plateau, result: TrainingResult, group: Group) -> None:
    """Record the held-out loss, and a drop of the learning rate where it has stopped falling."""
    loss = group.broadcast(held_out_loss(result.steps))
    if not math.isfinite(loss):
        raise HarnessError(
            f"the loss on the held-out videos became {loss} after {result.steps} steps; lower --set train.base_lr"
        )
    result.curves.append((result.steps, HELD_OUT_LOSS, loss))
    if plateau.saturated(loss):
        result.drops.append(result.steps)


@contextlib.contextmanager
def buffers_restored(module: nn.Module) -> Iterator[None]:
    """After the block, the module's buffers, its batch-norm statistics among them, are as before."""
    before = [buffer.clone() for buffer in module.buffers()]
    try:
        yield
    finally:
        for buffer, earlier in zip(module.buffers(), before, strict=True):
            buffer.copy_(earlier)


def reestimate_batch_norm(module: nn.Module, inputs: Iterable[Any], *, device: str, precision: str) -> None:
    """Replace moving statistics by the plain average over `inputs`, with everything but batch norm in eval mode.

    After a training shorter than the memory of the moving average, the statistics belong to earlier weights.
    """
    was_training = module.training
    batch_norm = nn.modules.batchnorm._BatchNorm
    norms = [m for m in module.train().modules() if isinstance(m, batch_norm) and m.track_running_stats and m.training]
    momenta = [norm.momentum for norm in norms]
    module.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    with torch.no_grad(), autocast(device, precision):
        for batch in inputs:
            module(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    module.train(was_training)
