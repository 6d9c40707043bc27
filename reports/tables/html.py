"""A table as an HTML fragment: no style and no script in it, so that a page can dress it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from reports.tables import words
from reports.tables.model import Column, Group, Row, Table, TableCell

JobLink = Callable[[str], str]


def html(table: Table, *, job_link: JobLink | None = None) -> str:
    """A <section class="paper-table"> with one <table> a data set.

    A cell of ours says its verdict as a class and in words, its jobs in data-jobs and, with `job_link` (job id -> href), as
    links; and the command that reproduces it.
    """
    from reports.tables.text import blocks

    name = f"table-{table.number}"
    parts = [f'<section class="paper-table" id="{name}" aria-labelledby="{name}-title">']
    parts.append(f'<h2 id="{name}-title">{escape(words.title(table))}</h2>')
    for groups in blocks(table):
        parts.append(_table(table, groups, job_link=job_link))
    if table.stacks(derived=True):
        parts.append(_table(table, list(table.groups), job_link=job_link, derived=True))
    notes = [*words.legend(table), *words.sources(table), f"Paper: {table.version}."]
    parts.append("<ul class='notes'>" + "".join(f"<li>{escape(note)}</li>" for note in notes) + "</ul>")
    return "\n".join([*parts, "</section>"]) + "\n"


def _table(table: Table, groups: list[Group], *, job_link: JobLink | None, derived: bool = False) -> str:
    from reports.tables.text import block_title, lines_of, stacks_of

    stacks = stacks_of(table, groups, derived=derived)
    lines = lines_of(table, stacks, split_parts=True)
    parts = any(part for _, part, _ in lines)
    caption = next(iter(stacks))[1] + ", %" if derived else block_title(table, groups)
    names = {group.key: group for group in groups}
    text = ["<table>", f"<caption>{escape(caption)}</caption>", "<thead>"]
    text.append(f'<tr><td colspan="{1 + parts}"></td>')
    text += [f'<th scope="colgroup" colspan="{len(stacks)}">{escape(head)}</th>' for head in (table.ours_name, "paper")]
    text += ["</tr>", f'<tr><th scope="col" colspan="{1 + parts}">Architecture</th>']
    for mine in (True, False):
        for key, title in stacks:
            data = names[key].ours if mine else names[key].paper
            heading = ", ".join(filter(None, [data if len(groups) > 1 else "", title]))
            text.append(f'<th scope="col">{escape(heading)}</th>')
    text += ["</tr>", "</thead>", "<tbody>"]
    for row, part, kept in lines:
        columns = [column for stack in kept.values() for column in stack]
        text.append(_row(table, row, columns, part=part if parts else None, job_link=job_link))
    return "\n".join([*text, "</tbody>", "</table>"])


def _row(table: Table, row: Row, columns: Sequence[Column], *, part: str | None, job_link: JobLink | None) -> str:
    ours = [_ours(table.cell(row, column), column, job_link) for column in columns]
    paper = [f'<td class="paper">{escape(words.printed(table.cell(row, column), column))}</td>' for column in columns]
    note = f' title="{escape(row.note)}"' if row.note else ""
    start = f'<th scope="row"{note}>{escape(row.title)}</th>'
    start += f'<th scope="row">{escape(part)}</th>' if part is not None else ""
    return f"<tr>{start}" + "".join(ours + paper) + "</tr>"


def _ours(cell: TableCell, column: Column, job_link: JobLink | None) -> str:
    number = escape(words.ours(cell, column))
    if cell.ours is None:
        return f'<td class="ours {_class(cell)}" title="{escape(cell.why)}">{number}</td>'
    jobs = " ".join(cell.job_ids)
    links = ""
    if job_link is not None:
        links = " ".join(f'<a href="{escape(job_link(job))}">{escape(job)}</a>' for job in cell.job_ids)
    count = (
        "" if cell.n is None else f" {cell.n} of {cell.n_of} videos." if cell.n != cell.n_of else f" {cell.n} videos."
    )
    caveat = f" It {escape(cell.caveat)}." if cell.caveat else ""
    detail = f"{escape(cell.verdict)}: {escape(cell.why)}.{count}{caveat}"
    command = f"<code>{escape(cell.command)}</code>" if cell.command else ""
    return (
        f'<td class="ours {_class(cell)}" data-jobs="{escape(jobs)}"><details><summary>{number}</summary>'
        f"<p>{detail}</p><p>{links}</p>{command}</details></td>"
    )


def _class(cell: TableCell) -> str:
    return "verdict-" + cell.verdict.replace(" ", "-")
