"""A table as LaTeX, for \\usepackage{booktabs}; accents and signs are plain enough for any engine."""

from __future__ import annotations

from collections.abc import Sequence

from reports.tables import words
from reports.tables.model import Column, Group, Row, Table

ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "$": r"\$",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "[": "{[}",
    "±": r"$\pm$",
    "·": r"$\cdot$",
    "<": r"$<$",
    ">": r"$>$",
}


def escaped(text: str) -> str:
    """The text with LaTeX's special letters made harmless; a bracket after a line break would be read as its length."""
    return "".join(ESCAPES.get(letter, letter) for letter in text)


def latex(table: Table) -> str:
    """A table environment with one tabular a data set: our columns under one rule, the paper's under another."""
    from reports.tables.text import blocks

    lines = [r"\begin{table}", r"\centering\footnotesize", rf"\caption{{{escaped(words.title(table))}}}"]
    for groups in blocks(table):
        lines += _tabular(table, groups)
    if table.stacks(derived=True):
        lines += _tabular(table, list(table.groups), derived=True)
    notes = [*words.legend(table), f"Paper: {table.version}."]
    lines += [r"\par\smallskip\raggedright\scriptsize", *[escaped(note) + r"\\" for note in notes], r"\end{table}"]
    return "\n".join(lines) + "\n"


def _tabular(table: Table, groups: list[Group], *, derived: bool = False) -> list[str]:
    from reports.tables.text import lines_of, sides_of, stacks_of

    stacks = stacks_of(table, groups, derived=derived)
    lines = lines_of(table, stacks, split_parts=True)
    names = 2 if any(part for _, part, _ in lines) else 1
    shown = sides_of(table, stacks)
    widths = [len(stacks), len(shown) - len(stacks)]
    one = groups[0] if len(groups) == 1 else None
    heads = [f"{table.ours_name}, {one.ours}", f"paper, {one.paper}"] if one else [table.ours_name, "paper"]
    spans = [rf" \multicolumn{{{width}}}{{l}}{{{escaped(head)}}}" for width, head in zip(widths, heads, strict=True)]
    start, middle, end = names + 1, names + widths[0], names + sum(widths)
    text = [
        rf"\begin{{tabular}}{{{'l' * end}}}",
        r"\toprule",
        " &" * names + " & ".join(spans) + r" \\",
        rf"\cmidrule(lr){{{start}-{middle}}}\cmidrule(lr){{{middle + 1}-{end}}}",
        _line([""] * names + [_head(groups, key, mine=mine) for mine, key in shown]),
        r"\midrule",
    ]
    before = ""
    for row, part, kept in lines:
        title = ["" if row.title == before else row.title] + ([part] if names == 2 else [])
        text.append(_line(title + [_number(table, row, kept[key], mine=mine) for mine, key in shown]))
        before = row.title
    return [*text, r"\bottomrule", r"\end{tabular}", r"\par\medskip"]


def _head(groups: list[Group], key: tuple[str, str], *, mine: bool) -> str:
    group = next(group for group in groups if group.key == key[0])
    name = group.ours if mine else group.paper
    return ", ".join(filter(None, [name if len(groups) > 1 else "", key[1]]))


def _number(table: Table, row: Row, stack: list[Column], *, mine: bool) -> str:
    show = words.ours if mine else words.printed
    return words.joined([show(table.cell(row, column), column) for column in stack], table.joiner)


def _line(texts: Sequence[str]) -> str:
    return " & ".join(escaped(text) for text in texts) + r" \\"
