"""Copies to a GPU while it computes, on a CUDA stream of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

Batch = TypeVar("Batch")


def prefetch_to_device(
    batches: Iterator[Batch], device: str, tensors: Callable[[Batch], Iterable[Tensor]]
) -> Iterator[Batch]:
    """The same batches, in order. On a GPU each is fetched, copied and converted while the one before computes.

    `tensors(batch)` are its tensors on the device. A copy overlaps with a kernel only from pinned memory, which decoding
    processes provide. On a CPU the batches pass through unchanged.
    """
    if not device.startswith("cuda"):
        yield from batches
        return
    import torch

    copying = torch.cuda.Stream(device)

    def fetch() -> Batch | None:
        with torch.cuda.stream(copying):
            return next(batches, None)

    following = fetch()
    while following is not None:
        computing = torch.cuda.current_stream(device)
        computing.wait_stream(copying)
        batch = following
        for tensor in tensors(batch):
            # Otherwise the copying stream would reuse the memory while the computing one still reads it.
            tensor.record_stream(computing)
        following = fetch()
        yield batch
