"""All results as a pandas table with one row per number, for `harness.results`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from reports.tables.model import Row, Table

if TYPE_CHECKING:
    import pandas as pd


def wide_frame(table: Table) -> pd.DataFrame:
    """One row per line of the table of all results.

    Its axes, with `splits` and `seeds` as words; each metric with its 95% interval, its sample deviation over seeds, and the
    published number, in the metric's unit; numbers of videos; costs (millions of parameters, GMACs, seconds); job ids.
    """
    import pandas as pd

    return pd.DataFrame([dict(_fields(table, row)) for row in table.rows]).convert_dtypes()


def _fields(table: Table, row: Row) -> Iterator[tuple[str, Any]]:
    yield from row.axes.items()
    metrics = [column for column in table.columns if column.metric == column.key]
    for column in metrics:
        cell = table.cell(row, column)
        yield column.key, cell.ours
        for field in ("low", "high", "seed_deviation"):
            yield f"{column.key}_{field}", getattr(cell, field)
        yield f"{column.key}_published", cell.paper
    first = table.cell(row, metrics[0])
    for field in ("n", "n_of", "undecodable", "rank", "verdict", "caveat", "command"):
        yield field, getattr(first, field)
    for column in table.columns:
        if column not in metrics:
            yield column.key, table.cell(row, column).ours
    yield "jobs", " ".join(first.job_ids)
