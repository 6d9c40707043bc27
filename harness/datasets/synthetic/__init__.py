"""The micro world: video files in the official layouts, rendered on the spot from nothing but their names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def render(name: str, root: Path, progress: Callable[[int, int], None] | None = None) -> None:
    """The whole of the embedded data set below `root`, by one rename; nothing to do if it is there already.

    progress(done, total) counts files. Raises HarnessError where the folder belongs to something else, or the disk is
    full.
    """
    from harness.datasets.synthetic.rendering import render_set

    render_set(name, root, progress)
