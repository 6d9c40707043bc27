"""Tables of shaded cells: accuracy by class, confusion matrices, and agreement between baselines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.metrics.scores import aligned, confusion, per_class_pct, predictions, topk_correct
from reports.evidence import Evidence, Result, dataset_of, title_of
from reports.figures.accuracy import scored_on
from reports.figures.charts import Shaded, table
from reports.figures.drawing import Drawing, Figure, Panel, encoded

NAMED_CLASSES = 40
"""Up to this many classes every row of a confusion matrix has its name; beyond, the matrix is a picture and the most
frequent confusions are listed below it."""
LISTED = 8
MANY_CLASSES, EXTREMES = 60, 20
"""Beyond so many classes, accuracy by class is shown for the hardest and the easiest."""
RIGHT, WRONG = (74, 134, 184), (200, 80, 66)
"""Pixels of a large confusion matrix, visible on light and dark ground."""
UNDECODABLE = "cannot be decoded"


def class_order(dataset: str, names: Sequence[str]) -> list[tuple[str, int]]:
    """(group, class number), by the card's groups where it has any; else alphabetically, without a group."""
    card = dataset_of(dataset)
    groups = dict(card.class_groups) if card else {}
    number = {name: k for k, name in enumerate(names)}
    grouped = [(group, number[name]) for group, members in groups.items() for name in members if name in number]
    rest = set(number.values()) - {k for _, k in grouped}
    return grouped + [("", k) for k in sorted(rest)]


def classes(evidence: Evidence) -> Figure:
    """Top-1 by class and baseline, one panel per data set."""
    panels = [_classes(evidence, dataset) for dataset in evidence.datasets]
    caption = (
        "Top-1 accuracy, %, of each class (rows) by baseline (columns), with all streams that the baseline was run with. Stronger "
        "is better; the last column is the mean over baselines. A class has few videos, so the 95% interval of a cell is wide: "
        f"about ±20 points at 20 videos. Of more than {MANY_CLASSES} classes, the {EXTREMES} hardest and easiest on average."
    )
    return Figure("classes", "By class", caption, tuple(panels))


def _classes(evidence: Evidence, dataset: str) -> Panel:
    results = evidence.best_modality(dataset)
    names = results[0].classes
    accuracy = np.array([per_class_pct(result.scores) for result in results])
    mean = np.nanmean(accuracy, axis=0)
    order = extremes(class_order(dataset, names), mean)
    cells = {
        (row, column): Shaded(f"{value:.0f}", value / 100)
        for row, (_, k) in enumerate(order)
        for column, value in enumerate([*accuracy[:, k], mean[k]])
        if not np.isnan(value)
    }
    columns = [*(title_of(result.baseline) for result in results), "mean"]
    groups = [group for group, _ in order]
    drawing = table([names[k] for _, k in order], columns, cells, cell_px=(44, 18), groups=groups)
    low, high = int(np.nanargmin(mean)), int(np.nanargmax(mean))
    alt = f"Hardest on average: {names[low]}, {mean[low]:.0f}%; easiest: {names[high]}, {mean[high]:.0f}%."
    return drawing.panel(dataset, scored_on(evidence, dataset), alt)


def extremes(order: list[tuple[str, int]], mean: np.ndarray) -> list[tuple[str, int]]:
    """The order itself, or of more than MANY_CLASSES the hardest and the easiest; NaN is neither."""
    if len(order) <= MANY_CLASSES:
        return order
    ranked = [int(k) for k in np.argsort(mean) if not np.isnan(mean[k])]
    return [("hardest", k) for k in ranked[:EXTREMES]] + [("easiest", k) for k in ranked[-EXTREMES:]]


def confusions(evidence: Evidence, dataset: str) -> Figure | None:
    """One matrix per baseline, all of one data set."""
    results = evidence.best_modality(dataset)
    if not results:
        return None
    caption = (
        f"{scored_on(evidence, dataset)}. Rows are true classes, columns predicted ones; a row sums to the videos of its class, and "
        "stronger cells hold more of them. The diagonal is correct. Classes are grouped by what tells them apart."
    )
    panels = tuple(_confusion(result, dataset) for result in results)
    return Figure(f"confusion-{dataset}", f"Confusions on {dataset}", caption, panels)


def _confusion(result: Result, dataset: str) -> Panel:
    order = [k for _, k in class_order(dataset, result.classes)]
    counts = confusion(result.scores)[order][:, [*order, len(order)]]
    if not counts[:, -1].any():
        counts = counts[:, :-1]
    names = [result.classes[k] for k in order]
    title = f"{result.name}: {100 * result.interval.value:.1f}%"
    listed = [f"{true} → {guess}: {count} of {total}" for true, guess, count, total in most_confused(result)[:LISTED]]
    drawing = _matrix(title, counts, names) if len(names) <= NAMED_CLASSES else _picture(title, counts, listed)
    return drawing.panel(result.baseline, result.name, f"Most often confused: {'; '.join(listed[:3])}")


