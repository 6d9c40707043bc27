"""An optimizer step of several replicas, in one process or in several, with the same result.

The paper trained on 64 GPUs of 6 clips each, batch norm within a GPU (section 2.5 and the released README). Here a
replica is a part of the batch, not a device: gradients are the mean over all replicas, moving statistics the mean of
what each replica would have made of those before the step, and dropout is drawn from (seed, step, replica). So neither
the number of devices nor their memory is part of an experiment. Between processes, torch.distributed adds up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from harness.core.contract import Schedule
from harness.core.errors import HarnessError
from harness.training.group import Group


@dataclass(frozen=True)
class Replicas:
    """The replicas of a step, and this process's share of them."""

    count: int
    """Replicas per optimizer step."""
    group: Group = field(default_factory=Group)
    """Processes that share the replicas."""

    @classmethod
    def of(cls, schedule: Schedule) -> Replicas:
        """The schedule's replicas, spread over the processes of torch.distributed if it is initialised.

        Raises HarnessError where they do not divide.
        """
        size = schedule.bn_batch or schedule.batch
        count, remainder = divmod(schedule.batch, size)
        group = Group.current()
        if remainder:
            raise HarnessError(
                f"a batch of {schedule.batch} cannot be divided into batch-norm groups of {size} videos; change "
                "--set train.batch or --set train.bn_batch"
            )
        if count % group.world:
            raise HarnessError(
                f"{count} batch-norm group(s) of {size} videos cannot be divided evenly among {group.world} processes; use a number "
                f"of GPUs that divides {count}, or another --set train.bn_batch"
            )
        return cls(count, group)

    @property
    def loss_scale(self) -> float:
        """Factor on each replica's loss, so that gradients add up to their mean."""
        return 1.0 / self.count

    @property
    def local_replicas(self) -> range:
        """Numbers of this process's replicas within a step."""
        return range(self.group.rank, self.count, self.group.world)

    def micro_steps(self, first_step: int, steps: int) -> range:
        """Numbers of this process's passes in steps `first_step` .. `steps` - 1; step k starts at pass k * count."""
        return range(first_step * self.count + self.group.rank, steps * self.count, self.group.world)

    def run_step(self, module: nn.Module, step: int, seed: int, run_pass: Callable[[], float]) -> float:
        """Run this process's passes of a step. Gradients and moving statistics become the whole step's; returns its loss."""
        moving = [buffer for buffer in _buffers(module, "running_mean", "running_var") if buffer.is_floating_point()]
        before, after = [buffer.clone() for buffer in moving], [torch.zeros_like(buffer) for buffer in moving]
        loss = 0.0
        for replica in self.local_replicas:
            torch.manual_seed((seed * 1_000_003 + step) * 8_191 + replica)
            for buffer, start in zip(moving, before, strict=True):
                buffer.copy_(start)
            loss += run_pass()
            for total, buffer in zip(after, moving, strict=True):
                total.add_(buffer, alpha=self.loss_scale)
        self.group.all_reduce([p.grad for p in module.parameters() if p.grad is not None])
        self.group.all_reduce(after)
        for buffer, mean in zip(moving, after, strict=True):
            buffer.copy_(mean)
        for passes in _buffers(module, "num_batches_tracked"):
            passes += self.count - len(self.local_replicas)
        return self.group.sum(loss)


def _buffers(module: nn.Module, *names: str) -> list[Tensor]:
    return [buffer for name, buffer in module.named_buffers() if name.endswith(names)]
