"""Where a training stands, kept by rename, so that an interrupted one goes on bit for bit."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from harness.core.callbacks import Callback
from harness.records.record import write_by_rename

if TYPE_CHECKING:
    from harness.training.trainer import Plateau, Setting, Trained


def save_checkpoint(
    setting: Setting, module: nn.Module, optimizer: torch.optim.Optimizer, plateau: Plateau, trained: Trained
) -> None:
    """Everything that moves, by rename; the one before stays, in case this one turns out torn."""
    setting.checkpoints.mkdir(parents=True, exist_ok=True)
    state = {
        "step": trained.steps,
        "module": module.state_dict(),
        "optimizer": optimizer.state_dict(),
        "plateau": {"best": plateau.best, "bad": plateau.bad},
        "trained": dict(vars(trained)),
        "rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state_all() if setting.device.startswith("cuda") else [],
    }
    kept = checkpoints_of(setting.checkpoints)
    content = io.BytesIO()
    torch.save(state, content)

    def write(path: Path) -> None:
        # From memory: of a full disk, torch.save tells only that a stream failed.
        path.write_bytes(content.getbuffer())

    write_by_rename(setting.checkpoints / f"{trained.steps:08d}.ckpt", write)
    for old in kept[:-1]:
        old.unlink(missing_ok=True)


def checkpoints_of(folder: Path) -> list[Path]:
    """Whole checkpoints, oldest first."""
    return sorted(folder.glob("[0-9]*.ckpt"))


def resume(
    setting: Setting,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    plateau: Plateau,
    trained: Trained,
    callback: Callback,
) -> int:
    """Put the newest whole checkpoint back and return its step; 0 if there is none."""
    for path in reversed(checkpoints_of(setting.checkpoints)):
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except (RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
            path.rename(path.with_suffix(".torn"))
            callback.note(f"checkpoint {path} cannot be read ({type(error).__name__}); going on from the one before")
            continue
        module.load_state_dict(state["module"])
        optimizer.load_state_dict(state["optimizer"])
        plateau.best, plateau.bad = state["plateau"]["best"], state["plateau"]["bad"]
        vars(trained).update(state["trained"])
        torch.set_rng_state(state["rng"])
        if state["cuda_rng"]:
            torch.cuda.set_rng_state_all(state["cuda_rng"])
        return int(state["step"])
    return 0
