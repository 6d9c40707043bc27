"""The written documents, and the commands in their blocks. Pages that docs/_extensions writes from the program are not among them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
_GENERATED = ("_build/", "reference/commands/", "reference/cards/")


def pages() -> list[Path]:
    """The Markdown files of docs, sorted."""
    return [path for path in sorted(DOCS.rglob("*.md")) if not name(path).startswith(_GENERATED)]


def name(page: Path) -> str:
    """'how-to/data.md'"""
    return page.relative_to(DOCS).as_posix()


def documents() -> list[Path]:
    """README, CONTRIBUTING, CHANGELOG and the pages."""
    return [*sorted(ROOT.glob("*.md")), *pages()]


class Command(NamedTuple):
    """A line of a block of commands."""

    page: Path
    words: str
    """Without the prompt and the comment: 'harness ls jobs'."""
    needs: str
    """What its block needs, such as 'hmdb51'; '': nothing, so it runs in a test."""


def commands(page: Path) -> list[Command]:
    """The lines that begin with a prompt, in the page's blocks of commands, in order."""
    found = []
    for needs, block in re.findall(
        r"^```console(?: needs ([^\n]+))?\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
    ):
        for line in re.findall(r"^\w*\$ (.+)$", block, flags=re.MULTILINE):
            found.append(Command(page, re.sub(r"\s+# .*", "", line).strip(), needs))
    return found
