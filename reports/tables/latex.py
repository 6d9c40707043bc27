"""A table as LaTeX, for \\usepackage{booktabs}; accents and signs are plain enough for any engine.

Fits the text of an A4 page with margins of 2.5 cm: intervals are set small, and so are the gaps between columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from reports.tables import grid, labels
from reports.tables.model import ColumnGroup, Table

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


def prose(text: str) -> str:
    """Escaped, with text between backticks in a typewriter font, which may break at its spaces."""
    parts = [escaped(part) for part in text.split("`")]
    return "".join(rf"\texttt{{{part.replace('--', '-{}-')}}}" if k % 2 else part for k, part in enumerate(parts))


def latex(table: Table) -> str:
    """A table environment with one tabular per data set: our columns under one rule, the paper's under another.

    A table with groups of rows has a longtable for each, since a group may be longer than a page.
    """
    scale = "" if table.scale == "paper" else f", {table.scale} scale"
    caption = f"As Table {table.number} of the paper{scale}. {table.title}" if table.number else labels.title(table)
    notes = small_print(labels.notes(table))
    if table.row_groups:
        lines = [r"% needs \usepackage{booktabs,longtable}", "{" + SETTING]
        for block in grid.blocks(table):
            lines += _tabular(block.table, block.groups, caption=f"{caption}. {block.title}")
        return "\n".join([*lines, *notes, "}"]) + "\n"
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering" + SETTING,
        rf"\caption{{{escaped(caption)}}}",
    ]
    for block in grid.blocks(table):
        lines += _tabular(block.table, block.groups)
    if grid.has_derived(table):
        lines += _tabular(table, list(table.groups), derived=True)
    return "\n".join([*lines, *notes, r"\end{table}"]) + "\n"


SETTING = r"\footnotesize\setlength{\tabcolsep}{3.5pt}"
LONG = 22
"""A name of more letters may be broken over lines."""
LONG_WORD = re.compile(r"\S{23,}")
BREAKS = re.compile(r"(?<=[/=:_])(?=\w)|(?<=\.)(?=[A-Za-z])")
"""Where a long word, such as a path, may be broken; LaTeX itself breaks after '-'."""


def column_of(texts: Iterable[str], *, share: float) -> str:
    """'l', or, where a text is long, a column of that share of the line in which lines break."""
    return rf"p{{{share:g}\linewidth}}" if max(map(len, texts)) > LONG else "l"


def small_print(notes: Sequence[str]) -> list[str]:
    """Lines below a tabular."""
    return [r"\par\smallskip\raggedright\scriptsize", *[prose(note) + r"\par" for note in notes]]


def _tabular(table: Table, groups: list[ColumnGroup], *, derived: bool = False, caption: str = "") -> list[str]:
    """Lines of a tabular; with a caption, of a longtable."""
    stacks = grid.stacks_of(table, groups, derived=derived)
    lines = grid.lines_of(table, stacks, split_parts=True)
    names = 2 if any(part for _, part, _ in lines) else 1
    shown = grid.sides_of(table, stacks)
    corner = next(iter(stacks))[1] + r", %" if derived else ""
    heads = [", ".join(grid.heading(groups, key, ours=ours)[: 1 if derived else None]) for ours, key in shown]
    first = column_of([row.title for row, *_ in lines], share=0.33)
    environment = "longtable" if caption else "tabular"
    text = [
        rf"\begin{{{environment}}}{{{first + 'l' * (names - 1 + len(shown))}}}",
        *([rf"\caption{{{_breakable(caption)}}}\\"] if caption else []),
        r"\toprule",
        *_spans(table, groups, shown, names=names),
        _line([corner] + [""] * (names - 1) + heads),
        r"\midrule",
        *([r"\endhead", r"\bottomrule", r"\endfoot"] if caption else []),
    ]
    before = ""
    for row, part, columns in lines:
        title = "" if row.title == before else _name(row.title, breaks=first != "l")
        numbers = [grid.number(table, row, columns[key], ours=ours) for ours, key in shown]
        text.append(f"{title} & {_line(([part] if names == 2 else []) + numbers)}")
        before = row.title
    end = [rf"\end{{{environment}}}"]
    return [*text, *(end if caption else [r"\bottomrule", *end, r"\par\medskip"])]


def _name(title: str, *, breaks: bool) -> str:
    """The name of a row, which may be broken over lines in a column of fixed width."""
    return (r"\raggedright " if breaks else "") + _breakable(title)


def _breakable(text: str) -> str:
    """Escaped; long words may be broken."""
    marked = LONG_WORD.sub(lambda word: BREAKS.sub("\0", word[0]), text)
    return escaped(marked).replace("\0", r"\allowbreak{}")


def _spans(
    table: Table, groups: list[ColumnGroup], shown: list[tuple[bool, tuple[str, str]]], *, names: int
) -> list[str]:
    """The heading over our columns, and that over the paper's where it has any, each with its rule; [] without headings."""
    if not table.ours_name:
        return []
    group = groups[0] if len(groups) == 1 else None
    heads, rules, start = [], "", names + 1
    for ours, whose in ((True, table.ours_name), (False, table.theirs_name)):
        width = sum(side is ours for side, _ in shown)
        if width:
            name = (whose, (group.ours if ours else group.paper) if group else "")
            heads.append(rf"\multicolumn{{{width}}}{{l}}{{{escaped(', '.join(filter(None, name)))}}}")
            rules += rf"\cmidrule(lr){{{start}-{start + width - 1}}}"
            start += width
    return [" &" * names + " " + " & ".join(heads) + r" \\", rules]


def _line(texts: Sequence[str]) -> str:
    return " & ".join(_small_intervals(text) for text in texts) + r" \\"


def _small_intervals(text: str) -> str:
    """'66.4 [64.0, 68.7]' -> the number, and its interval in smaller letters."""
    number, bracket, rest = text.partition(" [")
    interval, _, after = rest.partition("]")
    return escaped(number) + (rf" {{\tiny [{escaped(interval)}]}}{escaped(after)}" if bracket else "")
