"""The paper's tables with our numbers: values first, then text in six formats. torch only for Table 1's parameters."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Collection
from typing import Any

from harness.core.cells import PUBLISHED, Cell
from harness.core.errors import HarnessError
from reports.tables.layout import Question, TableLayout, with_metrics
from reports.tables.measure import Lookup, fill
from reports.tables.model import Table, TableCell
from reports.tables.render import render
from reports.tables.supplements import Aside

NUMBERS = (1, 2, 3, 4, 5)
__all__ = [
    "NUMBERS",
    "Lookup",
    "Question",
    "Table",
    "TableCell",
    "build",
    "layouts",
    "render",
    "showing",
    "significance",
    "wanted",
]


def build(number: int, lookup: Lookup, question: Question) -> Table:
    """Table `number` as `question` asks for it; `lookup` gives the result of a cell, or None.

    Numbers are compared with those of one version of the paper. Several seeds give their mean, and their deviation.
    """
    module = _module(number)
    if number == 1:
        if question.metrics:
            raise HarnessError("Table 1 has sizes, not accuracies; leave out --metric")
        return module.build(question)
    layout: TableLayout = with_metrics(module.layout(question))
    printed = layout.printed()
    cells = {
        (slot.row, slot.column): fill(slot, lookup, question=question, printed=printed.get((slot.row, slot.column)))
        for slot in layout.slots
    }
    for key, number_ in printed.items():
        cells.setdefault(key, TableCell(paper=number_.value, verdict="blank", why=number_.note))
    measured = {column for (_, column), cell in cells.items() if cell.ours is not None}
    columns = tuple(column for column in layout.columns if not column.optional or column.key in measured)
    filled = {row for (row, _), cell in cells.items() if cell.paper is not None or cell.verdict != "blank"}
    rows = tuple(row for row in layout.rows if row.key in filled)
    places = set(itertools.product((row.key for row in rows), (column.key for column in columns)))
    cells = {place: cell for place, cell in cells.items() if place in places}
    source = f"Transfers are from {question.source}; architectures without such weights have none."
    table = Table(
        number=number,
        title=layout.title,
        scale=question.scale,
        version=question.version,
        groups=layout.groups,
        columns=columns,
        rows=rows,
        cells=cells,
        joiner=layout.joiner,
        notes=layout.notes + ((source,) if question.source else ()),
        ours_name="ours" if question.scale == "paper" else question.scale,
        command=question.command(number, layout.wanted()),
    )
    if hasattr(module, "derive"):
        cells.update(module.derive(table))
    return table


def wanted(number: int, question: Question) -> list[Cell]:
    """The cells that fill the table: those the paper prints a number for, and all of baselines of plug-ins."""
    if number == 1:
        return []
    return list(_module(number).layout(question).wanted())


def layouts(question: Question) -> tuple[TableLayout, ...]:
    """The tables of accuracies, without numbers."""
    return tuple(_module(number).layout(question) for number in NUMBERS if number > 1)


def showing(cells: Collection[Cell]) -> str:
    """Command that prints a table with all of these cells; '' if no table has them all."""
    seeds = tuple(dict.fromkeys(cell.seed for cell in cells))
    sources = {cell.source for cell in cells if cell.source.startswith(PUBLISHED)}
    scales = {cell.scale for cell in cells}
    if len(scales) > 1 or len(sources) > 1:
        return ""
    question = Question(scale=scales.pop(), seeds=seeds, source=sources.pop() if sources else None)
    complete = (number for number in (4, 5, 3, 2) if _module(number).layout(question).covers(cells))
    return next((question.command(number, cells) for number in complete), "")


def significance(number: int, lookup: Lookup, question: Question) -> Aside:
    """The significance of the differences between the rows of a table."""
    from reports.tables import paired_tests

    if number == 1:
        raise HarnessError("Table 1 has sizes, not accuracies; leave out --significance")
    layout = _module(number).layout(question)
    return paired_tests.aside_of(layout, paired_tests.compare(layout, lookup))


def _module(number: int) -> Any:
    if number not in NUMBERS:
        raise HarnessError(f"the paper has no Table {number} of results; have: {', '.join(map(str, NUMBERS))}")
    return importlib.import_module(f"reports.tables.table_{number}")
