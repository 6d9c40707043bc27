"""What a benchmark's process runs, by name: the training loop on a small head, and the Fixed protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.ratios.case import Case, Ready
from benchmarks.ratios.networks import clips, placed


def _head_job(case: Case) -> tuple[Any, Any, list[Any]]:
    """(linear head, schedule, batches in memory): the smallest training there is, so that the loop's own cost shows."""
    import torch

    from harness.core.contract import Schedule
    from harness.training.config import Step

    torch.manual_seed(0)
    schedule = Schedule(steps=case.size, batch=64, base_lr=1e-3, optimizer="adamw", policy="one-cycle")
    steps = [Step(torch.randn(64, 1, 256), torch.randint(0, 51, (64,)), ("video",) * 64) for _ in range(case.size)]
    return torch.nn.Linear(256, 51), schedule, steps


def loop(case: Case) -> Ready:
    """`size` steps of harness.training.trainer.train."""
    from pathlib import Path

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
    """The same steps as one would write them by hand, loss printed never."""
    import torch

    head, schedule, steps = _head_job(case)

    def run() -> None:
        optimizer = torch.optim.AdamW(head.parameters(), lr=schedule.base_lr, fused=True)
        for inputs, labels, _ in steps:
            optimizer.zero_grad(set_to_none=True)
            torch.nn.functional.cross_entropy(head(inputs).mean(1), labels).backward()
            optimizer.step()

    return Ready(run, {"steps": case.size})


EPOCHS = 30
"""Of the comparison of cached features with forwarding anew."""


def fixed_cached(case: Case) -> Ready:
    """Every one of `size` views of `batch` videos forwarded once, then 30 epochs of the head on what is kept."""
    import torch

    return _fixed(case, lambda network, inputs: torch.cat([network.features(inputs) for _ in range(case.size)]))


def fixed_anew(case: Case) -> Ready:
    """The same 30 epochs, the frozen network forwarding the batch in each."""
    return _fixed(case, None)


def _fixed(case: Case, cache: Callable[[Any, Any], Any] | None) -> Ready:
    import torch

    from harness.models.transfer import freeze_all_but_head

    network, inputs = placed(case), clips(case, case.device)
    freeze_all_but_head(network)
    labels = torch.arange(case.batch) % 400

    def run() -> Any:
        head = network.head
        optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3, fused=True)
        with torch.no_grad():
            kept = cache(network, inputs) if cache else None
        for epoch in range(EPOCHS):
            if kept is None:
                with torch.no_grad():
                    features = network.features(inputs)
            else:
                view = epoch % case.size
                features = kept[view * case.batch : (view + 1) * case.batch]
            optimizer.zero_grad(set_to_none=True)
            torch.nn.functional.cross_entropy(head(features).mean(1), labels).backward()
            optimizer.step()
        return head.fc.weight.detach()

    return Ready(run, {"epochs": EPOCHS})


WHATS: Mapping[str, Callable[[Case], Ready]] = {
    "loop": loop,
    "bare loop": bare_loop,
    "fixed, cached": fixed_cached,
    "fixed, anew": fixed_anew,
}
