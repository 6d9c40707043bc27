"""Checkpoints of a training, written by rename, so that an interrupted one resumes bit for bit."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from harness.core.atomic import atomic_write
from harness.core.callbacks import Callback
from harness.training.config import TrainingConfig, TrainingResult
from harness.training.optim import Plateau


@dataclass
class TrainingState:
    """All that changes while a training runs."""

    module: nn.Module
    optimizer: torch.optim.Optimizer
    plateau: Plateau
    result: TrainingResult


def save_checkpoint(config: TrainingConfig, state: TrainingState) -> None:
    """Write the state of a training by rename; the checkpoint before is kept in case this one is damaged."""
    config.checkpoints.mkdir(parents=True, exist_ok=True)
    stored = {
        "step": state.result.steps,
        "module": state.module.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "plateau": {"best": state.plateau.best, "bad": state.plateau.bad},
        "trained": dict(vars(state.result)),
        "rng": torch.get_rng_state(),
        # Of the job's own GPU alone: another command may see more GPUs, or fewer.
        "cuda_rng": [torch.cuda.get_rng_state(config.device)] if config.device.startswith("cuda") else [],
    }
    earlier = checkpoints_of(config.checkpoints)
    content = io.BytesIO()
    torch.save(stored, content)
    with atomic_write(config.checkpoints / f"{state.result.steps:08d}.ckpt", sync=True) as temporary:
        # From memory: torch.save does not report that a disk is full.
        temporary.write_bytes(content.getbuffer())
    for old in earlier[:-1]:
        old.unlink(missing_ok=True)


def checkpoints_of(folder: Path) -> list[Path]:
    """Whole checkpoints, oldest first."""
    return sorted(folder.glob("[0-9]*.ckpt"))


def read_newest(folder: Path, callback: Callback) -> dict[str, Any] | None:
    """The content of the newest checkpoint that can be read; None if there is none."""
    for path in reversed(checkpoints_of(folder)):
        try:
            return torch.load(path, map_location="cpu", weights_only=True)  # type: ignore[no-any-return]
        except (RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
            path.rename(path.with_suffix(".torn"))
            callback.note(f"checkpoint {path} cannot be read ({type(error).__name__}); resuming from the one before")
    return None


def restore(stored: dict[str, Any], config: TrainingConfig, state: TrainingState) -> None:
    """Put the content of a checkpoint back in place."""
    state.module.load_state_dict(stored["module"])
    state.optimizer.load_state_dict(stored["optimizer"])
    state.plateau.best, state.plateau.bad = stored["plateau"]["best"], stored["plateau"]["bad"]
    vars(state.result).update(stored["trained"])
    torch.set_rng_state(stored["rng"])
    if stored["cuda_rng"]:
        torch.cuda.set_rng_state(stored["cuda_rng"][0], config.device)
