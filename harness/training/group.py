"""The processes that share one job, connected by torch.distributed; without it, this process alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

Item = TypeVar("Item")


@dataclass(frozen=True)
class Group:
    """This process and the number of processes. In a group of one, every method is free."""

    rank: int = 0
    world: int = 1
    """Number of processes."""

    @classmethod
    def current(cls) -> Group:
        """The group that torch.distributed has connected; this process alone if it has not been initialised."""
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            return cls(torch.distributed.get_rank(), torch.distributed.get_world_size())
        return cls()

    @property
    def is_main(self) -> bool:
        """Whether this process decides for all, and writes checkpoints and records."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """This process's part of `items`. Each item is in the part of exactly one process."""
        return items if self.world == 1 else items[self.rank :: self.world]

    def broadcast(self, value: Item) -> Item:
        """The main process's value, in every process. Its tensors are on the CPU."""
        if self.world == 1:
            return value
        values = [value]
        torch.distributed.broadcast_object_list(values, src=0)
        return values[0]

    def gather(self, value: Item) -> list[Item]:
        """The value of every process, in the order of ranks, in every process."""
        if self.world == 1:
            return [value]
        values: list[Item | None] = [None] * self.world
        torch.distributed.all_gather_object(values, value)
        return values  # type: ignore[return-value]

    def copy_from_main(self, tensors: Iterable[Tensor]) -> None:
        """Give these tensors the values that they have in the main process, in place."""
        if self.world == 1:
            return
        for tensor in tensors:
            flat = tensor.detach().reshape(-1).clone()
            torch.distributed.broadcast(flat, src=0)
            tensor.detach().copy_(flat.view_as(tensor))

    def all_reduce(self, tensors: Sequence[Tensor]) -> None:
        """Sum over all processes, in place, as one message."""
        if self.world == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        torch.distributed.all_reduce(flat)
        for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def sum(self, value: float) -> float:
        """Sum over all processes, in float64."""
        if self.world == 1:
            return value
        device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
        total = torch.tensor(value, dtype=torch.float64, device=device)
        torch.distributed.all_reduce(total)
        return float(total)
