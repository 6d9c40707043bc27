"""A table as text. Every format shows our numbers and the paper's in columns of their own, headed by their data sets."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from harness.core.errors import unknown
from reports.tables import words
from reports.tables.model import Column, Group, Row, Table

if TYPE_CHECKING:
    import pandas as pd

Stacks = dict[tuple[str, str], list[Column]]


def render(table: Table, how: str) -> str:
    """The table in one of the formats. Raises UnknownName for another."""
    if how not in FORMATS:
        raise unknown("format", how, FORMATS)
    return FORMATS[how](table)


# ---------------------------------------------------------------------------------------------- terminal


def terminal(table: Table) -> str:
    """Plain text of at most 120 columns: one block a data set, one line for each part of a cell."""
    lines = [words.title(table), f"Paper: {table.version}"]
    for groups in blocks(table):
        lines += ["", block_title(table, groups), _grid(table, groups, split_parts=True, tablefmt="simple")]
    if has_derived(table):
        lines += ["", _derived_grid(table, tablefmt="simple")]
    return "\n".join([*lines, "", *words.legend(table), *words.sources(table)]) + "\n"


def blocks(table: Table) -> list[list[Group]]:
    """Groups that are printed side by side: all, where each has one column; else one block each. Empty ones are left out."""
    titles = [sum(group == key for group, _ in table.stacks()) for key in (g.key for g in table.groups)]
    found = [list(table.groups)] if max(titles) == 1 else [[group] for group in table.groups]
    return [groups for groups in found if lines_of(table, stacks_of(table, groups), split_parts=False)]


def has_derived(table: Table) -> bool:
    """Whether computed columns have anything in them."""
    return bool(lines_of(table, table.stacks(derived=True), split_parts=False))


def stacks_of(table: Table, groups: list[Group], *, derived: bool = False) -> Stacks:
    """The table's stacks that stand under these groups."""
    keys = {group.key for group in groups}
    return {key: stack for key, stack in table.stacks(derived=derived).items() if key[0] in keys}


def sides_of(table: Table, stacks: Stacks) -> list[tuple[bool, tuple[str, str]]]:
    """(ours?, stack key) of every column to print, ours first; where the paper has no number at all it gets no column."""
    has = [
        key
        for key, stack in stacks.items()
        if any(table.cell(r, c).paper is not None for r in table.rows for c in stack)
    ]
    return [(True, key) for key in stacks] + [(False, key) for key in has]


def lines_of(table: Table, stacks: Stacks, *, split_parts: bool) -> list[tuple[Row, str, Stacks]]:
    """(row, part, the part's columns by stack) for every line with something in it; one line a row unless split."""
    columns = [column for stack in stacks.values() for column in stack]
    parts = (words.part_titles(columns) if split_parts else []) or [""]
    lines = []
    for row in words.shown_rows(table, columns):
        for part in parts:
            kept = {key: [column for column in stack if part in ("", column.part)] for key, stack in stacks.items()}
            if words.shown_rows(replace(table, rows=(row,)), [column for stack in kept.values() for column in stack]):
                lines.append((row, part, kept))
    return lines


def block_title(table: Table, groups: list[Group]) -> str:
    told = []
    for group in groups:
        name = group.paper if group.paper == group.ours else f"{group.ours} beside the paper's {group.paper}"
        count = words.videos(table.cell(row, c) for row in table.rows for c in table.columns if c.group == group.key)
        told.append(f"{name}, {count}" if count else name)
    return "; ".join(told)


def _grid(table: Table, groups: list[Group], *, split_parts: bool, tablefmt: str) -> str:
    stacks = stacks_of(table, groups)
    parts = words.part_titles([column for stack in stacks.values() for column in stack]) if split_parts else []
    headers = [""] + ([""] if parts else [])
    shown = sides_of(table, stacks)
    headers += [_header(table, groups, key, mine=mine) for mine, key in shown]
    rows = []
    for row, part, kept in lines_of(table, stacks, split_parts=split_parts):
        numbers = [_text(table, row, kept[key], mine=mine) for mine, key in shown]
        rows.append([row.title, *([part] if parts else []), *numbers])
    return _tabulated(rows, headers, tablefmt)


