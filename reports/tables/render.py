"""A table as text in one of the formats, with what may be asked for below it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.core.errors import unknown
from reports.tables.data import as_json, csv
from reports.tables.html import html
from reports.tables.latex import latex
from reports.tables.model import Table
from reports.tables.text import markdown, terminal

FORMATS: Mapping[str, Callable[[Table], str]] = {
    "terminal": terminal,
    "markdown": markdown,
    "latex": latex,
    "csv": csv,
    "json": as_json,
    "html": html,
}


def render(table: Table, format: str = "terminal") -> str:
    """The table in one of `FORMATS`. Raises UnknownName for another."""
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    return FORMATS[format](table)
