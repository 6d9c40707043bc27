"""Rows in aligned columns, made to fit the terminal."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

GAP = 2
"""Spaces between two columns."""
NARROWEST = 12
"""Letters of the narrowest column that is wrapped."""

Rows = Sequence[Mapping[str, str]]


def table(rows: Iterable[Mapping[str, Any]], *, maxcolwidths: Sequence[int | None] = ()) -> str:
    """Rows in aligned columns, headed by their keys. In a terminal, or where COLUMNS is set, made to fit the width.

    A table that is too wide has columns with one value for all rows in a line above it, from the left until the others fit,
    and then its widest columns wrapped; a single row becomes one line per column. Words are never broken, so that ids and paths can be copied.
    `maxcolwidths`: letters at which columns are wrapped in any case.
    """
    whole = [{key: str(value) for key, value in row.items()} for row in rows]
    if not whole:
        return ""
    whole = _wrapped(whole, [limit or sys.maxsize for limit in maxcolwidths] or [sys.maxsize] * len(whole[0]))
    # A pipe or a file has no width: programs that read lines need every row on one.
    width = shutil.get_terminal_size((sys.maxsize, 24)).columns
    if _total(_widths(whole)) <= width:
        return _aligned(whole)
    if len(whole) == 1:
        names = max(map(len, whole[0]))
        filled = {key: textwrap.wrap(value, max(NARROWEST, width - names - GAP)) for key, value in whole[0].items()}
        return "\n".join(f"{key:<{names + GAP}}{lines[0]}" for key, lines in filled.items() if lines)
    rest, shared = whole, []
    for key, value in whole[0].items():
        if _total(_widths(rest)) > width and all(row[key] == value for row in whole):
            shared += [f"{key} {value}"] if value else []
            rest = [{other: text for other, text in row.items() if other != key} for row in rest]
    words = ", ".join(shared)
    return "\n\n".join(filter(None, [_filled(f"All rows: {words}", width) if words else "", _fitted(rest, width)]))


def _fitted(rows: Rows, width: int) -> str:
    """The rows, their widest columns and headings wrapped until they fit, or until each is as narrow as it may be."""
    widths = _widths(rows)
    while _total(widths) > width and max(widths) > NARROWEST:
        widths[widths.index(max(widths))] -= 1
    return _aligned(_wrapped(rows, widths), [_filled(key, width) for key, width in zip(rows[0], widths, strict=True)])


def _wrapped(rows: Rows, widths: Sequence[int]) -> list[dict[str, str]]:
    return [
        {key: _filled(value, width) for (key, value), width in zip(row.items(), widths, strict=True)} for row in rows
    ]


def _filled(text: str, width: int) -> str:
    lines = text.splitlines()
    return "\n".join(textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False) for line in lines)


def _widths(rows: Rows, heads: Sequence[str] = ()) -> list[int]:
    """Letters of the longest line of each column."""
    columns = zip(heads or rows[0], *(row.values() for row in rows), strict=True)
    return [max(len(line) for text in column for line in text.split("\n")) for column in columns]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _aligned(rows: Rows, heads: Sequence[str] = ()) -> str:
    from tabulate import tabulate

    # tabulate's own headings are two letters wider than their words.
    rules = ["-" * width for width in _widths(rows, heads)]
    lines = [[*(heads or rows[0])], rules, *([*row.values()] for row in rows)]
    return str(tabulate(lines, tablefmt="plain", disable_numparse=True))
