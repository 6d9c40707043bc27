"""A step of several replicas, done one after the other in one process or side by side in many, with the same result.

The paper trained on 64 GPUs of 6 clips each, batch norm within a GPU (section 2.5 and the released README). Here a
replica is a part of the batch, not a device: gradients are the mean over all replicas, moving statistics the mean of
what each would have made of those before the step, and dropout is drawn from (seed, step, replica). So neither the
number of devices nor their memory is part of an experiment. In several processes, torch.distributed carries the sums.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.core.contract import Schedule
from harness.core.errors import HarnessError


@dataclass(frozen=True)
class Replicas:
    """How many replicas a step has, and which are this process's."""

    count: int
    rank: int = 0
    world: int = 1

    @classmethod
    def of(cls, schedule: Schedule) -> Replicas:
        """As the schedule says, spread over the processes of torch.distributed if it is up.

        Raises HarnessError where they do not divide.
        """
        size = schedule.bn_batch or schedule.batch
        count, left = divmod(schedule.batch, size)
        rank, world = rank_and_world()
        if left:
            raise HarnessError(
                f"a batch of {schedule.batch} is not a whole number of replicas of {size}; change --set train.batch or "
                "--set train.bn_batch"
            )
        if count % world:
            raise HarnessError(
                f"{count} replica(s) of {size} videos do not spread evenly over {world} processes; use a number of GPUs that "
                f"divides {count}, or another --set train.bn_batch"
            )
        return cls(count, rank, world)

    @property
    def leads(self) -> bool:
        """Whether this process writes checkpoints, scores and records."""
        return self.rank == 0

    @property
    def share(self) -> float:
        return 1.0 / self.count

    @property
    def mine(self) -> range:
        """Numbers of this process's replicas within a step."""
        return range(self.rank, self.count, self.world)

    def passes(self, first_step: int, steps: int) -> range:
        """Numbers of this process's passes of steps `first_step` .. `steps` - 1; step k has `count` from k * count on."""
        return range(first_step * self.count + self.rank, steps * self.count, self.world)

    def together(self, module: nn.Module, step: int, seed: int, one_pass: Callable[[], float]) -> float:
        """Do this process's passes of a step; leaves gradients and moving statistics as the whole step's. Returns its loss."""
        moving = [one for one in _buffers(module, "running_mean", "running_var") if one.is_floating_point()]
        before, after = [one.clone() for one in moving], [torch.zeros_like(one) for one in moving]
        loss = 0.0
        for replica in self.mine:
            torch.manual_seed((seed * 1_000_003 + step) * 8_191 + replica)
            for one, was in zip(moving, before, strict=True):
                one.copy_(was)
            loss += one_pass()
            for total, one in zip(after, moving, strict=True):
                total.add_(one, alpha=self.share)
        total_loss = torch.tensor(loss, dtype=torch.float64)
        self.add_up([p.grad for p in module.parameters() if p.grad is not None])
        self.add_up(after)
        for one, mean in zip(moving, after, strict=True):
            one.copy_(mean)
        for passes in _buffers(module, "num_batches_tracked"):
            passes += self.count - len(self.mine)
        return self.agreed_sum(total_loss)

    def add_up(self, tensors: list[Tensor]) -> None:
        """Sum over all processes, in place."""
        if self.world == 1 or not tensors:
            return
        flat = torch.cat([one.reshape(-1) for one in tensors])
        torch.distributed.all_reduce(flat)
        for one, part in zip(tensors, flat.split([one.numel() for one in tensors]), strict=True):
            one.copy_(part.view_as(one))

    def agreed_sum(self, value: Tensor) -> float:
        """The sum of a number over all processes."""
        if self.world > 1:
            value = value.to(_carrier())
            torch.distributed.all_reduce(value)
        return float(value)

    def agreed(self, value: float) -> float:
        """The leading process's number, in all of them."""
        if self.world == 1:
            return value
        told = torch.tensor(value, dtype=torch.float64, device=_carrier())
        torch.distributed.broadcast(told, src=0)
        return float(told)


def rank_and_world() -> tuple[int, int]:
    """(this process's number, how many there are) in torch.distributed; (0, 1) without it."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def _carrier() -> str:
    """Where tensors must lie for the processes' common back end to carry them."""
    return "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"


def _buffers(module: nn.Module, *names: str) -> list[Tensor]:
    return [buffer for name, buffer in module.named_buffers() if name.endswith(names)]