def _tabulated(rows: list[list[str]], headers: list[str], tablefmt: str) -> str:
    """tabulate's text; a pipe table has one line of headings, and a row's title is not said twice in succession."""
    from tabulate import tabulate

    heads = [head.replace("\n", ", ") for head in headers] if tablefmt == "pipe" else headers
    titles = [""] + [row[0] for row in rows]
    told = [["" if row[0] == before else row[0], *row[1:]] for before, row in zip(titles, rows, strict=False)]
    return tabulate(told, headers=heads, tablefmt=tablefmt, disable_numparse=True)


def _header(table: Table, groups: list[Group], key: tuple[str, str], *, mine: bool) -> str:
    group = next(group for group in groups if group.key == key[0])
    whose = table.ours_name if mine else "paper"
    name = group.ours if mine else group.paper
    return "\n".join(filter(None, [whose, name if len(groups) > 1 else "", key[1]]))


def _text(table: Table, row: Row, stack: list[Column], *, mine: bool) -> str:
    show = words.ours if mine else words.printed
    return words.joined([show(table.cell(row, column), column) for column in stack], table.joiner)


def _derived_grid(table: Table, *, tablefmt: str) -> str:
    stacks = table.stacks(derived=True)
    columns = [column for stack in stacks.values() for column in stack]
    names = {group.key: group for group in table.groups}
    parts = " / ".join(words.part_titles(columns))
    headers = [f"{next(iter(stacks))[1]}, %\n{parts}"]
    headers += [f"{table.ours_name}\n{names[key].ours}" for key, _ in stacks]
    headers += [f"paper\n{names[key].paper}" for key, _ in stacks]
    rows = [
        [row.title, *[_text(table, row, stack, mine=mine) for mine in (True, False) for stack in stacks.values()]]
        for row in words.shown_rows(table, columns)
    ]
    return _tabulated(rows, headers, tablefmt)


# ---------------------------------------------------------------------------------------------- markdown


def markdown(table: Table) -> str:
    """GitHub's tables, one a data set, parts joined as the paper does."""
    lines = [f"### {words.title(table)}", "", f"Paper: `{table.version}`"]
    for groups in blocks(table):
        grid = _grid(table, groups, split_parts=False, tablefmt="pipe")
        lines += ["", f"**{block_title(table, groups)}**", "", grid]
    if has_derived(table):
        lines += ["", _derived_grid(table, tablefmt="pipe")]
    notes = [f"- {note}" for note in words.legend(table) + words.sources(table)]
    return "\n".join([*lines, "", *notes]) + "\n"


# ---------------------------------------------------------------------------------------------- data


def frame(table: Table) -> pd.DataFrame:
    """One line a number: where it stands, the paper's, ours, interval, n, verdict, jobs, command."""
    import pandas as pd

    groups = {group.key: group for group in table.groups}
    lines = []
    for row in table.rows:
        for column in table.columns:
            if (row.key, column.key) in table.cells:
                cell, group = table.cell(row, column), groups[column.group]
                place = {"table": table.number, "scale": table.scale, "version": table.version}
                place |= {"row": row.key, "column": column.key, "paper_data": group.paper, "our_data": group.ours}
                numbers = asdict(cell) | {"difference": cell.difference, "job_ids": " ".join(cell.job_ids)}
                lines.append(place | numbers)
    return pd.DataFrame(lines).convert_dtypes()


def csv(table: Table) -> str:
    """The frame; empty fields where there is no number."""
    return str(frame(table).to_csv(index=False, lineterminator="\n"))


def as_json(table: Table) -> str:
    """Everything the table holds; null where there is no number."""
    cells = [
        {"row": row, "column": column, **asdict(cell), "difference": cell.difference}
        for (row, column), cell in table.cells.items()
    ]
    fields: dict[str, Any] = {key: value for key, value in asdict(table).items() if key != "cells"}
    return json.dumps(fields | {"cells": cells}, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _latex(table: Table) -> str:
    from reports.tables.latex import latex

    return latex(table)


def _html(table: Table) -> str:
    from reports.tables.html import html

    return html(table)


FORMATS: Mapping[str, Callable[[Table], str]] = {
    "terminal": terminal,
    "markdown": markdown,
    "latex": _latex,
    "csv": csv,
    "json": as_json,
    "html": _html,
}
