"""Which blocks, columns and lines of a table are printed; the same in every text format."""

from __future__ import annotations

from dataclasses import dataclass, replace

from reports.tables import labels
from reports.tables.model import Column, ColumnGroup, Row, Table

Stacks = dict[tuple[str, str], list[Column]]
"""(group, title) -> columns that are printed as one, a part each."""


@dataclass(frozen=True)
class Block:
    """A part of a table that is printed as one grid."""

    title: str
    table: Table
    """The table with the rows of this block."""
    groups: list[ColumnGroup]
    """Groups whose columns are side by side."""


def blocks(table: Table) -> list[Block]:
    """One per group of rows, if the table has any. Else one for all groups of columns if each has one column, else one each.

    Empty ones are left out.
    """
    if table.row_groups:
        parts = [(rows.title, replace(table, rows=rows.rows)) for rows in table.row_groups]
        return [Block(title + _counted(part), part, list(table.groups)) for title, part in parts]
    widths = [sum(key == group.key for key, _ in table.stacks()) for group in table.groups]
    groups = [list(table.groups)] if max(widths) == 1 else [[group] for group in table.groups]
    shown = [block for block in groups if lines_of(table, stacks_of(table, block), split_parts=False)]
    return [Block(block_title(table, block), table, block) for block in shown]


def _counted(table: Table) -> str:
    """', 240 videos', if all rows have been scored on the same number."""
    counts = {cell.n_of for row in table.rows for column in table.columns if (cell := table.cell(row, column)).n}
    shown = labels.videos(table.cell(row, column) for row in table.rows for column in table.columns)
    return f", {shown}" if len(counts) == 1 else ""


def has_derived(table: Table) -> bool:
    """Whether any computed column has a number."""
    return bool(lines_of(table, stacks_of(table, list(table.groups), derived=True), split_parts=False))


def stacks_of(table: Table, groups: list[ColumnGroup], *, derived: bool = False) -> Stacks:
    """The table's stacks under these groups."""
    keys = {group.key for group in groups}
    return {key: stack for key, stack in table.stacks(derived=derived).items() if key[0] in keys}


def sides_of(table: Table, stacks: Stacks) -> list[tuple[bool, tuple[str, str]]]:
    """(ours?, stack key) of every column to print, ours first; where the paper has no number at all it gets no column."""

    def printed(stack: list[Column]) -> bool:
        return any(table.cell(row, column).paper is not None for row in table.rows for column in stack)

    return [(True, key) for key in stacks] + [(False, key) for key, stack in stacks.items() if printed(stack)]


def lines_of(table: Table, stacks: Stacks, *, split_parts: bool) -> list[tuple[Row, str, Stacks]]:
    """(row, part, columns of the part by stack) for every line with a number; one line per row unless split."""
    columns = [column for stack in stacks.values() for column in stack]
    parts = (labels.part_titles(columns) if split_parts else []) or [""]
    lines = []
    for row in labels.shown_rows(table, columns):
        for part in parts:
            chosen = {key: [column for column in stack if part in ("", column.part)] for key, stack in stacks.items()}
            if labels.shown_rows(
                replace(table, rows=(row,)), [column for stack in chosen.values() for column in stack]
            ):
                lines.append((row, part, chosen))
    return lines


def block_title(table: Table, groups: list[ColumnGroup]) -> str:
    """The data sets, ours and the paper's, with the number of videos."""
    titles = []
    for group in groups:
        name = group.paper if group.paper == group.ours else f"{group.ours} next to the paper's {group.paper}"
        count = labels.videos(table.cell(row, c) for row in table.rows for c in table.columns if c.group == group.key)
        titles.append(f"{name}, {count}" if count else name)
    return "; ".join(titles)


def heading(groups: list[ColumnGroup], key: tuple[str, str], *, ours: bool) -> list[str]:
    """The data set of a stack, where the block has several, and its title, where it has one."""
    group = next(group for group in groups if group.key == key[0])
    data = group.ours if ours else group.paper
    return list(filter(None, [data if len(groups) > 1 else "", key[1]]))


def number(table: Table, row: Row, stack: list[Column], *, ours: bool) -> str:
    """The parts of one cell of the grid, joined."""
    show = labels.ours if ours else labels.printed
    return labels.joined([show(table.cell(row, column), column) for column in stack], table.joiner)
