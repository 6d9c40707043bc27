"""Blocks of commands that need something, such as a data set: "```console needs hmdb51" shows what as the block's caption."""

from __future__ import annotations

import re

from sphinx.application import Sphinx

_NEEDS = re.compile(r"^```console needs (.+)$", flags=re.MULTILINE)


def with_captions(app: Sphinx, page: str, source: list[str]) -> None:
    source[0] = _NEEDS.sub(r"```{code-block} console\n:caption: " r"Needs \1\n", source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", with_captions)
    return {"parallel_read_safe": True}
