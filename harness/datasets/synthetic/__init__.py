"""The micro data sets: video files in the official layouts, rendered deterministically from their names."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from harness.core.contract import Dataset
from harness.datasets.synthetic.sets import VERSION


def micro_card(name: str, **fields: Any) -> Dataset:
    """The card of a micro data set: `fields`, and what all of them share."""
    fields |= {"download": "none needed: rendered on first use", "licence": "the same as this program"}
    return Dataset(name=name, version=VERSION, render=partial(render, name), **fields)


def render(name: str, root: Path, progress: Callable[[int, int], None] | None = None) -> None:
    """Every file of the micro data set below `root`. progress(done, total) counts files. Raises OSError."""
    from harness.datasets.synthetic.rendering import render_set

    render_set(name, root, progress)
