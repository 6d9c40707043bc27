"""Cells -> the command that makes their number, with every flag that differs from a default."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from harness.core import registry
from harness.core.cells import IMPORTED, Cell
from harness.core.errors import HarnessError


def command_of(*cells: Cell, skipped: bool = False) -> str:
    """`harness run ...`, quoted for a shell. The cells differ at most in split and seed.

    `skipped`: videos that cannot be decoded were skipped (`--on-bad-video skip`). Flags whose default a missing plug-in decides
    are written out.
    """
    cell = cells[0]
    if cell.protocol == IMPORTED:
        return _import_of(cells)
    dataset = _card("dataset", cell.dataset)
    usual_scale = ("micro" if dataset.micro else "paper") if dataset else None
    splits, seeds = dict.fromkeys(c.split for c in cells), dict.fromkeys(c.seed for c in cells)
    flags: list[tuple[str, object]] = [
        ("--baseline", cell.baseline),
        ("--modality", cell.modality),
        ("--dataset", cell.dataset),
        ("--protocol", cell.protocol),
        ("--init", cell.init),
    ]
    flags += [("--split", split) for split in splits] if list(splits) != [1] else []
    flags += [("--seed", seed) for seed in seeds] if list(seeds) != [0] else []
    flags += [("--subset", cell.subset)] if dataset is None or cell.subset != dataset.subsets[0] else []
    flags += [("--shots", cell.shots)] if cell.shots else []
    flags += [("--share", f"{cell.share:g}")] if cell.share else []
    flags += [("--backbone", cell.backbone)] if cell.backbone else []
    flags += [("--source", cell.source)] if cell.source and (not dataset or cell.source != dataset.source) else []
    flags += [("--scale", cell.scale)] if cell.scale != usual_scale else []
    flags += [("--limit", cell.limit)] if cell.limit else []
    flags += [("--set", f"{key}={value}") for key, value in cell.overrides]
    flags += [("--on-bad-video", "skip")] if skipped else []
    flags += plugin_flags(cells)
    return shlex.join(["harness", "run", *(str(word) for flag in flags for word in flag)])


def _import_of(cells: Sequence[Cell]) -> str:
    """`harness scores import FILE ...`, one per cell: a file has the scores of one split and seed."""
    commands = []
    for cell in cells:
        axes = ("baseline", "modality", "dataset", "split", "subset", "seed")
        flags = [("--" + axis, str(getattr(cell, axis))) for axis in axes] + plugin_flags([cell])
        commands.append(shlex.join(["harness", "scores", "import", "FILE", *(word for flag in flags for word in flag)]))
    return "\n".join(commands)


def plugin_flags(cells: Iterable[Cell]) -> list[tuple[str, str]]:
    """`--plugins DIR`, if cards of the cells are files of a folder of plug-ins.

    Several folders can only come from HARNESS_PLUGINS, for which there is no flag.
    """
    names = {
        pair
        for cell in cells
        for pair in (
            ("baseline", cell.baseline),
            ("dataset", cell.dataset),
            ("dataset", cell.source),
            ("protocol", cell.protocol),
            ("scale", cell.scale),
        )
    }
    folders = {Path(origin).parent for kind, name in names if (origin := registry.origin(kind, name))}
    used = folders & {Path(folder) for folder in registry.plugin_folders().split(os.pathsep)}
    return [("--plugins", str(folder.resolve())) for folder in used] if len(used) == 1 else []


def _card(kind: str, name: str) -> Any:
    try:
        return registry.load(kind, name)
    except HarnessError:
        return None
