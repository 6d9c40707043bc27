"""The parts of a job and its record that go to MLflow, as plain values; mlflow is not imported here."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from harness.core.callbacks import Point
from harness.core.cells import Cell
from harness.core.job_specs import JobSpec, NetworkSpec, WithScores, to_plain
from harness.metrics.registered import named, text
from harness.metrics.scores import Scores, confusion, per_class_metrics
from harness.records.caveats import limited_to
from harness.records.record import RECORD, SCORES, Record

LONGEST_PARAM = 500
"""Letters of a parameter; MLflow takes 6,000."""


def reportable(counted: Mapping[str, int], *, limit: int) -> str:
    """'false' when the number rests on fewer videos than the lists name, by `--limit` or on disk, else 'true'."""
    return str(not limit and not counted.get("missing")).lower()


def flatten(spec: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """{'schedule': {'steps': 5}} -> {'schedule.steps': '5'}; what is too long is cut, with '...'."""
    flat: dict[str, str] = {}
    for key, value in spec.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{name}."))
            continue
        text = value if isinstance(value, str) else json.dumps(value)
        flat[allowed(name)] = text if len(text) <= LONGEST_PARAM else text[: LONGEST_PARAM - 3] + "..."
    return flat


def allowed(name: str) -> str:
    """The name with letters that MLflow refuses (parentheses, apostrophes) replaced by '_'."""
    return re.sub(r"[^\w\-. /]", "_", name)


def axes(spec: JobSpec, cell: Cell | None) -> dict[str, str]:
    """The axes of the cell as tags, by the names of the flags: MLflow groups, filters and shows columns by them."""
    if cell is None or not isinstance(spec, WithScores):
        return {"dataset": spec.dataset.name} | ({"scale": spec.scale.name} if isinstance(spec, NetworkSpec) else {})
    return axes_of(cell)


def axes_of(cell: Cell) -> dict[str, str]:
    """The axes of a cell, by the names of the flags."""
    values = {name: value for name, value in vars(cell).items() if name != "overrides"}
    values["set"] = " ".join(f"{key}={value}" for key, value in cell.overrides)
    values["limit"] = cell.limit or ""
    values |= {name: value or "" for name, value in values.items() if name in ("shots", "share")}
    return {name: str(value) for name, value in values.items() if value != ""}


def params_of(spec: JobSpec) -> dict[str, str]:
    """The flattened spec."""
    return flatten(to_plain(spec))


def shared(specs: Sequence[JobSpec]) -> dict[str, str]:
    """Flattened settings that are equal in all specs."""
    first, *others = map(params_of, specs)
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}


def note(record: Record) -> str:
    """Text of the run's page: the number with its interval, and commands for more."""
    counted, ask = record.counts, f"`harness ls jobs {record.job_id}` shows all of it"
    if not record.metrics:
        return f"{record.title}. Job {record.job_id}; {ask}."
    written = [f"{named(name).title} {text(name, number, interval=True)}" for name, number in record.metrics.items()]
    limited = limited_to(record.spec.dataset.limit)
    of = "" if counted["n"] == counted["n_of"] else f" of {counted['n_of']}"
    return (
        f"**{written[0]}**, {', '.join([*written[1:], str(counted['n'])])}{of} videos; [low, high]: 95% interval. "
        f"{limited and f'It was {limited}. '}{record.chosen.get('rule', '')}\n\n"
        f"Job {record.job_id}; {ask}, `harness predict VIDEO --job {record.job_id}` tries it."
    )


def lasted_ms(record: Record) -> tuple[int | None, int | None]:
    """(start, end) of the job in ms since 1970, so that a record pushed later shows its own time; None where not known."""
    if not record.finished_at:
        return None, None
    end = datetime.datetime.fromisoformat(record.finished_at).timestamp() * 1000
    return int(end - 1000 * record.cost.get("wall_s", 0.0)), int(end)


def numbers(values: Mapping[str, Any], prefix: str = "") -> list[Point]:
    """Every number of a mapping as a point at step 0; of a metric 'NAME', 'NAME.low' and 'NAME.high'."""
    points: list[Point] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rest = {f"{name}.{key}": part for key, part in value.items() if key != "value"}
            points += numbers({name: value["value"], **rest}, prefix)
        elif isinstance(value, int | float):
            points.append((0, prefix + name, float(value)))
    return points


def machine(step: int) -> list[Point]:
    """A sample of this machine under MLflow's own names; shown on the run's page of system metrics."""
    import psutil

    memory, disk = psutil.virtual_memory(), psutil.disk_usage(str(Path.cwd()))
    return [
        (step, "system/cpu_utilization_percentage", psutil.cpu_percent()),
        (step, "system/system_memory_usage_megabytes", memory.used / 1e6),
        (step, "system/system_memory_usage_percentage", memory.percent),
        (step, "system/process_memory_megabytes", psutil.Process().memory_info().rss / 1e6),
        (step, "system/disk_usage_percentage", disk.percent),
    ]


def points_of(record: Record, *, streamed: set[tuple[int, str]]) -> list[Point]:
    """The record's curves, except what was streamed while it ran, its metrics and its cost."""
    curves = [(point["step"], point["name"], point["value"]) for point in record.curves]
    fresh = [point for point in curves if point[:2] not in streamed]
    return fresh + numbers(record.metrics) + numbers(record.counts) + numbers(record.cost, prefix="cost/")


def write_artifacts(folder: Path, record: Record, scores: Scores | None) -> list[Point]:
    """record.json, scores.npz and the confusion matrix as .json and .html; gives per-class accuracy as points.

    `scores` are the record's; None if it has none.
    """
    if record.folder is not None:
        (folder / RECORD).write_bytes((record.folder / RECORD).read_bytes())
    if scores is None:
        return []
    (folder / SCORES).write_bytes(record.path(SCORES).read_bytes())
    counts = confusion(scores)
    names = list(record.classes)
    (folder / "confusion.json").write_text(json.dumps({"classes": names, "true_by_predicted": counts.tolist()}))
    (folder / "confusion.html").write_text(confusion_html(counts, names, title=record.title), encoding="utf-8")
    accuracy = per_class_metrics(scores, record.classes)
    return [(0, f"class/{name}", value) for name, value in accuracy.items()]


def confusion_html(counts: np.ndarray, classes: Sequence[str], *, title: str) -> str:
    """Counts (C, C + 1) as a page: rows are true classes, columns predicted ones, undecodable last; grounds show row shares."""
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    head = "".join(f"<th>{escape(name)}" for name in ("true \\ predicted", *classes, "undecodable"))
    rows = [f"<tr>{head}"]
    for name, row, share in zip(classes, counts, shares, strict=True):
        cells = (
            f'<td style="background:rgb(35 82 124/{0.1 + 0.4 * part:.2f})">{count}' if count else "<td>"
            for count, part in zip(row, share, strict=True)
        )
        rows.append(f"<tr><th>{escape(name)}{''.join(cells)}")
    style = "body{font:12px sans-serif}th{font-weight:400;text-align:left}tr:first-child th{writing-mode:vertical-rl}"
    style += "td{min-width:1.6em;text-align:center}"
    head = f"<!doctype html><meta charset=utf-8><title>{escape(title)}</title><style>{style}</style>"
    return f"{head}<h1>{escape(title)}</h1><table>{''.join(rows)}</table>\n"
