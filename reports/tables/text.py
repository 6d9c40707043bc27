"""A table as plain text and as Markdown. Our numbers and the paper's have columns of their own, headed by their data sets."""

from __future__ import annotations

import shutil

from reports.tables import grid, labels
from reports.tables.model import Table


def terminal(table: Table) -> str:
    """Plain text, one block per data set, one line for each part of a cell. The paper's columns fit in 120 letters.

    In a narrower terminal, sizes and costs are in a grid of their own below the numbers.
    """
    lines = [labels.title(table), *([f"Paper: {table.version}"] if table.version else [])]
    for block in grid.blocks(table):
        lines += ["", block.title, *_fitted(block, width=shutil.get_terminal_size((120, 24)).columns)]
    if grid.has_derived(table):
        lines += ["", _derived_grid(table, tablefmt="simple")]
    return "\n".join([*lines, "", *labels.legend(table), *labels.sources(table)]) + "\n"


def markdown(table: Table) -> str:
    """GitHub's tables, one per data set, parts joined as the paper does."""
    lines = [f"### {labels.title(table)}", *(["", f"Paper: `{table.version}`"] if table.version else [])]
    for block in grid.blocks(table):
        stacks = grid.stacks_of(block.table, block.groups)
        lines += ["", f"**{block.title}**", "", _grid(block, stacks, split_parts=False, tablefmt="pipe")]
    if grid.has_derived(table):
        lines += ["", _derived_grid(table, tablefmt="pipe")]
    notes = [f"- {note}" for note in labels.legend(table) + labels.sources(table)]
    return "\n".join([*lines, "", *notes]) + "\n"


def _fitted(block: grid.Block, *, width: int) -> list[str]:
    """The block as one grid, or as two if it is wider than the terminal and has columns of both kinds."""
    stacks = grid.stacks_of(block.table, block.groups)
    sized = {key: stack for key, stack in stacks.items() if stack[0].unit}
    others = {key: stack for key, stack in stacks.items() if key not in sized}
    whole = _grid(block, stacks, split_parts=True, tablefmt="simple")
    if not sized or not others or len(whole.splitlines()[0]) <= width:
        return [whole]
    first, second = (_grid(block, part, split_parts=True, tablefmt="simple") for part in (others, sized))
    return [first, "", second]


def _grid(block: grid.Block, stacks: grid.Stacks, *, split_parts: bool, tablefmt: str) -> str:
    table, groups = block.table, block.groups
    parts = labels.part_titles([column for stack in stacks.values() for column in stack]) if split_parts else []
    sides = grid.sides_of(table, stacks)
    headers = ["", *([""] if parts else [])]
    rows = []
    for ours, key in sides:
        side = table.ours_name if ours else table.theirs_name
        headers.append("\n".join(filter(None, [side, *grid.heading(groups, key, ours=ours)])))
    for row, part, chosen in grid.lines_of(table, stacks, split_parts=split_parts):
        numbers = [grid.number(table, row, chosen[key], ours=ours) for ours, key in sides]
        rows.append([row.title, *([part] if parts else []), *numbers])
    return _tabulated(rows, headers, tablefmt)


def _tabulated(rows: list[list[str]], headers: list[str], tablefmt: str) -> str:
    """tabulate's text; a pipe table has one line of headings, and a row's title is not repeated on its next line."""
    from tabulate import tabulate

    heads = [head.replace("\n", ", ") for head in headers] if tablefmt == "pipe" else headers
    titles = [""] + [row[0] for row in rows]
    lines = [["" if row[0] == before else row[0], *row[1:]] for before, row in zip(titles, rows, strict=False)]
    return tabulate(lines, headers=heads, tablefmt=tablefmt, disable_numparse=True)


def _derived_grid(table: Table, *, tablefmt: str) -> str:
    stacks = grid.stacks_of(table, list(table.groups), derived=True)
    columns = [column for stack in stacks.values() for column in stack]
    names = {group.key: group for group in table.groups}
    headers = [f"{next(iter(stacks))[1]}, %\n{' / '.join(labels.part_titles(columns))}"]
    headers += [f"{table.ours_name}\n{names[key].ours}" for key, _ in stacks]
    headers += [f"paper\n{names[key].paper}" for key, _ in stacks]
    rows = [
        [row.title, *[grid.number(table, row, stack, ours=ours) for ours in (True, False) for stack in stacks.values()]]
        for row in labels.shown_rows(table, columns)
    ]
    return _tabulated(rows, headers, tablefmt)
