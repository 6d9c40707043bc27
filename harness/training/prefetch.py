"""Copies to a GPU while it computes: the next step's clips travel on a stream of their own."""

from __future__ import annotations

from collections.abc import Iterator

from harness.training.trainer import Step


def ahead(steps: Iterator[Step], device: str) -> Iterator[Step]:
    """The same steps, in order. On a GPU each is asked for, copied and made into numbers while the one before computes.

    Page-locked memory, which decoding processes hand over, is what lets a copy run beside a kernel. On a CPU nothing
    changes.
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
            # Or the copying stream would take the memory back while the computing one still reads it.
            tensor.record_stream(computing)
        following = fetch()
        yield step
