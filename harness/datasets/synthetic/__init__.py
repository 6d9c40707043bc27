"""The micro data sets: video files in the official layouts, rendered from nothing but their names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def render(name: str, root: Path, progress: Callable[[int, int], None] | None = None) -> None:
    """Every file of the micro data set below `root`. progress(done, total) counts files. Raises OSError."""
    from harness.datasets.synthetic.rendering import render_set

    render_set(name, root, progress)
