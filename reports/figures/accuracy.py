"""Accuracies with their intervals: by baseline and modality, by class, by stream, and against what they cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.metrics.scores import per_class_pct
from reports.evidence import Evidence, Result, dataset_of, title_of
from reports.figures.drawing import Axis, Drawing, Figure, Panel, width_of

STREAM_COLOUR = {"rgb": 2, "flow": 6, "rgb+flow": 5}
STREAM_TITLE = {"rgb": "RGB", "flow": "flow", "rgb+flow": "RGB+flow"}
LABELS_PX = 112
ROW_PX = 24


def colours(evidence: Evidence) -> dict[str, int]:
    """Baseline -> the number of its series, the same in every figure: the paper's five first, then the others."""
    from reports.evidence import PAPER_ORDER, order_of

    names = {result.baseline for result in evidence.results} | set(PAPER_ORDER)
    return {name: k for k, name in enumerate(sorted(names, key=order_of))}


def told(evidence: Evidence, dataset: str) -> str:
    """'micro-hmdb51, split 1, full-ft, 280 videos, 14 classes'."""
    results = evidence.of(dataset)
    first = results[0]
    counts = sorted({result.scores.n for result in results})
    videos = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    setting = first.setting
    return f"{dataset}, split {setting.split}, {setting.protocol}, {videos} videos, {len(first.classes)} classes"


# ---------------------------------------------------------------------------------------------- overview


def overview(evidence: Evidence) -> Figure:
    """Top-1 of every baseline and modality, one panel a data set."""
    panels = [_overview(evidence, dataset) for dataset in evidence.datasets]
    caption = (
        "Top-1 accuracy on every test video of split 1, with 95% intervals drawn by group of videos where groups are known. "
        "The dashed line is chance."
    )
    return Figure("overview", "Every baseline, by modality", caption, tuple(panels))


def _overview(evidence: Evidence, dataset: str) -> Panel:
    results = evidence.of(dataset)
    rows = list(dict.fromkeys(result.baseline for result in results))
    width, top = 370, 20
    bottom = top + sum(_height(results, row) for row in rows)
    drawing = Drawing(width, bottom + 34)
    axis = Axis(0, 100, LABELS_PX, width - 16)
    _percent_axis(drawing, axis, top, bottom)
    chance = 100 / len(results[0].classes)
    drawing.curve([(axis(chance), top), (axis(chance), bottom)], style="axis", width=1, dash="3 3")
    y = float(top)
    for row in rows:
        mine = [result for result in results if result.baseline == row]
        drawing.text(0, y + _height(results, row) / 2 + 4, title_of(row))
        for k, result in enumerate(mine):
            _interval(drawing, axis, y + 13 + 14 * k, result)
        y += _height(results, row)
        drawing.line(0, y, width - 16, y)
    _stream_legend(drawing, LABELS_PX, 11, sorted({r.modality for r in results}, key=list(STREAM_COLOUR).index))
    alt = "; ".join(f"{result.name} {_said(result)}" for result in results)
    return drawing.panel(dataset, told(evidence, dataset), alt)


def _height(results: Sequence[Result], row: str) -> int:
    return 12 + 14 * sum(result.baseline == row for result in results)


def _said(result: Result) -> str:
    found = result.interval
    return f"{100 * found.value:.1f}% [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def _interval(drawing: Drawing, axis: Axis, y: float, result: Result) -> None:
    found, colour = result.interval, STREAM_COLOUR[result.modality]
    drawing.line(axis(100 * found.low), y, axis(100 * found.high), y, style=f"s{colour}", width=2)
    drawing.marker(axis(100 * found.value), y, colour, hint=f"{result.name}: {_said(result)}, {result.scores.n} videos")
    right = axis(100 * found.high) + 7
    outside = right + 26 > axis(100) + 14
    x, anchor = (axis(100 * found.low) - 7, "end") if outside else (right, "start")
    drawing.text(x, y + 3.5, f"{100 * found.value:.1f}", style="small", anchor=anchor)


def _percent_axis(drawing: Drawing, axis: Axis, top: float, bottom: float, *, step: int = 20) -> None:
    for tick in range(0, 101, step):
        drawing.line(axis(tick), top, axis(tick), bottom)
        drawing.text(axis(tick), bottom + 14, str(tick), style="mute small", anchor="middle")
    drawing.text((axis(0) + axis(100)) / 2, bottom + 28, "top-1, %", style="mute small", anchor="middle")


def _stream_legend(drawing: Drawing, x: float, y: float, modalities: Sequence[str]) -> None:
    for modality in modalities:
        drawing.marker(x + 4, y - 4, STREAM_COLOUR[modality], size=3.6)
        drawing.text(x + 12, y, STREAM_TITLE[modality], style="mute small")
        x += 24 + width_of(STREAM_TITLE[modality])


