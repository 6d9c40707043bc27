"""Copies to a GPU while it computes, on a CUDA stream of their own."""

from __future__ import annotations

from collections.abc import Iterator

from harness.training.config import Step


def prefetch_to_device(steps: Iterator[Step], device: str) -> Iterator[Step]:
    """The same steps, in order. On a GPU each is fetched, copied and converted while the one before computes.

    A copy overlaps with a kernel only from pinned memory, which decoding processes provide. On a CPU the steps
    pass through unchanged.
    """
    if not device.startswith("cuda"):
        yield from steps
        return
    import torch

    copying = torch.cuda.Stream(device)

    def fetch() -> Step | None:
        with torch.cuda.stream(copying):
            return next(steps, None)

    following = fetch()
    while following is not None:
        computing = torch.cuda.current_stream(device)
        computing.wait_stream(copying)
        step = following
        for tensor in (*step.inputs.values(), step.labels):
            # Otherwise the copying stream would reuse the memory while the computing one still reads it.
            tensor.record_stream(computing)
        following = fetch()
        yield step
