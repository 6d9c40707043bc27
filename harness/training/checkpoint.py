"""Checkpoints of a training, written by rename, so that an interrupted one resumes bit for bit."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import nn

from harness.core.atomic import atomic_write
from harness.core.callbacks import Callback
from harness.training.config import TrainingConfig, TrainingResult
from harness.training.optim import Plateau


def save_checkpoint(
    config: TrainingConfig,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    plateau: Plateau,
    result: TrainingResult,
) -> None:
    """Write the state of a training by rename; the checkpoint before is kept in case this one is damaged."""
    config.checkpoints.mkdir(parents=True, exist_ok=True)
    state = {
        "step": result.steps,
        "module": module.state_dict(),
        "optimizer": optimizer.state_dict(),
        "plateau": {"best": plateau.best, "bad": plateau.bad},
        "trained": dict(vars(result)),
        "rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state_all() if config.device.startswith("cuda") else [],
    }
    earlier = checkpoints_of(config.checkpoints)
    content = io.BytesIO()
    torch.save(state, content)
    with atomic_write(config.checkpoints / f"{result.steps:08d}.ckpt", sync=True) as temporary:
        # From memory: torch.save does not report that a disk is full.
        temporary.write_bytes(content.getbuffer())
    for old in earlier[:-1]:
        old.unlink(missing_ok=True)


def checkpoints_of(folder: Path) -> list[Path]:
    """Whole checkpoints, oldest first."""
    return sorted(folder.glob("[0-9]*.ckpt"))


def resume(
    config: TrainingConfig,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    plateau: Plateau,
    result: TrainingResult,
    callback: Callback,
) -> int:
    """Restore the newest readable checkpoint and return its step; 0 if there is none."""
    for path in reversed(checkpoints_of(config.checkpoints)):
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except (RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
            path.rename(path.with_suffix(".torn"))
            callback.note(f"checkpoint {path} cannot be read ({type(error).__name__}); resuming from the one before")
            continue
        module.load_state_dict(state["module"])
        optimizer.load_state_dict(state["optimizer"])
        plateau.best, plateau.bad = state["plateau"]["best"], state["plateau"]["bad"]
        vars(result).update(state["trained"])
        torch.set_rng_state(state["rng"])
        if state["cuda_rng"]:
            torch.cuda.set_rng_state_all(state["cuda_rng"])
        return int(state["step"])
    return 0