# ---------------------------------------------------------------------------------------------- classes


def classes(evidence: Evidence) -> Figure | None:
    """Top-1 by class and baseline, one panel a data set."""
    panels = [_classes(evidence, dataset) for dataset in evidence.datasets]
    caption = (
        "Top-1 accuracy, %, of each class (rows) by baseline (columns), all streams that the baseline was run with. Stronger is "
        "better; the last column is the mean over baselines. A class has few videos, so a cell's 95% interval is wide: "
        "about ±20 points at 20 videos."
    )
    return Figure("classes", "By class", caption, tuple(panels))


def class_order(dataset: str, names: Sequence[str]) -> list[tuple[str, int]]:
    """(group, class number), by the card's groups where it has any; else alphabetically, without a group."""
    card = dataset_of(dataset)
    groups = dict(card.class_groups) if card else {}
    at = {name: k for k, name in enumerate(names)}
    found = [(group, at[name]) for group, members in groups.items() for name in members if name in at]
    seen = {k for _, k in found}
    return found + [("", k) for k in range(len(names)) if k not in seen]


def _classes(evidence: Evidence, dataset: str) -> Panel:
    results = evidence.best_modality(dataset)
    names, table = results[0].classes, np.array([per_class_pct(result.scores) for result in results])
    order = class_order(dataset, names)
    labels = max(LABELS_PX, 8 + max(width_of(name) for name in names))
    cell, row = 46, 18
    drawing = Drawing(labels + cell * (len(results) + 1) + 8, 76 + row * len(order) + 14 * _breaks(order))
    for k, result in enumerate(results):
        drawing.text(labels + cell * k + 24, 66, title_of(result.baseline), style="small", turn=-38)
    drawing.text(labels + cell * len(results) + 28, 66, "mean", style="small bold", turn=-38)
    y, before = 74.0, ""
    for group, number_ in order:
        if group != before:
            drawing.text(0, y + 10, group, style="mute small")
            y, before = y + 14, group
        drawing.text(0, y + 13, names[number_])
        values = [*table[:, number_], np.nanmean(table[:, number_])]
        for k, value in enumerate(values):
            _heat_cell(drawing, labels + cell * k + (4 if k == len(results) else 0), y, cell - 2, row - 2, value)
        y += row
    mean = np.nanmean(table, axis=0)
    low, high = int(np.nanargmin(mean)), int(np.nanargmax(mean))
    alt = f"Hardest on average: {names[low]}, {mean[low]:.0f}%; easiest: {names[high]}, {mean[high]:.0f}%."
    return drawing.panel(dataset, told(evidence, dataset), alt)


def _breaks(order: Sequence[tuple[str, int]]) -> int:
    return len({group for group, _ in order if group})


def _heat_cell(drawing: Drawing, x: float, y: float, width: float, height: float, value: float) -> None:
    if np.isnan(value):
        return
    drawing.rect(x, y, width, height, style="heat", opacity=0.06 + 0.84 * value / 100)
    style = "small on" if value > 55 else "small"
    drawing.text(x + width / 2, y + height - 4, f"{value:.0f}", style=style, anchor="middle")


# ---------------------------------------------------------------------------------------------- streams


def streams(evidence: Evidence) -> Figure | None:
    """What each stream adds: videos that one of the streams alone has right, and what both together make of them."""
    panels = [panel for dataset in evidence.datasets if (panel := _streams(evidence, dataset))]
    caption = (
        "Test videos by which stream has them right, each stream's network scored alone. Below each bar, the share that both streams "
        "together have right. What lies between the colours is what fusion can gain; what is blank, neither stream sees."
    )
    return Figure("streams", "What each stream adds", caption, tuple(panels)) if panels else None


