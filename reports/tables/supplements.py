"""Grids printed below a table, such as its significance and its cost, in the table's own format."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from harness.core.cells import upstream_closure
from harness.core.errors import HarnessError, unknown
from harness.records.record import Record
from reports.tables.labels import p_text
from reports.tables.latex import column_of, escaped, small_print
from reports.tables.model import Table


@dataclass(frozen=True)
class Aside:
    """A grid with a title and notes."""

    key: str
    """Its name in JSON."""
    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str | float, ...], ...]
    """Texts, and p values as numbers, which JSON keeps."""
    notes: tuple[str, ...]


def check_format(format: str, *, asides: bool) -> None:
    """Raise HarnessError for an unknown format, or one that cannot hold asides; for use before anything is run."""
    if format not in (*FORMATS, "csv", "json"):
        raise unknown("format", format, (*FORMATS, "csv", "json"))
    if format == "csv" and asides:
        raise HarnessError("a CSV file holds one table: ask for --significance or --with-cost with --format json")


def below(table: str, asides: Sequence[Aside], format: str) -> str:
    """The rendered table with its asides, in a format that `check_format` let pass."""
    if not asides:
        return table
    if format == "json":
        return json.dumps(json.loads(table) | {a.key: asdict(a) for a in asides}, indent=1, ensure_ascii=False) + "\n"
    return "\n".join([table, *[FORMATS[format](aside) for aside in asides]])


def _texts(aside: Aside) -> list[tuple[str, ...]]:
    return [tuple(cell if isinstance(cell, str) else p_text(cell) for cell in row) for row in aside.rows]


def terminal(aside: Aside) -> str:
    return "\n".join([aside.title, "", *([_grid(aside, "simple"), ""] if aside.rows else []), *aside.notes]) + "\n"


def _markdown(aside: Aside) -> str:
    grid = [_grid(aside, "pipe"), ""] if aside.rows else []
    return "\n".join([f"#### {aside.title}", "", *grid, *[f"- {note}" for note in aside.notes]]) + "\n"


def _html(aside: Aside) -> str:
    from html import escape

    notes = "".join(f"<li>{escape(note)}</li>" for note in aside.notes)
    grid = _grid(aside, "html") if aside.rows else ""
    return f'<section id="{aside.key}">\n<h3>{escape(aside.title)}</h3>\n{grid}\n<ul class="notes">{notes}</ul>\n</section>\n'


def _latex(aside: Aside) -> str:
    """A longtable: with a row for every number of a table, it may be longer than a page."""
    lines = [r"% needs \usepackage{booktabs,longtable}", r"{\scriptsize\setlength{\tabcolsep}{3pt}"]
    if aside.rows:
        rows = _texts(aside)
        columns = zip(aside.headers, *rows, strict=True)
        head, *body = [" & ".join(map(escaped, row)) + r" \\" for row in (aside.headers, *rows)]
        lines += [
            rf"\begin{{longtable}}{{{''.join(column_of(texts, share=0.155) for texts in columns)}}}",
            rf"\caption{{{escaped(aside.title)}}}\\",
            *[r"\toprule", head, r"\midrule", r"\endhead", r"\bottomrule", r"\endfoot"],
            *body,
            r"\end{longtable}",
        ]
    else:
        lines += [rf"\textbf{{{escaped(aside.title)}}}"]
    return "\n".join([*lines, *small_print(aside.notes), "}"]) + "\n"


def _grid(aside: Aside, tablefmt: str) -> str:
    from tabulate import tabulate

    return str(tabulate(_texts(aside), headers=aside.headers, tablefmt=tablefmt, disable_numparse=True))


FORMATS: Mapping[str, Callable[[Aside], str]] = {
    "terminal": terminal,
    "markdown": _markdown,
    "html": _html,
    "latex": _latex,
}


def costs(table: Table, records: Mapping[str, Record]) -> Aside:
    """The cost of each number, one line per number: jobs behind it, their wall-clock and GPU-hours. The total counts every job once."""
    if table.number == 1:
        raise HarnessError("Table 1 lists network sizes, which need no jobs; leave out --with-cost")
    rows: list[tuple[str, ...]] = []
    jobs_of = {place: upstream_closure(cell.job_ids, records) for place, cell in table.cells.items()}
    titles, groups = {row.key: row.title for row in table.rows}, {group.key: group.ours for group in table.groups}
    heads = {c.key: " ".join(filter(None, [groups[c.group], c.title, c.part])) for c in table.columns}
    derived = {column.key for column in table.columns if column.derived}
    for (row, column), cell in table.cells.items():
        if cell.ours is not None and cell.job_ids and column not in derived:
            numbers = _cost(jobs_of[row, column], records)
            rows.append((titles.get(row, row), heads.get(column, column), *numbers))
    every = {job_id for jobs in jobs_of.values() for job_id in jobs}
    # Columns of one number (top-5, RGB+Flow) read its jobs again, which saves nothing: count each scored job once.
    scored = {job_id for cell in table.cells.values() for job_id in cell.job_ids}
    saved = sum(len(upstream_closure([job_id], records)) for job_id in scored) - len(every)
    note = f"A number's cost is that of its jobs and all upstream; {saved} {'job was' if saved == 1 else 'jobs were'} saved by sharing."
    if rows:
        rows.append(("all of them", "each job once", *_cost(every, records)))
    return Aside(
        key="cost",
        title=f"Cost of the numbers of Table {table.number}",
        headers=("row", "column", "jobs", "wall s", "GPU-hours"),
        rows=tuple(rows),
        notes=(note if rows else "No number of this table has been run yet, so there is no cost to show.",),
    )


def _cost(jobs: Iterable[str], records: Mapping[str, Record]) -> list[str]:
    costs = [records[job_id].cost for job_id in jobs]
    wall_s = sum(float(cost.get("wall_s", 0.0)) for cost in costs)
    device_s = sum(float(cost.get("device_s", 0.0)) for cost in costs)
    return [str(len(costs)), f"{wall_s:,.0f}", f"{device_s / 3600:.2f}"]
