"""Writes the pages of docs/reference/commands and docs/reference/cards before Sphinx reads the sources."""

from __future__ import annotations

import shutil
from pathlib import Path

from card_pages import card_pages
from command_pages import command_pages
from sphinx.application import Sphinx

FOLDERS = {"commands": command_pages, "cards": card_pages}
"""Folder below docs/reference -> function that returns its pages: file name -> text."""


def write_pages(folder: Path, pages: dict[str, str]) -> None:
    """Make `folder` hold these pages alone. A page that has not changed keeps its time, so Sphinx does not read it again."""
    for path in folder.glob("*"):
        if path.name not in pages:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    folder.mkdir(exist_ok=True)
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


def write_all(app: Sphinx) -> None:
    for name, pages in FOLDERS.items():
        write_pages(Path(app.srcdir) / "reference" / name, pages())


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", write_all)
    return {"parallel_read_safe": True}
