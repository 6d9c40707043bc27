"""What of a job and its record goes to MLflow, as plain values; no mlflow in here."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.metrics import confusion, per_class_metrics
from harness.record import RECORD, SCORES, Record
from harness.watch import Point

LONGEST_PARAM = 500
"""Letters of a parameter; MLflow takes 6,000."""


def reportable(record: Record) -> bool:
    """False when the number rests on fewer videos than the lists name."""
    return not record.metrics.get("missing") and "limit" not in record.spec


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


def numbers(values: Mapping[str, Any], prefix: str = "") -> list[Point]:
    """Every number of a mapping as a point at step 0."""
    return [(0, prefix + name, float(value)) for name, value in values.items() if isinstance(value, int | float)]


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
    return fresh + numbers(record.metrics) + numbers(record.cost, prefix="cost/")


def write_artifacts(folder: Path, record: Record) -> list[Point]:
    """record.json, scores.npz and the confusion matrix as .json and .png; gives per-class accuracy as points."""
    if record.folder is not None:
        (folder / RECORD).write_bytes((record.folder / RECORD).read_bytes())
    if SCORES not in record.files:
        return []
    (folder / SCORES).write_bytes(record.path(SCORES).read_bytes())
    scores = record.scores()
    counts = confusion(scores)
    names = list(record.classes)
    (folder / "confusion.json").write_text(json.dumps({"classes": names, "true_by_predicted": counts.tolist()}))
    draw_confusion(folder / "confusion.png", counts, names, title=record.title)
    accuracy = per_class_metrics(scores, record.classes)
    return [(0, f"class/{name}", value) for name, value in accuracy.items()]


def draw_confusion(path: Path, counts: np.ndarray, classes: Sequence[str], *, title: str) -> None:
    """Counts (C, C + 1) as a picture of row shares, true class down, predicted across, undecodable last."""
    from matplotlib.figure import Figure

    side_in = min(12.0, 3.0 + 0.22 * len(classes))
    figure = Figure(figsize=(side_in, side_in), layout="constrained")
    axes = figure.subplots()
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted", ylabel="true")
    figure.suptitle(title, fontsize=8)
    if len(classes) <= 60:
        axes.set_xticks(range(len(classes) + 1), [*classes, "undecodable"], rotation=90, fontsize=6)
        axes.set_yticks(range(len(classes)), classes, fontsize=6)
    figure.colorbar(picture, shrink=0.6, label="share of the true class")
    figure.savefig(path, dpi=110)
