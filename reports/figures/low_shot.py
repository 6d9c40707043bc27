"""Accuracy against the number of training videos per class, with intervals over draws (`--shots`, `--share`)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.core import registry
from harness.core.cells import Cell
from harness.core.errors import HarnessError
from harness.metrics import statistics
from reports.evidence import Evidence, Result, dataset_of, title_of
from reports.figures.accuracy import stream_title
from reports.figures.charts import PANEL_PX, axis_below, axis_left, legend
from reports.figures.drawing import COLOURS, Axis, Drawing, Figure, Panel


@dataclass(frozen=True)
class Point:
    """The mean accuracy of some draws of one size."""

    per_class: float
    """Training videos per class; their mean for a share."""
    words: str
    """'5 shots', or EVERYTHING."""
    mean: float
    """Percent."""
    half: float | None
    """Half the 95% interval of the mean over draws, in points; None for one draw, and for all training videos."""
    draws: int


EVERYTHING = "all training videos"
MARGIN = 3.0
"""Points of accuracy above and below the curves."""
Curves = Mapping[str, tuple[Point, ...]]
"""Network and protocol -> its points, the fewest training videos first."""


def low_shot(evidence: Evidence) -> Figure | None:
    """One panel per data set and split with draws, one curve per network and protocol."""
    sets = dict.fromkeys(_test_set(result.cell) for result in evidence.results if result.cell.draw)
    panels = [_panel(test_set, curves_of(evidence, test_set)) for test_set in sets]
    caption = (
        "Top-1 accuracy on every test video against the training videos per class (logarithmic): the mean over draws of the training "
        "videos. Bars are 95% intervals of that mean (Student's t over draws), of two draws or more; they do not contain the noise of "
        "the test videos, which are the same for every draw. The hollow marker is all training videos. The scale does not begin at 0."
    )
    return Figure("low-shot", "Accuracy with few training videos", caption, tuple(panels)) if panels else None


def _test_set(cell: Cell) -> tuple[str, int, str]:
    return cell.dataset, cell.split, cell.subset


def curves_of(evidence: Evidence, test_set: tuple[str, int, str]) -> Curves:
    """The curves on a test set, of networks that have a draw."""
    runs: dict[Cell, dict[tuple[int, float], list[Result]]] = {}
    for result in evidence.results:
        cell = result.cell
        if _test_set(cell) == test_set:
            run = dataclasses.replace(cell, seed=0, shots=0, share=0.0)
            runs.setdefault(run, {}).setdefault((cell.shots, cell.share), []).append(result)
    with_draws = {run: sizes for run, sizes in runs.items() if any(map(any, sizes))}
    names = _names(list(with_draws))
    return {
        names[run]: tuple(sorted(_points(sizes), key=lambda point: (point.per_class, point.words == EVERYTHING)))
        for run, sizes in with_draws.items()
    }


def _points(sizes: Mapping[tuple[int, float], Sequence[Result]]) -> Iterator[Point]:
    for (shots, share), results in sizes.items():
        cell = results[0].cell
        spread = statistics.spread([100 * result.interval.value for result in results])
        half = None
        if cell.draw and spread.count > 1:
            half = statistics.student(statistics.LEVEL, spread.count - 1) * spread.deviation / spread.count**0.5
        per_class = shots or (share or 1.0) * _per_class(results[0])
        yield Point(per_class, cell.draw or EVERYTHING, spread.mean, half, spread.count)


def _per_class(result: Result) -> float:
    """Mean number of training videos per class, by the card of the data set; 1 for one that is not installed."""
    card = dataset_of(result.cell.dataset)
    return card.counts.get((result.cell.split, "train"), 0) / card.num_classes if card else 1.0


def _names(runs: Sequence[Cell]) -> dict[Cell, str]:
    """Run -> words that are different for each: baseline, stream, protocol, and further axes where some differ in them."""
    words = {run: [title_of(run.baseline), stream_title(run.modality), _protocol_title(run.protocol)] for run in runs}
    for axis in ("init", "source", "backbone", "overrides"):
        if len({getattr(run, axis) for run in runs}) > 1:
            for run in runs:
                value = getattr(run, axis)
                words[run].append(value if isinstance(value, str) else " ".join(f"{k}={v}" for k, v in value))
    return {run: ", ".join(filter(None, names)) for run, names in words.items()}


def _protocol_title(name: str) -> str:
    try:
        return str(registry.load("protocol", name).title)
    except HarnessError:
        return name


def _panel(test_set: tuple[str, int, str], curves: Curves) -> Panel:
    dataset, split, subset = test_set
    left, right, bottom = 38, PANEL_PX - 14, 240
    points = [point for curve in curves.values() for point in curve]
    drawing = Drawing(PANEL_PX, bottom + 54 + 15 * len(curves))
    sizes = [point.per_class for point in points]
    across = Axis(min(sizes) / 1.2, max(sizes) * 1.2, left, right, log=True)
    ends = [point.mean + sign * (point.half or 0.0) for point in points for sign in (-1, 1)]
    up = Axis(max(0.0, min(ends) - MARGIN), min(100.0, max(ends) + MARGIN), bottom, 14)
    axis_left(drawing, up, "top-1, %", left=left, right=right)
    axis_below(drawing, across, "training videos per class", top=bottom, bottom=bottom + 4)
    for series, (name, curve) in enumerate(curves.items()):
        drawing.curve([(across(p.per_class), up(p.mean)) for p in curve], style=f"s{series % COLOURS}")
        for point in curve:
            _draw_point(drawing, across(point.per_class), up, point, series, name)
        legend(drawing, {name: series}, 4, bottom + 46 + 15 * series)
    texts = (f"{name}: {'; '.join(map(_in_words, curve))}" for name, curve in curves.items())
    title = f"{dataset}, split {split}{'' if subset == 'test' else f', {subset}'}"
    return drawing.panel(f"{dataset}-{split}-{subset}".replace(":", "-").replace("/", "-"), title, ". ".join(texts))


def _draw_point(drawing: Drawing, x: float, up: Axis, point: Point, series: int, name: str) -> None:
    if point.half is not None:
        low, high = (min(up.high, max(up.low, point.mean + sign * point.half)) for sign in (-1, 1))
        drawing.line(x, up(low), x, up(high), style=f"s{series % COLOURS}", width=1.2)
        for end in (low, high):
            drawing.line(x - 5, up(end), x + 5, up(end), style=f"s{series % COLOURS}", width=1.2)
    hollow = point.words == EVERYTHING
    drawing.marker(x, up(point.mean), series, hollow=hollow, hint=f"{name}: {_in_words(point)}")


def _in_words(point: Point) -> str:
    draws = "" if point.words == EVERYTHING else f", {point.draws} draw{'s' if point.draws > 1 else ''}"
    half = "" if point.half is None else f" ±{point.half:.1f}"
    return f"{point.words} {point.mean:.1f}%{half}{draws}"
