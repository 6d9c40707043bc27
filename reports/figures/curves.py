"""Learning curves: the training loss by data set and protocol, and a small curve for one job."""

from __future__ import annotations

from collections.abc import Mapping

from harness.core.cells import Cell
from harness.planning.lookup import scored
from harness.records.record import Record
from reports.evidence import Evidence, order_of, title_of
from reports.figures.accuracy import series_of
from reports.figures.charts import PANEL_PX, axis_below, axis_left, legend
from reports.figures.drawing import COLOURS, Axis, Drawing, Figure, Panel

LOSS = "train/loss"
POINTS = 40
DASHES = {"rgb": "", "flow": "5 3", "rgb+flow": "1.5 2.5"}
Curve = list[tuple[int, float]]


def curve_of(record: Record, name: str = LOSS, *, points: int = POINTS) -> Curve:
    """(step, value); where more were logged than `points`, means of neighbours."""
    logged = [(int(point["step"]), float(point["value"])) for point in record.curves if point["name"] == name]
    size = -(-len(logged) // points) if logged else 1
    parts = [logged[k : k + size] for k in range(0, len(logged), size)]
    return [(part[len(part) // 2][0], sum(value for _, value in part) / len(part)) for part in parts]


def curves(evidence: Evidence) -> Figure | None:
    """Training loss of every network, one panel per data set and protocol."""
    panels = []
    for dataset in evidence.datasets:
        records = {record.cell: record for record in scored(evidence.records.values()) if curve_of(record)}
        of_dataset = {cell: record for cell, record in records.items() if cell and cell.dataset == dataset}
        for protocol in sorted({cell.protocol for cell in of_dataset}):
            shown = _first_runs({cell: record for cell, record in of_dataset.items() if cell.protocol == protocol})
            panels.append(_panel(evidence, dataset, protocol, shown))
    caption = (
        f"Cross-entropy of the training batch at every logged step, means of neighbours where more than {POINTS} were logged. Solid: "
        "RGB; dashed: flow; dotted: both streams trained jointly. Split 1, from the first init on each baseline's card."
    )
    return Figure("curves", "Learning curves", caption, tuple(panels)) if panels else None


def _first_runs(records: Mapping[Cell, Record]) -> dict[Cell, Record]:
    """One per baseline and stream: the first split and seed, ImageNet where there is one, without `--set`."""
    chosen: dict[tuple[str, str], Cell] = {}
    for cell in sorted(records, key=lambda c: (c.overrides, c.split, c.seed, c.init != "imagenet", c)):
        chosen.setdefault((cell.baseline, cell.modality), cell)
    return {cell: records[cell] for cell in sorted(chosen.values(), key=lambda cell: order_of(cell.baseline))}


def _panel(evidence: Evidence, dataset: str, protocol: str, records: Mapping[Cell, Record]) -> Panel:
    series = series_of(evidence)
    left, right, bottom = 34, PANEL_PX - 10, 204
    drawn = {cell: curve_of(record) for cell, record in records.items()}
    steps = max(curve[-1][0] for curve in drawn.values())
    top = max(value for curve in drawn.values() for _, value in curve)
    drawing = Drawing(PANEL_PX, bottom + 68)
    across, up = Axis(0, steps, left, right), Axis(0, top * 1.02, bottom, 12)
    axis_left(drawing, up, "training loss", left=left, right=right, count=4)
    axis_below(drawing, across, "step", top=bottom, bottom=bottom)
    names, texts = {}, []
    for cell, curve in drawn.items():
        baseline, modality = cell.baseline, cell.modality
        names[title_of(baseline)] = series.get(baseline, COLOURS - 1)
        points = [(across(step), up(value)) for step, value in curve]
        style = f"s{names[title_of(baseline)] % COLOURS}"
        drawing.curve(points, style=style, dash=DASHES[modality])
        texts.append(f"{title_of(baseline)} {modality} ends at {curve[-1][1]:.2f}")
    legend(drawing, names, 4, bottom + 46)
    return drawing.panel(f"{dataset}-{protocol}", f"{dataset}, {protocol}", "; ".join(texts))


def spark(record: Record) -> str:
    """The job's training loss as a small <svg>; '' where it has none."""
    curve = curve_of(record, points=36)
    if len(curve) < 2:
        return ""
    drawing = Drawing(220, 56)
    across = Axis(curve[0][0], curve[-1][0], 4, 216)
    up = Axis(0, max(value for _, value in curve) or 1, 52, 4)
    drawing.line(4, 52, 216, 52)
    drawing.curve([(across(step), up(value)) for step, value in curve], style="s5")
    title = f"training loss, {curve[0][1]:.2f} at step {curve[0][0]} to {curve[-1][1]:.2f} at step {curve[-1][0]}"
    return drawing.panel("curve", "Learning curve", title).svg
