"""Parts that several figures share: axes, legends, stacked bars, tables of shaded cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reports.figures.drawing import COLOURS, Axis, Drawing, width_of

PANEL_PX = 370
"""Width of a panel: three fit next to each other on a wide page, one on a phone."""
LABELS_PX = 112
"""Room for the names of baselines at the left of a panel."""


def axis_below(drawing: Drawing, axis: Axis, title: str, *, top: float, bottom: float, count: int = 5) -> None:
    """Values from left to right: grid lines between `top` and `bottom`, numbers and title below them."""
    for tick in axis.ticks(count):
        drawing.line(axis(tick), top, axis(tick), bottom)
        drawing.text(axis(tick), bottom + 13, f"{tick:g}", style="mute small", anchor="middle")
    drawing.text((axis.start + axis.end) / 2, bottom + 27, title, style="mute small", anchor="middle")


def axis_left(drawing: Drawing, axis: Axis, title: str, *, left: float, right: float, count: int = 5) -> None:
    """Values from bottom to top: grid lines between `left` and `right`, numbers and title left of them."""
    for tick in axis.ticks(count):
        drawing.line(left, axis(tick), right, axis(tick))
        drawing.text(left - 6, axis(tick) + 3.5, f"{tick:g}", style="mute small", anchor="end")
    drawing.text(9, (axis.start + axis.end) / 2, title, style="mute small", anchor="middle", turn=-90)


def legend(drawing: Drawing, entries: Mapping[str, int], x: float, y: float, *, bars: bool = False) -> None:
    """Name -> number of its series, in lines from (x, y) on; for `bars`, squares instead of markers."""
    start = x
    for name, series in entries.items():
        width = 16 + width_of(name, size_px=9.5)
        if x > start and x + width > drawing.width:
            x, y = start, y + 15
        if bars:
            drawing.rect(x, y - 8, 9, 9, style=f"f{series % COLOURS}")
        else:
            drawing.marker(x + 5, y - 3.5, series)
        drawing.text(x + 13, y, name, style="mute small")
        x += width + 12


def stack(
    drawing: Drawing, axis: Axis, y: float, height: float, parts: Sequence[tuple[float, int, str]], *, words: float = 8
) -> None:
    """Bars one after the other; a part is (value, series, hint), and shows its value where it is at least `words`."""
    start = 0.0
    for value, series, hint in parts:
        drawing.rect(axis(start), y, axis(start + value) - axis(start), height, style=f"f{series}", hint=hint)
        if value >= words:
            middle = axis(start + value / 2)
            drawing.text(middle, y + height / 2 + 4, f"{value:.0f}", style="small on", anchor="middle")
        start += value


@dataclass(frozen=True)
class Shaded:
    """A cell of a table."""

    words: str
    share: float
    """Strength of the ground, 0 to 1."""
    style: str = "heat"
    hint: str = ""


def table(
    rows: Sequence[str],
    columns: Sequence[str],
    cells: Mapping[tuple[int, int], Shaded],
    *,
    cell_px: tuple[float, float],
    groups: Sequence[str] = (),
    title: str = "",
    below_px: float = 0,
) -> Drawing:
    """Shaded cells by (row, column) with slanted names above the columns; `groups` has a heading for every row, shown
    where it changes; `below_px` is left free at the bottom."""
    width, height = cell_px
    left = 6 + max(width_of(name, size_px=9.5) for name in rows)
    slant = max(width_of(name, size_px=9.5) for name in columns)
    top = (24 if title else 12) + 0.66 * slant
    headings = len({group for group in groups if group})
    total_px = top + height * len(rows) + 14 * headings + below_px
    drawing = Drawing(max(PANEL_PX, left + width * len(columns) + 0.66 * slant), total_px)
    drawing.text(0, 12, title, style="bold")
    for k, name in enumerate(columns):
        drawing.text(left + width * (k + 0.5) + 3, top - 5, name, style="mute small", turn=-42)
    y, group = top, ""
    for row, name in enumerate(rows):
        if groups and groups[row] != group:
            group = groups[row]
            drawing.text(left - 6, y + 10, group, style="mute small", anchor="end")
            y += 14
        drawing.text(left - 6, y + height / 2 + 3.5, name, style="small", anchor="end")
        for column in range(len(columns)):
            if cell := cells.get((row, column)):
                x = left + width * column
                box = (x, y, width - 1, height - 1)
                drawing.cell(box, cell.words, share=cell.share, style=cell.style, hint=cell.hint)
        y += height
    return drawing
