"""A table as an HTML fragment: without style or script, which the page adds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from reports.tables import grid, labels
from reports.tables.model import Column, ColumnGroup, Row, Table, TableCell

JobLink = Callable[[str], str]


def html(table: Table, *, job_link: JobLink | None = None) -> str:
    """A <section class="paper-table"> with one <table> per data set.

    Our cells open to show details: the verdict in words (and as a class), the jobs (in data-jobs and, with
    `job_link`, job id -> href, as links) and the command that reproduces it. Each table is in a region that may scroll.
    """
    name = f"table-{table.key}"
    parts = [f'<section class="paper-table" id="{name}" aria-labelledby="{name}-title">']
    parts.append(f'<h2 id="{name}-title">{escape(labels.title(table))}</h2>')
    for block in grid.blocks(table):
        parts.append(_table(block, job_link=job_link))
    if grid.has_derived(table):
        parts.append(_table(grid.Block("", table, list(table.groups)), job_link=job_link, derived=True))
    notes = "".join(f"<li>{_prose(note)}</li>" for note in labels.notes(table))
    parts.append(f"<ul class='notes'>{notes}</ul>")
    return "\n".join([*parts, "</section>"]) + "\n"


def _table(block: grid.Block, *, job_link: JobLink | None, derived: bool = False) -> str:
    table, groups = block.table, block.groups
    stacks = grid.stacks_of(table, groups, derived=derived)
    lines = grid.lines_of(table, stacks, split_parts=True)
    parts = any(part for _, part, _ in lines)
    sides = grid.sides_of(table, stacks)
    caption = next(iter(stacks))[1] + ", %" if derived else block.title
    text = [f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">', "<table>"]
    text += [f"<caption><span>{escape(caption)}</span></caption>"]
    text += [*_head(table, groups, sides, names=1 + parts), "<tbody>"]
    before = ""
    for row, part, columns in lines:
        fresh, before = row.title != before, row.title
        cells = [(ours, column) for ours, key in sides for column in columns[key]]
        text.append(_row(table, row, cells, part=part if parts else None, fresh=fresh, job_link=job_link))
    return "\n".join([*text, "</tbody>", "</table>", "</div>"])


def _head(
    table: Table, groups: list[ColumnGroup], sides: Sequence[tuple[bool, tuple[str, str]]], *, names: int
) -> list[str]:
    """Two lines: ours or the published numbers, if both are named; then data set and title."""
    text = ["<thead>"]
    text += [f'<tr><td colspan="{names}"></td>'] if table.ours_name else []
    for ours, whose in ((True, table.ours_name), (False, table.theirs_name)):
        width = sum(side is ours for side, _ in sides)
        if width and table.ours_name:
            text.append(f'<th scope="colgroup" colspan="{width}" class="{_side(ours, not ours)}">{escape(whose)}</th>')
    text += ["</tr>"] if table.ours_name else []
    text += [f'<tr><th scope="col" colspan="{names}">{"Architecture" if table.number else "Run"}</th>']
    for k, (ours, key) in enumerate(sides):
        heading = ", ".join(grid.heading(groups, key, ours=ours))
        edge = not ours and (k == 0 or sides[k - 1][0])
        text.append(f'<th scope="col" class="{_side(ours, edge)}">{escape(heading)}</th>')
    return [*text, "</tr>", "</thead>"]


def _side(ours: bool, edge: bool) -> str:
    """Class of a cell: ours, or the paper's, whose first column has an edge."""
    return "ours" if ours else "paper edge" if edge else "paper"


def _row(
    table: Table,
    row: Row,
    cells: Sequence[tuple[bool, Column]],
    *,
    part: str | None,
    fresh: bool,
    job_link: JobLink | None,
) -> str:
    note = f' title="{escape(row.note)}"' if row.note else ""
    start = f'<th scope="row"{note}>{escape(row.title)}</th>'
    start += f'<th scope="row" class="part">{escape(part)}</th>' if part is not None else ""
    numbers, before = [], True
    for ours, column in cells:
        cell = table.cell(row, column)
        if ours:
            numbers.append(_ours(table, cell, column, job_link))
        else:
            numbers.append(f'<td class="{_side(False, before)}">{escape(labels.printed(cell, column))}</td>')
        before = ours
    return f'<tr class="{"first" if fresh else "more"}">{start}' + "".join(numbers) + "</tr>"


def _ours(table: Table, cell: TableCell, column: Column, job_link: JobLink | None) -> str:
    number = _dressed(labels.ours(cell, column))
    if cell.ours is None or not cell.command:
        return f'<td class="ours {_class(cell)}" title="{escape(cell.why)}">{number}</td>'
    jobs = " ".join(cell.job_ids)
    return (
        f'<td class="ours {_class(cell)}" data-jobs="{escape(jobs)}"><details name="table-{table.key}">'
        f'<summary>{number}</summary><div class="behind">{_behind(cell, column, job_link)}</div></details></td>'
    )


def _behind(cell: TableCell, column: Column, job_link: JobLink | None) -> str:
    """Details of a number, in sentences."""
    sentences = [f"{cell.verdict.capitalize()}: {cell.why}."]
    if cell.n is not None:
        sentences.append(f"{cell.n} of {cell.n_of} videos." if cell.n != cell.n_of else f"{cell.n} videos.")
    if len(cell.splits) > 1 or len(cell.seeds) > 1:
        sentences.append(_mean_of(cell, column))
    if cell.difference is not None:
        apart = f"{cell.difference:+.{column.decimals}f}"
        sentences.append(f"{apart} points from the published {labels.printed(cell, column)}.")
    if cell.undecodable:
        sentences.append(f"{cell.undecodable} of them cannot be decoded and count as wrong.")
    sentences += [f"It {cell.caveat}."] if cell.caveat else []
    text = f"<p>{escape(' '.join(sentences))}</p>"
    if job_link is not None:
        links = ", ".join(f'<a href="{escape(job_link(job))}"><code>{escape(job)}</code></a>' for job in cell.job_ids)
        text += f"<p>{'Job' if len(cell.job_ids) == 1 else 'Jobs'} {links}</p>"
    return text + f"<pre><code>{escape(cell.command)}</code></pre>"


def _mean_of(cell: TableCell, column: Column) -> str:
    """'Mean of splits 1, 2, 3 (sample deviation 0.4) and seeds 0, 1 (0.2).'"""
    parts: list[str] = []
    splits, seeds = ("splits", cell.splits, cell.split_deviation), ("seeds", cell.seeds, cell.seed_deviation)
    for axis, values, deviation in (splits, seeds):
        if len(values) > 1 and deviation is not None:
            name = "sample deviation " if not parts else ""
            parts.append(f"{axis} {', '.join(map(str, values))} ({name}{deviation:.{column.decimals}f})")
    return f"Mean of {' and '.join(parts)}."


def _prose(text: str) -> str:
    """The sentence, with text between backticks as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if k % 2 else part for k, part in enumerate(parts))


def _dressed(text: str) -> str:
    """The number, with its interval and its deviation as elements of their own."""
    number, bracket, rest = text.partition(" [")
    interval, _, deviation = rest.partition("]")
    dressed = escape(number)
    dressed += f'<span class="ci">[{escape(interval)}]</span>' if bracket else ""
    return dressed + (f'<span class="dev">{escape(deviation.strip())}</span>' if deviation.strip() else "")


def _class(cell: TableCell) -> str:
    rank = f" rank-{cell.rank.replace(' ', '-')}" if cell.rank else ""
    return "verdict-" + cell.verdict.replace(" ", "-") + rank