def _matrix(title: str, counts: np.ndarray, names: Sequence[str]) -> Drawing:
    shares = np.sqrt(counts / np.maximum(1, counts.sum(axis=1, keepdims=True)))
    cells = {
        (i, j): Shaded(str(counts[i, j]), shares[i, j], "heat" if i == j else "f4")
        for i, j in np.argwhere(counts).tolist()
    }
    columns = [*names, UNDECODABLE][: counts.shape[1]]
    return table(names, columns, cells, cell_px=(17, 17), title=title)


def _picture(title: str, counts: np.ndarray, listed: Sequence[str]) -> Drawing:
    """For hundreds of classes: one pixel per cell, and the most frequent confusions in words."""
    shares = np.sqrt(counts / np.maximum(1, counts.sum(axis=1, keepdims=True)))
    pixels = np.zeros((*counts.shape, 4), np.uint8)
    pixels[..., :3] = np.where(np.eye(*counts.shape)[..., None] > 0, RIGHT, WRONG)
    pixels[..., 3] = np.rint(255 * shares)
    drawing = Drawing(370, 330 + 16 * LISTED)
    drawing.text(0, 12, title, style="bold")
    drawing.picture(0, 22, 290, 290, encoded(pixels, ".png"), kind="png")
    for k, line in enumerate(listed):
        drawing.text(0, 334 + 16 * k, line, style="small")
    return drawing


def most_confused(result: Result) -> list[tuple[str, str, int, int]]:
    """(true class, predicted class, times, videos of the true class), the most frequent confusion first."""
    counts = confusion(result.scores)
    names = [*result.classes, UNDECODABLE]
    wrong = counts * (1 - np.eye(*counts.shape, dtype=counts.dtype))
    ranked = sorted(zip(*np.nonzero(wrong), strict=True), key=lambda at: (-int(wrong[at]), int(at[0]), int(at[1])))
    return [(names[i], names[j], int(wrong[i, j]), int(counts[i].sum())) for i, j in ranked]


def agreement(evidence: Evidence) -> Figure | None:
    """Agreement between every two baselines, one panel per data set."""
    panels = [panel for dataset in evidence.datasets if (panel := _agreement(evidence, dataset))]
    caption = (
        "Above the diagonal: test videos, %, for which two baselines give the same answer, right or wrong. Below it: Cohen's kappa, "
        "which is 0 for answers that agree no more than by chance and 1 for equal ones. Bottom: videos by how many of the "
        "baselines have them right."
    )
    return Figure("agreement", "Agreement between baselines", caption, tuple(panels)) if panels else None


def _agreement(evidence: Evidence, dataset: str) -> Panel | None:
    results = evidence.best_modality(dataset)
    if len(results) < 2 or len({frozenset(result.scores.ids) for result in results}) > 1:
        return None
    ids, names = results[0].scores.ids, [title_of(result.baseline) for result in results]
    same_order = [aligned(result.scores, ids) for result in results]
    answers = [predictions(scores) for scores in same_order]
    cells, texts = {}, []
    for i, a in enumerate(answers):
        for j, b in enumerate(answers[i + 1 :], start=i + 1):
            same, beyond_chance = float(np.mean(a == b)), kappa(a, b)
            cells[i, j] = Shaded(f"{100 * same:.0f}", same)
            cells[j, i] = Shaded(f"{round(beyond_chance, 2) + 0.0:.2f}", max(0.0, beyond_chance))
            texts.append(f"{names[i]} and {names[j]} {100 * same:.0f}%")
    drawing = table(names, names, cells, cell_px=(44, 25), below_px=68)
    right = np.sum([topk_correct(scores) for scores in same_order], axis=0)
    _tally(drawing, np.bincount(right, minlength=len(results) + 1), drawing.height - 48)
    return drawing.panel(dataset, scored_on(evidence, dataset), "Same answers: " + ", ".join(texts))


def _tally(drawing: Drawing, counts: np.ndarray, y: float) -> None:
    """One bar of all videos, divided by how many baselines have them right."""
    drawing.text(0, y, "videos by how many baselines are right", style="mute small")
    widths = (drawing.width - 8) * counts / counts.sum()
    for k, (count, x, width) in enumerate(zip(counts, np.cumsum(widths) - widths, widths, strict=True)):
        if count:
            words = str(count) if width > 22 else ""
            hint = f"{k} right: {count} videos"
            drawing.cell((x, y + 7, width - 1, 18), words, share=k / (len(counts) - 1), hint=hint)
        if width > 40:
            drawing.text(x + width / 2, y + 39, f"{k} right", style="mute small", anchor="middle")


def kappa(a: np.ndarray, b: np.ndarray) -> float:
    """Cohen's kappa of two lists of answers; 1 where both always give the same single answer."""
    kinds = np.union1d(a, b)
    chance = float(sum(np.mean(a == kind) * np.mean(b == kind) for kind in kinds))
    return 1.0 if chance >= 1 else (float(np.mean(a == b)) - chance) / (1 - chance)
