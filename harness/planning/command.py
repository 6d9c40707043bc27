"""Cell -> the command that makes its number, with every flag that differs from a default."""

from __future__ import annotations

import shlex
from typing import Any

from harness.core import registry
from harness.core.cells import Cell
from harness.core.errors import HarnessError


def command_of(cell: Cell) -> str:
    """`harness run ...`, quoted for a shell. Flags whose default a missing plug-in decides are written out."""
    dataset = _card("dataset", cell.dataset)
    usual_scale = ("micro" if dataset.micro else "paper") if dataset else None
    flags: list[tuple[str, object]] = [
        ("--baseline", cell.baseline),
        ("--modality", cell.modality),
        ("--dataset", cell.dataset),
        ("--protocol", cell.protocol),
        ("--init", cell.init),
    ]
    flags += [("--split", cell.split)] if cell.split != 1 else []
    flags += [("--seed", cell.seed)] if cell.seed else []
    flags += [("--subset", cell.subset)] if dataset is None or cell.subset != dataset.subsets[0] else []
    flags += [("--backbone", cell.backbone)] if cell.backbone else []
    flags += [("--source", cell.source)] if cell.source and (not dataset or cell.source != dataset.source) else []
    flags += [("--scale", cell.scale)] if cell.scale != usual_scale else []
    flags += [("--set", f"{key}={value}") for key, value in cell.overrides]
    return " ".join(["harness run", *(f"{flag} {shlex.quote(str(value))}" for flag, value in flags)])


def _card(kind: str, name: str) -> Any:
    try:
        return registry.load(kind, name)
    except HarnessError:
        return None
