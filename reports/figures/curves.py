"""Learning curves: what the training loss did, by data set and protocol; and one job's curve in small."""

from __future__ import annotations

from collections.abc import Sequence

from harness.core.registry import dashed
from harness.records.record import Record
from reports.evidence import Evidence, title_of
from reports.figures.accuracy import _series_legend, colours
from reports.figures.drawing import COLOURS, Axis, Drawing, Figure, Panel

LOSS = "train/loss"
HELD_OUT = "held_out/loss"
POINTS = 40
DASHES = {"rgb": "", "flow": "5 3", "rgb+flow": "1.5 2.5"}
Curve = list[tuple[int, float]]


def curve_of(record: Record, name: str = LOSS, *, points: int = POINTS) -> Curve:
    """(step, value); where more were logged than `points`, means of neighbours."""
    found = [(int(point["step"]), float(point["value"])) for point in record.curves if point["name"] == name]
    size = -(-len(found) // points) if found else 1
    parts = [found[k : k + size] for k in range(0, len(found), size)]
    return [(part[len(part) // 2][0], sum(value for _, value in part) / len(part)) for part in parts]


def curves(evidence: Evidence) -> Figure | None:
    """Training loss of every network, a panel for each data set and protocol."""
    panels = []
    for dataset in evidence.datasets:
        mine = [record for record in evidence.records.values() if record.spec["dataset"]["name"] == dataset]
        mine = [record for record in mine if record.kind in ("train", "head") and curve_of(record)]
        for protocol in sorted({record.spec["protocol"]["name"] for record in mine}):
            shown = _shown([record for record in mine if record.spec["protocol"]["name"] == protocol])
            panels.append(_panel(evidence, dataset, protocol, shown))
    caption = (
        f"Cross-entropy of the training batch at every logged step, means of neighbours where more than {POINTS} were logged. Solid: "
        "RGB; dashed: flow; dotted: both streams trained jointly. Split 1, from the first init on each baseline's card."
    )
    return Figure("curves", "Learning curves", caption, tuple(panels)) if panels else None


def _shown(records: Sequence[Record]) -> list[Record]:
    """One a baseline and stream: the first split and seed, ImageNet where there is one."""
    chosen: dict[tuple[str, str], Record] = {}
    for record in sorted(
        records, key=lambda r: (r.spec["split"], r.spec["seed"], r.spec["init"] != "imagenet", r.job_id)
    ):
        chosen.setdefault((record.spec["baseline"]["name"], "+".join(record.spec["streams"])), record)
    return list(chosen.values())


def _panel(evidence: Evidence, dataset: str, protocol: str, records: Sequence[Record]) -> Panel:
    series = colours(evidence)
    width, height, left = 370, 210, 34
    drawn = {record.job_id: curve_of(record) for record in records}
    steps = max(curve[-1][0] for curve in drawn.values())
    top = max(value for curve in drawn.values() for _, value in curve)
    drawing = Drawing(width, height + 62)
    across, up = Axis(0, steps, left, width - 10), Axis(0, top * 1.02, height - 6, 12)
    for value in up.ticks(4):
        drawing.line(left, up(value), width - 10, up(value))
        drawing.text(left - 6, up(value) + 3.5, f"{value:g}", style="mute small", anchor="end")
    for value in across.ticks(5):
        drawing.text(across(value), height + 8, f"{value:g}", style="mute small", anchor="middle")
    drawing.text((left + width) / 2, height + 21, "step", style="mute small", anchor="middle")
    drawing.text(9, height / 2, "training loss", style="mute small", anchor="middle", turn=-90)
    for record in records:
        name, modality = dashed(record.spec["baseline"]["name"]), "+".join(record.spec["streams"])
        points = [(across(step), up(value)) for step, value in drawn[record.job_id]]
        drawing.curve(points, style=f"s{series.get(name, 7) % COLOURS}", width=1.4, dash=DASHES[modality])
    names = [dashed(record.spec["baseline"]["name"]) for record in records]
    _series_legend(drawing, names, series, 4, height + 40, width)
    alt = "; ".join(
        f"{title_of(dashed(r.spec['baseline']['name']))} {'+'.join(r.spec['streams'])} ends at {drawn[r.job_id][-1][1]:.2f}"
        for r in records
    )
    return drawing.panel(f"{dataset}-{protocol}", f"{dataset}, {protocol}", alt)


def spark(record: Record) -> str:
    """The job's training loss as a small <svg>; '' where it has none."""
    curve = curve_of(record, points=36)
    if len(curve) < 2:
        return ""
    drawing = Drawing(220, 56)
    across = Axis(curve[0][0], curve[-1][0], 4, 216)
    up = Axis(0, max(value for _, value in curve) or 1, 52, 4)
    drawing.line(4, 52, 216, 52)
    drawing.curve([(across(step), up(value)) for step, value in curve], style="s5", width=1.4)
    title = f"training loss, {curve[0][1]:.2f} at step {curve[0][0]} to {curve[-1][1]:.2f} at step {curve[-1][0]}"
    return drawing.panel("curve", "Learning curve", title).svg
