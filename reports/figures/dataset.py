"""A data set at a glance: class balance, durations, sizes, frame rates and codecs; and a sheet of its clips."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.cells import cell_len, set_cell_size

from harness.data.preview import Strip, colour_wheel, flow_colours
from harness.data.summary import Census, most
from reports.figures.charts import axis_below, axis_left, legend, stack
from reports.figures.drawing import Axis, Drawing, Panel, encoded

SERIES = (2, 5, 6)
"""Colours of the subsets, in their order."""
NAMED_CLASSES = 60
"""Above this number of classes there is no room for names: the bars become a curve."""
OUTLIERS_FROM = 1.5
"""The longest videos are left out of the histogram if the longest lasts this many times as long as the last one drawn."""
WIDTH, TOP, MIDDLE, ROW = 1000, 50, 560, 17
TILE_W, TILE_H, GAP, MARGIN = 160, 120, 4, 24


def overview(census: Census) -> Panel:
    """Class balance on the left; durations, sizes, frame rates and codecs on the right."""
    named = len(census.classes) <= NAMED_CLASSES
    bottom = max(420, TOP + ROW * len(census.classes)) if named else 420
    drawing = Drawing(WIDTH, bottom + 60)
    drawing.text(0, 14, heading(census), style="bold")
    (_class_bars if named else _class_curve)(drawing, census, bottom)
    subsets = {f"{s.name} ({s.videos:,})": series for s, series in zip(census.subsets, SERIES, strict=False)}
    legend(drawing, subsets, 0, bottom + 50, bars=True)
    y = _durations(drawing, census, TOP) if census.durations_s else TOP
    y = _bars(drawing, "Frame size, px", most(census.sizes, 6), y)
    if census.fps:
        rates = [(f"{name} fps", count) for name, count in most(census.fps, 4)]
        _bars(drawing, "Frame rate and codec", [*rates, *most(census.codecs, 3)], y)
    return drawing.panel("overview", census.title, heading(census))


def heading(census: Census) -> str:
    """'micro-UCF-101 · 840 videos · 14 classes · 2.1 h · 35.2 MB'."""
    hours = sum(census.durations_s) / 3600
    words = [census.title, f"{census.videos:,} {_plural(census)}"]
    words += [f"{len(census.classes)} classes"] + ([f"{hours:,.1f} h"] if hours >= 0.1 else [])
    words += [f"{census.bytes / 1e9:,.1f} GB" if census.bytes >= 1e9 else f"{census.bytes / 1e6:,.1f} MB"]
    words += [f"{census.missing:,} missing"] if census.missing else []
    words += [f"{census.unreadable:,} unreadable"] if census.unreadable else []
    return " · ".join(words)


def _plural(census: Census) -> str:
    return "videos" if census.kind == "video" else "images"


def _balance_title(drawing: Drawing, census: Census) -> None:
    split = f", split {census.split}" if census.split else ""
    drawing.text(0, TOP - 10, f"{_plural(census).capitalize()} per class{split}")


def _class_bars(drawing: Drawing, census: Census, bottom: float) -> None:
    totals = [sum(counts) for counts in zip(*(subset.per_class for subset in census.subsets), strict=True)]
    axis = Axis(0, max(totals, default=1) or 1, 190, MIDDLE - 40)
    _balance_title(drawing, census)
    axis_below(drawing, axis, "", top=TOP, bottom=bottom, count=4)
    height = (bottom - TOP) / len(census.classes)
    for row, name in enumerate(census.classes):
        y = TOP + height * row
        drawing.text(184, y + height / 2 + 3.5, shortened(name, 28), style="small", anchor="end")
        parts = [
            (subset.per_class[row], series, f"{subset.name}: {subset.per_class[row]:,}")
            for subset, series in zip(census.subsets, SERIES, strict=False)
        ]
        stack(drawing, axis, y + 2, height - 4, parts, words=float("inf"))


def _class_curve(drawing: Drawing, census: Census, bottom: float) -> None:
    most_videos = max(max(subset.per_class) for subset in census.subsets)
    across, up = Axis(1, len(census.classes), 46, MIDDLE - 40), Axis(0, most_videos or 1, bottom, TOP)
    _balance_title(drawing, census)
    axis_left(drawing, up, "", left=46, right=MIDDLE - 40)
    axis_below(drawing, across, "classes, the largest first (each curve in its own order)", top=bottom, bottom=bottom)
    for subset, series in zip(census.subsets, SERIES, strict=False):
        counts = sorted(subset.per_class, reverse=True)
        drawing.curve([(across(k + 1), up(count)) for k, count in enumerate(counts)], style=f"s{series}", width=2)


def _durations(drawing: Drawing, census: Census, y: float) -> float:
    """A histogram, without the longest 0.5% if they are much longer than the others; returns where the next part begins."""
    seconds = np.array(census.durations_s)
    median, bound = float(np.median(seconds)), float(np.percentile(seconds, 99.5))
    if seconds[-1] < OUTLIERS_FROM * bound:
        bound = float(seconds[-1])
    low = min(float(seconds[0]), 0.9 * median)
    counts, edges = np.histogram(seconds, bins=40, range=(low, max(bound, low + 0.1)))
    across, up = Axis(edges[0], edges[-1], MIDDLE, WIDTH - 10), Axis(0, counts.max() or 1, y + 120, y)
    longer = int((seconds > edges[-1]).sum())
    rest = f"; not drawn: {longer} over {edges[-1]:.1f}" if longer else ""
    drawing.text(MIDDLE, y - 10, f"Duration, s ({seconds[0]:.1f} to {seconds[-1]:.1f}, median {median:.1f}{rest})")
    axis_below(drawing, across, "", top=y, bottom=y + 120)
    for count, left, right in zip(counts, edges[:-1], edges[1:], strict=True):
        drawing.rect(across(left), up(count), across(right) - across(left) - 0.5, up(0) - up(count), style="f2")
    drawing.line(across(median), y, across(median), y + 120, style="s6", width=1.5)
    return y + 180


def _bars(drawing: Drawing, title: str, items: Sequence[tuple[str, int]], y: float) -> float:
    """Counts as bars with their names; returns where the next part begins."""
    axis = Axis(0, max((count for _, count in items), default=1), MIDDLE + 96, WIDTH - 60)
    drawing.text(MIDDLE, y - 10, title)
    for row, (name, count) in enumerate(items):
        drawing.text(MIDDLE + 90, y + ROW * row + 11, shortened(name, 16), style="small", anchor="end")
        drawing.rect(axis(0), y + ROW * row, axis(count) - axis(0), ROW - 4, style="f2")
        drawing.text(axis(count) + 5, y + ROW * row + 11, f"{count:,}", style="mute small")
    return y + ROW * len(items) + 40


def shortened(text: str, letters: int) -> str:
    """At most so many letters; those of wide scripts (Chinese, Japanese, Korean) count twice."""
    return text if cell_len(text) <= letters else f"{set_cell_size(text, letters - 1).rstrip()}…"


def contact_sheet(census: Census, strips: Sequence[Strip], *, columns: int, flow_name: str) -> Panel:
    """Two clips or six images per line: frames above, the flow to the next frame below, in the colours of the wheel."""
    moving = any(len(strip.flows) for strip in strips)
    video = census.kind == "video"
    across, width = (2, columns * (TILE_W + GAP) - GAP) if video else (6, TILE_W)
    height = 26 + (2 if moving else 1) * (TILE_H + GAP)
    lines = -(-len(strips) // across)
    drawing = Drawing(across * (width + MARGIN) + MARGIN, 92 + lines * (height + MARGIN))
    drawing.text(MARGIN, 32, heading(census), style="bold")
    words = "Sampled clips: frames spread over the video" if video else "Sampled images"
    if moving:
        words += f"; below them the motion to the next frame at 25 fps ({flow_name}), in the colours of the wheel"
        drawing.picture(drawing.width - MARGIN - 64, 12, 64, 64, encoded(colour_wheel(64), ".png"), kind="png")
    drawing.text(MARGIN, 62, f"{words}.", style="mute")
    for number, strip in enumerate(strips):
        x, y = MARGIN + number % across * (width + MARGIN), 92 + number // across * (height + MARGIN)
        _clip(drawing, strip, x, y)
    return drawing.panel("clips", census.title, ", ".join(strip.class_name for strip in strips))


def _clip(drawing: Drawing, strip: Strip, x: float, y: float) -> None:
    detail = f"{strip.class_name} · {strip.subset} · {strip.video.path.rpartition('/')[2]}"
    limit_px = max(0.5, float(np.percentile(np.linalg.norm(strip.flows, axis=-1), 99))) if len(strip.flows) else 0.0
    detail += f" · full colour {limit_px:.1f} px" if limit_px else ""
    drawing.text(x, y + 13, shortened(detail, 26 * len(strip.frames)))
    for column, (time_s, frame) in enumerate(zip(strip.times_s, strip.frames, strict=True)):
        left = x + column * (TILE_W + GAP)
        drawing.picture(left, y + 22, TILE_W, TILE_H, encoded(frame, ".jpg"), hint=f"{time_s:.1f} s")
        if len(strip.flows):
            flow = flow_colours(strip.flows[column], limit=limit_px)
            drawing.picture(left, y + 22 + TILE_H + GAP, TILE_W, TILE_H, encoded(flow, ".jpg"), hint=f"{time_s:.1f} s")
