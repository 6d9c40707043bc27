"""Who says what: confusion matrices, and how far the baselines agree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.metrics.scores import confusion, predictions
from reports.evidence import Evidence, Result, title_of
from reports.figures.accuracy import class_order, told
from reports.figures.drawing import Drawing, Figure, Panel, width_of

LABELLED = 40
"""Classes up to which every row has its name; beyond, the matrix is a picture with the pairs listed below it."""
CELL_PX = 17
MOST_CONFUSED = 8


def confusions(evidence: Evidence, dataset: str) -> Figure | None:
    """One matrix a baseline, all of one data set."""
    results = evidence.best_modality(dataset)
    if not results:
        return None
    caption = (
        f"{told(evidence, dataset)}. True class down, predicted class across; a row sums to the videos of its class, and stronger is "
        "more of them. The diagonal is right. Classes stand in groups by what tells them apart."
    )
    panels = tuple(_confusion(result, dataset) for result in results)
    return Figure(f"confusion-{dataset}", f"Confusion on {dataset}", caption, panels)


def _confusion(result: Result, dataset: str) -> Panel:
    names, order = result.classes, [k for _, k in class_order(dataset, result.classes)]
    counts = confusion(result.scores)[order][:, [*order, len(names)]]
    lost = bool(counts[:, -1].sum())
    shown = counts if lost else counts[:, :-1]
    draw = _matrix if len(names) <= LABELLED else _picture
    alt = "Most often confused: " + "; ".join(
        f"{true} taken for {guess} {count} of {total} times" for true, guess, count, total in pairs(result)[:3]
    )
    return draw(result, shown, [names[k] for k in order]).panel(result.baseline, result.name, alt)


def _matrix(result: Result, shown: np.ndarray, names: Sequence[str]) -> Drawing:
    labels = 6 + max(width_of(name, size_px=9.5) for name in names)
    top = 24 + labels * 0.66
    columns = [*names, "cannot be decoded"][: shown.shape[1]]
    drawing = Drawing(labels + CELL_PX * len(columns) + labels * 0.5, top + CELL_PX * len(names) + 6)
    drawing.text(0, 12, f"{result.name}: {100 * result.interval.value:.1f}%", style="bold")
    for k, name in enumerate(columns):
        drawing.text(labels + CELL_PX * (k + 0.72), top - 5, name, style="mute small", turn=-42)
    for row, name in enumerate(names):
        y = top + CELL_PX * row
        drawing.text(labels - 5, y + 12, name, style="small", anchor="end")
        total = max(1, int(shown[row].sum()))
        for column in range(len(columns)):
            _count(drawing, labels + CELL_PX * column, y, int(shown[row, column]), total, row == column)
    return drawing


def _count(drawing: Drawing, x: float, y: float, count: int, total: int, right: bool) -> None:
    size = CELL_PX - 1
    if count == 0:
        if right:
            drawing.rect(x, y, size, size, style="block")
        return
    share = count / total
    drawing.rect(x, y, size, size, style="heat" if right else "f4", opacity=0.1 + 0.85 * share)
    drawing.text(x + size / 2, y + 12, str(count), style="small on" if share > 0.5 else "small", anchor="middle")


def _picture(result: Result, shown: np.ndarray, names: Sequence[str]) -> Drawing:
    """For hundreds of classes: a pixel a cell, and the worst pairs in words."""
    from reports.figures.pictures import png_of

    share = shown / np.maximum(1, shown.sum(axis=1, keepdims=True))
    ink = np.rint(255 * (1 - np.sqrt(share))).astype(np.uint8)
    drawing = Drawing(370, 330 + 16 * MOST_CONFUSED)
    drawing.text(0, 12, f"{result.name}: {100 * result.interval.value:.1f}%", style="bold")
    drawing.picture(0, 22, 290, 290, png_of(np.repeat(ink[..., None], 3, axis=2)), kind="png")
    for k, (true, guess, count, total) in enumerate(pairs(result)[:MOST_CONFUSED]):
        drawing.text(0, 334 + 16 * k, f"{true} → {guess}: {count} of {total}", style="small")
    return drawing


def pairs(result: Result) -> list[tuple[str, str, int, int]]:
    """(true class, predicted class, times, videos of the true class), the most frequent confusion first."""
    counts = confusion(result.scores)
    names = [*result.classes, "cannot be decoded"]
    wrong = counts.copy()
    wrong[np.arange(len(wrong)), np.arange(len(wrong))] = 0
    ranked = sorted(zip(*np.nonzero(wrong), strict=True), key=lambda at: (-int(wrong[at]), int(at[0]), int(at[1])))
    return [(names[i], names[j], int(wrong[i, j]), int(counts[i].sum())) for i, j in ranked]


# ---------------------------------------------------------------------------------------------- agreement


def agreement(evidence: Evidence) -> Figure | None:
    """How often two baselines give the same answer, one panel a data set."""
    panels = [panel for dataset in evidence.datasets if (panel := _agreement(evidence, dataset))]
    caption = (
        "Above the diagonal: test videos, %, to which two baselines give the same answer, right or wrong. Below it: Cohen's kappa, "
        "which is 0 for answers that agree no more than by chance and 1 for equal ones. Beneath: videos by how many of the "
        "baselines have them right."
    )
    return Figure("agreement", "Agreement between baselines", caption, tuple(panels)) if panels else None


def _agreement(evidence: Evidence, dataset: str) -> Panel | None:
    results = evidence.best_modality(dataset)
    if len(results) < 2 or len({frozenset(result.scores.ids) for result in results}) > 1:
        return None
    ids = results[0].scores.ids
    answers = np.array([predictions(result.scores)[result.in_order(ids)] for result in results])
    labels, cell, top = LABELS_PX, 46, 68
    count = len(results)
    drawing = Drawing(max(370, labels + cell * count + 40), top + 26 * count + 78)
    said = []
    for i, row in enumerate(results):
        drawing.text(labels + cell * i + 24, top - 8, title_of(row.baseline), style="small", turn=-38)
        drawing.text(0, top + 26 * i + 16, title_of(row.baseline))
        for j, column in enumerate(results):
            if i == j:
                continue
            same = float(np.mean(answers[i] == answers[j]))
            value = same if j > i else kappa(answers[i], answers[j])
            _agreeing(drawing, labels + cell * j, top + 26 * i, cell - 2, value, percent=j > i)
            if j > i:
                said.append(f"{title_of(row.baseline)} and {title_of(column.baseline)} {100 * same:.0f}%")
    right = np.sum([result.right[result.in_order(ids)] for result in results], axis=0)
    _tally(drawing, np.bincount(right, minlength=count + 1), top + 26 * count + 22)
    return drawing.panel(dataset, told(evidence, dataset), "Same answers: " + ", ".join(said))


LABELS_PX = 112


def _agreeing(drawing: Drawing, x: float, y: float, width: float, value: float, *, percent: bool) -> None:
    drawing.rect(x, y, width, 24, style="heat", opacity=0.06 + 0.84 * max(0.0, value))
    words = f"{100 * value:.0f}" if percent else f"{value:.2f}"
    drawing.text(x + width / 2, y + 16, words, style="small on" if value > 0.58 else "small", anchor="middle")


def _tally(drawing: Drawing, counts: np.ndarray, y: float) -> None:
    """One bar of all videos, cut by how many baselines have them right."""
    width, total, x = drawing.width - 8, int(counts.sum()), 0.0
    drawing.text(0, y, "videos by how many baselines are right", style="mute small")
    for k, count in enumerate(counts):
        part = width * int(count) / total
        shade = 0.1 + 0.8 * k / (len(counts) - 1)
        if count:
            drawing.rect(x, y + 7, part - 1, 18, style="heat", opacity=shade, hint=f"{k} right: {count} videos")
            if part > 22:
                drawing.text(
                    x + part / 2, y + 20, str(count), style="small on" if shade > 0.55 else "small", anchor="middle"
                )
                drawing.text(
                    x + part / 2, y + 39, f"{k} right", style="mute small", anchor="middle"
                ) if part > 40 else None
        x += part


def kappa(a: np.ndarray, b: np.ndarray) -> float:
    """Cohen's kappa of two lists of answers; 1 where both always give the same single answer."""
    kinds = np.union1d(a, b)
    chance = float(sum(np.mean(a == kind) * np.mean(b == kind) for kind in kinds))
    return 1.0 if chance >= 1 else (float(np.mean(a == b)) - chance) / (1 - chance)
