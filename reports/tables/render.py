"""A table in one of the formats; those for programs (a frame, CSV, JSON) are made here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from harness.core.errors import unknown
from reports.tables.html import html
from reports.tables.latex import latex
from reports.tables.model import Column, Row, Table
from reports.tables.text import markdown, terminal

if TYPE_CHECKING:
    import pandas as pd


DIGITS = "%.6g"
"""Numbers in a CSV file; JSON has all their digits."""


def frame(table: Table) -> pd.DataFrame:
    """One line per number: its row and column, the published number, ours, interval, n, verdict, jobs, command."""
    import pandas as pd

    lines = []
    for row in table.rows:
        for column in table.columns:
            if (row.key, column.key) in table.cells and not (row.axes and column.unit):
                cell, place = table.cell(row, column), _place(table, row, column)
                lists = {name: " ".join(map(str, getattr(cell, name))) for name in ("seeds", "splits", "job_ids")}
                lines.append(place | asdict(cell) | lists | {"difference": cell.difference} | place)
    return pd.DataFrame(lines).convert_dtypes()


def _place(table: Table, row: Row, column: Column) -> dict[str, Any]:
    """Where a number is; of a table of all results its axes, and its costs as further columns."""
    if row.axes:
        costs = {other.key: table.cell(row, other).ours for other in table.columns if other.unit}
        return {**row.axes, "metric": column.key, **costs}
    group = next(group for group in table.groups if group.key == column.group)
    place = {"table": table.number, "scale": table.scale, "version": table.version}
    return place | {"row": row.key, "column": column.key, "paper_data": group.paper, "our_data": group.ours}


def csv(table: Table) -> str:
    """The frame, with six significant digits; empty fields where there is no number."""
    return str(frame(table).to_csv(index=False, lineterminator="\n", float_format=DIGITS))


def as_json(table: Table) -> str:
    """Everything the table holds; null where there is no number."""
    cells = [
        {"row": row, "column": column, **asdict(cell), "difference": cell.difference}
        for (row, column), cell in table.cells.items()
    ]
    fields: dict[str, Any] = {key: value for key, value in asdict(table).items() if key != "cells"}
    return json.dumps(fields | {"cells": cells}, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


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
