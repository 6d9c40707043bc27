"""A finished job as the page shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.core.contract import Schedule
from harness.core.job_specs import NetworkSpec, ScoredSpec
from harness.metrics.registered import PRIMARY, named, text
from harness.metrics.scores import bounds_pct
from harness.planning.command import command_of
from harness.planning.lookup import skipped_videos
from harness.records.caveats import caveats_of, left_out
from harness.records.record import Record
from reports.evidence import Evidence
from reports.figures.curves import spark
from reports.units import duration

KINDS = {
    "flow": "optical flow",
    "images": "2D image network",
    "train": "training",
    "features": "features",
    "head": "head on features",
    "imported": "imported scores",
}


@dataclass(frozen=True)
class JobView:
    """One job on the page."""

    id: str
    title: str
    kind: str
    top1: str
    """'79.6'; '' for a job without scores."""
    interval: str
    n: str
    wall_s: float
    finished: str
    command: str
    facts: Mapping[str, str]
    """Metrics, cost, settings: label -> value."""
    versions: Mapping[str, str]
    upstream: Mapping[str, str]
    """Role -> job id."""
    absent: tuple[str, ...]
    """Upstream jobs whose records are missing or damaged."""
    used_by: tuple[str, ...]
    curve: str
    """An <svg>, or ''."""


def views(evidence: Evidence) -> tuple[JobView, ...]:
    """Every job of the evidence, in the order they were finished."""
    used: dict[str, list[str]] = {}
    for record in evidence.records.values():
        for up in record.upstream.values():
            used.setdefault(up, []).append(record.job_id)
    return tuple(_view(record, evidence, tuple(used.get(record.job_id, ()))) for record in evidence.records.values())


def _view(record: Record, evidence: Evidence, used_by: tuple[str, ...]) -> JobView:
    primary = record.metrics.get(PRIMARY)
    return JobView(
        id=record.job_id,
        title=record.title,
        kind=KINDS.get(record.kind, record.kind),
        top1=f"{primary['value']:.1f}" if primary else "",
        interval=f"{primary['low']:.1f} – {primary['high']:.1f}" if primary and "low" in primary else "",
        n=str(record.counts.get("n", "")),
        wall_s=float(record.cost["wall_s"]),
        finished=record.finished_at[:16].replace("T", " "),
        command=command_of(record.cell, skipped=bool(skipped_videos([record], evidence.records.get)))
        if record.cell
        else "",
        facts={label: value for label, value in _facts(record).items() if value},
        versions={name: str(value) for name, value in record.environment.items() if value},
        upstream=record.upstream,
        absent=tuple(up for up in record.upstream.values() if up not in evidence.records),
        used_by=used_by,
        curve=spark(record),
    )


def _facts(record: Record) -> dict[str, str]:
    counted, cost, spec = record.counts, record.cost, record.spec
    facts = {named(name).title: _number(name, number) for name, number in record.metrics.items()}
    if counted:
        facts["videos"] = f"{counted['correct']} right of {counted['n']} scored, of {counted['n_of']} listed"
        bad = counted["undecodable"]
        facts["cannot be decoded"] = f"{bad}, counted as wrong" if bad else ""
        facts["missing from disk"] = _missing(counted) if counted["missing"] else ""
    facts["took"] = _took(cost)
    facts["memory"] = f"{cost['peak_memory_bytes'] / 2**20:.0f} MiB at most" if "peak_memory_bytes" in cost else ""
    facts["speed"] = f"{cost['samples_per_s']:.0f} samples/s" if cost.get("samples_per_s") else ""
    facts["schedule"] = _schedule(getattr(spec, "schedule", None))
    facts["weights"] = str(record.chosen.get("rule", ""))
    facts["held out"] = f"{len(record.chosen['held_out'])} videos" if record.chosen.get("held_out") else ""
    facts["starts from"] = record.cell.source if record.cell and isinstance(spec, ScoredSpec) else ""
    facts["caveats"] = "; ".join(caveats_of(record.cell)) if record.cell else ""
    facts["left out"] = left_out(record.chosen.get("skipped", ()))
    facts["data"] = f"{spec.dataset.name} version {spec.dataset.version}, fingerprint {record.fingerprint}"
    if isinstance(spec, NetworkSpec):
        facts["precision"] = f"{spec.precision}, {'on a GPU' if spec.on_gpu else f'{spec.threads} CPU threads'}"
    return facts


def _number(name: str, number: Mapping[str, Any]) -> str:
    drawn = {"groups": ", drawn by group", "videos": ", drawn by video"}.get(number.get("drawn_by", ""), "")
    return text(name, number, interval=True) + drawn


def _missing(counted: Mapping[str, int]) -> str:
    low, high = bounds_pct(counted)
    return f"{counted['missing']}; top-1 would be {low:.1f}% if all were wrong, {high:.1f}% if all were right"


def _took(cost: Mapping[str, float]) -> str:
    parts = [duration(cost["wall_s"])]
    parts += [f"training {duration(cost['train_s'])}"] if cost.get("train_s") else []
    parts += [f"scoring {duration(cost['score_s'])}"] if cost.get("score_s") else []
    parts += [f"{cost['wait_share']:.0%} of training waiting for data"] if cost.get("wait_share") else []
    return ", ".join(parts)


def _schedule(schedule: Schedule | None) -> str:
    if schedule is None:
        return ""
    words = f"{schedule.steps} steps of {schedule.batch}, {schedule.optimizer}, learning rate {schedule.base_lr:g}, "
    return words + f"{schedule.policy}, weight decay {schedule.weight_decay:g}"
