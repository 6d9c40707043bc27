"""Accuracies with their intervals: by baseline and modality, by stream, and against the cost of the jobs behind them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.metrics.scores import aligned, topk_correct
from reports.evidence import PAPER_ORDER, Evidence, Result, order_of, title_of
from reports.figures.charts import LABELS_PX, PANEL_PX, axis_below, axis_left, legend, stack
from reports.figures.drawing import COLOURS, Axis, Drawing, Figure, Panel

STREAM_SERIES = {"RGB": 2, "flow": 6, "RGB+flow": 5}
ROW_PX = 14


def stream_title(modality: str) -> str:
    return modality.replace("rgb", "RGB")


def series_of(evidence: Evidence) -> dict[str, int]:
    """Baseline -> the number of its series, the same in every figure: the paper's five first, then the others."""
    names = {result.baseline for result in evidence.results} | set(PAPER_ORDER)
    return {name: k for k, name in enumerate(sorted(names, key=order_of))}


def scored_on(evidence: Evidence, dataset: str) -> str:
    """'micro-hmdb51, split 1, full-ft, 280 videos, 14 classes'."""
    results = evidence.of(dataset)
    counts = sorted({result.scores.n for result in results})
    videos = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    setting = results[0].setting
    return f"{dataset}, split {setting.split}, {setting.protocol}, {videos} videos, {len(results[0].classes)} classes"


def _with_interval(result: Result) -> str:
    interval = result.interval
    return f"{100 * interval.value:.1f}% [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def overview(evidence: Evidence) -> Figure:
    """Top-1 of every baseline and modality, one panel per data set."""
    panels = [_overview(evidence, dataset) for dataset in evidence.datasets]
    caption = (
        "Top-1 accuracy on every test video of split 1, with 95% intervals drawn by group of videos where groups are known. "
        "The dashed line is chance."
    )
    return Figure("overview", "Every baseline, by modality", caption, tuple(panels))


def _overview(evidence: Evidence, dataset: str) -> Panel:
    results = evidence.of(dataset)
    baselines = list(dict.fromkeys(result.baseline for result in results))
    top = 20.0
    bottom = top + 12 * len(baselines) + ROW_PX * len(results)
    drawing = Drawing(PANEL_PX, bottom + 34)
    axis = Axis(0, 100, LABELS_PX, PANEL_PX - 16)
    axis_below(drawing, axis, "top-1, %", top=top, bottom=bottom)
    chance = axis(100 / len(results[0].classes))
    drawing.curve([(chance, top), (chance, bottom)], style="axis", width=1, dash="3 3")
    y = top
    for baseline in baselines:
        group = [result for result in results if result.baseline == baseline]
        height = 12 + ROW_PX * len(group)
        drawing.text(0, y + height / 2 + 4, title_of(baseline))
        for k, result in enumerate(group):
            _interval(drawing, axis, y + 13 + ROW_PX * k, result)
        y += height
        drawing.line(0, y, PANEL_PX - 16, y)
    shown = {stream_title(result.modality) for result in results}
    legend(drawing, {name: series for name, series in STREAM_SERIES.items() if name in shown}, LABELS_PX, 11)
    alt = "; ".join(f"{result.name} {_with_interval(result)}" for result in results)
    return drawing.panel(dataset, scored_on(evidence, dataset), alt)


def _interval(drawing: Drawing, axis: Axis, y: float, result: Result) -> None:
    low, value, high = (100 * part for part in (result.interval.low, result.interval.value, result.interval.high))
    series = STREAM_SERIES[stream_title(result.modality)]
    drawing.line(axis(low), y, axis(high), y, style=f"s{series}", width=2)
    drawing.marker(axis(value), y, series, hint=f"{result.name}: {_with_interval(result)}, {result.scores.n} videos")
    fits = axis(high) + 33 <= axis(100) + 14
    x, anchor = (axis(high) + 7, "") if fits else (axis(low) - 7, "end")
    drawing.text(x, y + 3.5, f"{value:.1f}", style="small", anchor=anchor)


def streams(evidence: Evidence) -> Figure | None:
    """Videos that one stream alone has right, and the share that both together have right."""
    panels = [panel for dataset in evidence.datasets if (panel := _streams(evidence, dataset))]
    caption = (
        "Test videos by which stream's network has them right on its own. The thin bar below is the share that both streams "
        "together have right. Fusion can gain what only one of the streams has; neither stream has what is blank."
    )
    return Figure("streams", "What each stream adds", caption, tuple(panels)) if panels else None


