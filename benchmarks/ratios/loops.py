"""The training loop on a head so small that the loop's own cost shows, and the Fixed protocol on cached features."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.ratios.case import Builders, Case, Machine, Pair, Ready
from benchmarks.ratios.networks import clips, placed

EPOCHS = 30
"""Epochs of the comparison of cached features with new forward passes."""
CACHED_TARGET = 20.0


def loop_pairs(machine: Machine) -> Iterator[Pair]:
    """The training loop's own cost."""
    ours = Case("loop", size=200, device=machine.device)
    other = dataclasses.replace(ours, builder="bare loop")
    yield Pair("loop", "200 steps of a linear head", "a hand-written loop, same batches", ours, other)


def fixed_pairs(machine: Machine) -> Iterator[Pair]:
    """The Fixed protocol on cached features against a forward pass in every epoch."""
    for views in (1, 3):
        batch = 16 if machine.quick else 64
        ours = Case("fixed, cached", scale="micro", batch=batch, device=machine.device, size=views)
        other = dataclasses.replace(ours, builder="fixed, uncached")
        name = f"{EPOCHS} epochs of a head on cached features, {views} view{'s' if views > 1 else ''} per video"
        yield Pair(
            "fixed", name, "running the backbone in every epoch", ours, other, CACHED_TARGET if views == 1 else None
        )


def facts_of(
    ours: Mapping[str, Any], other: Mapping[str, Any], ours_s: Sequence[float], other_s: Sequence[float]
) -> dict[str, str]:
    """A note with the extra time per step."""
    extra_s = statistics.median(x - y for x, y in zip(ours_s, other_s, strict=True)) / ours["steps"]
    return {"note": f"{1e3 * extra_s:.2f} ms more per step"}


def _head_job(case: Case) -> tuple[Any, Any, list[Any]]:
    """(linear head, schedule, `size` batches), all on the device of the case."""
    import torch

    from harness.core.contract import Schedule
    from harness.training.config import Step

    torch.manual_seed(0)
    schedule = Schedule(steps=case.size, batch=64, base_lr=1e-3, optimizer="adamw", policy="one-cycle")
    inputs, labels = torch.randn(case.size, 64, 1, 256), torch.randint(0, 51, (case.size, 64))
    batches = zip(inputs.to(case.device), labels.to(case.device), strict=True)
    steps = [Step(*batch, ("video",) * 64) for batch in batches]
    return torch.nn.Linear(256, 51, device=case.device), schedule, steps


def loop(case: Case) -> Ready:
    """`size` steps of harness.training.trainer.train."""
    from harness.core.callbacks import Callback
    from harness.training.config import TrainingConfig
    from harness.training.evaluation import clip_loss
    from harness.training.trainer import train

    head, schedule, steps = _head_job(case)
    config = TrainingConfig(
        schedule=schedule,
        device=case.device,
        precision="float32",
        job_id="bench",
        checkpoints=Path("/nonexistent/bench"),
        loss=clip_loss("reduced", "mean"),
    )
    return Ready(
        lambda: train(head, lambda first: iter(steps[first:]), config, callback=Callback()), {"steps": case.size}
    )


def bare_loop(case: Case) -> Ready:
    """The same steps in a hand-written loop that does not log the loss."""
    import torch

    head, schedule, steps = _head_job(case)

    def run() -> None:
        optimizer = torch.optim.AdamW(head.parameters(), lr=schedule.base_lr, fused=True)
        for inputs, labels, _ in steps:
            optimizer.zero_grad(set_to_none=True)
            torch.nn.functional.cross_entropy(head(inputs).mean(1), labels).backward()
            optimizer.step()

    return Ready(run, {"steps": case.size})


def fixed_cached(case: Case) -> Ready:
    """Features of each of `size` views of `batch` videos computed once, then 30 epochs of the head on them."""
    import torch

    return _fixed(case, lambda network, inputs: torch.cat([network.features(inputs) for _ in range(case.size)]))


def fixed_uncached(case: Case) -> Ready:
    """The same 30 epochs, with a forward pass of the frozen network in each."""
    return _fixed(case, None)


def _fixed(case: Case, cache: Callable[[Any, Any], Any] | None) -> Ready:
    import torch

    from harness.models.transfer import freeze_all_but_head

    network, inputs = placed(case), clips(case, case.device)
    freeze_all_but_head(network)
    labels = torch.arange(case.batch, device=case.device) % 400

    def run() -> Any:
        head = network.head
        optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3, fused=True)
        with torch.no_grad():
            cached = cache(network, inputs) if cache else None
        for epoch in range(EPOCHS):
            if cached is None:
                with torch.no_grad():
                    features = network.features(inputs)
            else:
                view = epoch % case.size
                features = cached[view * case.batch : (view + 1) * case.batch]
            optimizer.zero_grad(set_to_none=True)
            torch.nn.functional.cross_entropy(head(features).mean(1), labels).backward()
            optimizer.step()
        return head.fc.weight.detach()

    return Ready(run, {"epochs": EPOCHS})


BUILDERS: Builders = {
    "loop": loop,
    "bare loop": bare_loop,
    "fixed, cached": fixed_cached,
    "fixed, uncached": fixed_uncached,
}