def _streams(evidence: Evidence, dataset: str) -> Panel | None:
    by_key = {(result.baseline, result.modality): result for result in evidence.of(dataset)}
    rows = [name for name, modality in by_key if modality == "rgb+flow"]
    rows = [name for name in rows if (name, "rgb") in by_key and (name, "flow") in by_key]
    if not rows:
        return None
    width, top, height = 370, 22, 50
    drawing = Drawing(width, top + height * len(rows) + 30)
    axis = Axis(0, 100, LABELS_PX, width - 16)
    _percent_axis(drawing, axis, top, top + height * len(rows))
    x = float(LABELS_PX)
    for words, style in (("both", "f5"), ("RGB only", "f2"), ("flow only", "f6")):
        drawing.rect(x, 4, 9, 9, style=style)
        drawing.text(x + 13, 12, words, style="mute small")
        x += 26 + width_of(words)
    said = []
    for k, name in enumerate(rows):
        shares, fused = _shares(by_key[name, "rgb"], by_key[name, "flow"], by_key[name, "rgb+flow"])
        y = top + height * k + 8
        drawing.text(0, y + 18, title_of(name))
        at = 0.0
        for share, style in zip(shares, ("f5", "f2", "f6"), strict=True):
            drawing.rect(axis(at), y, axis(at + share) - axis(at), 15, style=style, hint=f"{share:.1f}%")
            if share > 8:
                drawing.text(axis(at + share / 2), y + 11.5, f"{share:.0f}", style="small on", anchor="middle")
            at += share
        drawing.rect(axis(0), y + 19, axis(fused) - axis(0), 7, style="ink", opacity=0.55)
        drawing.text(axis(fused) + 5, y + 26, f"{fused:.1f} together", style="small") if fused < 72 else drawing.text(
            axis(0), y + 36, f"{fused:.1f} together", style="small"
        )
        said.append(
            f"{title_of(name)}: both streams right {shares[0]:.0f}%, RGB only {shares[1]:.0f}%, flow only {shares[2]:.0f}%, "
            f"together {fused:.1f}%"
        )
    return drawing.panel(dataset, told(evidence, dataset), "; ".join(said))


def _shares(rgb: Result, flow: Result, both: Result) -> tuple[tuple[float, float, float], float]:
    """((right in both, RGB alone, flow alone), right together), in percent."""
    a, b = rgb.right, flow.right[flow.in_order(rgb.scores.ids)]
    share = tuple(100 * float(np.mean(part)) for part in (a & b, a & ~b, ~a & b))
    return (share[0], share[1], share[2]), 100 * float(both.right.mean())


# ---------------------------------------------------------------------------------------------- cost


def cost(evidence: Evidence) -> Figure:
    """Top-1 against the seconds of all jobs behind it."""
    panels = [_cost(evidence, dataset) for dataset in evidence.datasets]
    caption = (
        "Top-1 accuracy against the wall-clock minutes of every job behind a number: pre-training, flow and features included, each "
        "counted once, on the machine that ran it (logarithmic). Filled: both streams; hollow: one, RGB unless it says flow. Bars are "
        "95% intervals."
    )
    return Figure("cost", "Accuracy against cost", caption, tuple(panels))


def _cost(evidence: Evidence, dataset: str) -> Panel:
    results = evidence.of(dataset)
    series = colours(evidence)
    minutes = [max(evidence.cost_s(result), 0.6) / 60 for result in results]
    width, height, left = 370, 250, 38
    drawing = Drawing(width, height + 58)
    across = Axis(min(minutes) / 1.3, max(minutes) * 1.3, left, width - 14, log=True)
    up = Axis(0, 100, height - 10, 14)
    for tick in range(0, 101, 20):
        drawing.line(left, up(tick), width - 14, up(tick))
        drawing.text(left - 6, up(tick) + 3.5, str(tick), style="mute small", anchor="end")
    for value in across.ticks(4):
        drawing.line(across(value), up(0), across(value), up(0) + 4, style="axis")
        drawing.text(across(value), up(0) + 16, f"{value:g}", style="mute small", anchor="middle")
    drawing.text((left + width) / 2, up(0) + 30, "minutes", style="mute small", anchor="middle")
    drawing.text(11, up(50), "top-1, %", style="mute small", anchor="middle", turn=-90)
    for result, spent in zip(results, minutes, strict=True):
        _cost_point(drawing, across(spent), up, result, series[result.baseline], spent)
    _series_legend(drawing, [result.baseline for result in results], series, 4, height + 38, width)
    alt = "; ".join(f"{r.name} {100 * r.interval.value:.1f}% in {m:.1f} min" for r, m in zip(results, minutes))
    return drawing.panel(dataset, told(evidence, dataset), alt)


def _cost_point(drawing: Drawing, x: float, up: Axis, result: Result, colour: int, minutes: float) -> None:
    found = result.interval
    drawing.line(x, up(100 * found.low), x, up(100 * found.high), style=f"s{colour % 8}", width=1.2)
    hint = f"{result.name}: {_said(result)}, {minutes:.1f} min"
    hollow = result.modality != "rgb+flow"
    drawing.marker(x, up(100 * found.value), colour, hollow=hollow, hint=hint)
    if hollow and result.modality == "flow":
        drawing.text(x + 7, up(100 * found.value) + 3.5, "flow", style="mute small")


def _series_legend(
    drawing: Drawing, names: Sequence[str], series: dict[str, int], x: float, y: float, width: float
) -> None:
    start = x
    for name in dict.fromkeys(names):
        if x + 18 + width_of(title_of(name), size_px=9.5) > width:
            x, y = start, y + 15
        drawing.marker(x + 5, y - 3.5, series[name], size=3.6)
        drawing.text(x + 13, y, title_of(name), style="mute small")
        x += 26 + width_of(title_of(name), size_px=9.5)