def _streams(evidence: Evidence, dataset: str) -> Panel | None:
    results = {(result.baseline, result.modality): result for result in evidence.of(dataset)}
    rows = [name for name, modality in results if modality == "rgb+flow"]
    rows = [name for name in rows if (name, "rgb") in results and (name, "flow") in results]
    if not rows:
        return None
    top, height = 22, 50
    drawing = Drawing(PANEL_PX, top + height * len(rows) + 30)
    axis = Axis(0, 100, LABELS_PX, PANEL_PX - 16)
    axis_below(drawing, axis, "top-1, %", top=top, bottom=top + height * len(rows))
    legend(drawing, {"both": 5, "RGB only": 2, "flow only": 6}, LABELS_PX, 12, bars=True)
    texts = []
    for k, name in enumerate(rows):
        shares, fused = _shares(*(results[name, modality] for modality in ("rgb", "flow", "rgb+flow")))
        y = top + height * k + 8
        drawing.text(0, y + 18, title_of(name))
        stack(drawing, axis, y, 15, [(v, s, f"{v:.1f}%") for v, s in zip(shares, (5, 2, 6), strict=True)])
        drawing.rect(axis(0), y + 19, axis(fused) - axis(0), 7, style="ink", opacity=0.55)
        drawing.text(axis(0), y + 36, f"{fused:.1f} together", style="small")
        text = "both streams right {:.0f}%, RGB only {:.0f}%, flow only {:.0f}%".format(*shares)
        texts.append(f"{title_of(name)}: {text}, together {fused:.1f}%")
    return drawing.panel(dataset, scored_on(evidence, dataset), "; ".join(texts))


def _shares(rgb: Result, flow: Result, both: Result) -> tuple[list[float], float]:
    """([right in both, RGB alone, flow alone], right together), in percent."""
    a, b = rgb.right, topk_correct(aligned(flow.scores, rgb.scores.ids))
    return [100 * float(np.mean(part)) for part in (a & b, a & ~b, ~a & b)], 100 * float(both.right.mean())


def cost(evidence: Evidence) -> Figure:
    """Top-1 against the minutes of all jobs behind it."""
    timed = {dataset: [r for r in evidence.of(dataset) if evidence.cost_s(r)] for dataset in evidence.datasets}
    panels = [_cost(evidence, dataset, results) for dataset, results in timed.items() if results]
    caption = (
        "Top-1 accuracy against the wall-clock minutes (logarithmic) of every job behind a number, pre-training, flow and features "
        "included, each counted once, on the machine that ran it. Filled: both streams; hollow: one, RGB unless it says flow. Bars "
        "are 95% intervals."
    )
    return Figure("cost", "Accuracy against cost", caption, tuple(panels))


def _cost(evidence: Evidence, dataset: str, results: Sequence[Result]) -> Panel:
    series = series_of(evidence)
    minutes = [max(evidence.cost_s(result), 0.6) / 60 for result in results]
    left, right, bottom = 38, PANEL_PX - 14, 240
    drawing = Drawing(PANEL_PX, bottom + 68)
    across = Axis(min(minutes) / 1.3, max(minutes) * 1.3, left, right, log=True)
    up = Axis(0, 100, bottom, 14)
    axis_left(drawing, up, "top-1, %", left=left, right=right)
    axis_below(drawing, across, "minutes", top=bottom, bottom=bottom + 4, count=4)
    for result, spent in zip(results, minutes, strict=True):
        _cost_point(drawing, across(spent), up, result, series[result.baseline], spent)
    legend(drawing, {title_of(result.baseline): series[result.baseline] for result in results}, 4, bottom + 48)
    alt = "; ".join(f"{r.name} {100 * r.interval.value:.1f}% in {m:.1f} min" for r, m in zip(results, minutes))
    return drawing.panel(dataset, scored_on(evidence, dataset), alt)


def _cost_point(drawing: Drawing, x: float, up: Axis, result: Result, series: int, minutes: float) -> None:
    low, value, high = (100 * part for part in (result.interval.low, result.interval.value, result.interval.high))
    drawing.line(x, up(low), x, up(high), style=f"s{series % COLOURS}", width=1.2)
    hint = f"{result.name}: {_with_interval(result)}, {minutes:.1f} min"
    drawing.marker(x, up(value), series, hollow=result.modality != "rgb+flow", hint=hint)
    if result.modality == "flow":
        drawing.text(x + 7, up(value) + 3.5, "flow", style="mute small")
