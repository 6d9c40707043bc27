"""Grids printed below a table, such as its significance and its cost, in the table's own format."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from harness.core.errors import HarnessError, unknown
from reports.tables.latex import column_of, escaped, small_print
from reports.tables.words import p_text


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
