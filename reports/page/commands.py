"""The exact command behind a finished job, read off its record."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from harness.core import registry
from harness.core.contract import Scale
from harness.core.errors import UnknownName
from harness.core.registry import dashed
from harness.core.spec import plain
from harness.planning.selection import PUBLISHED
from harness.records.record import Record
from reports.evidence import Evidence, card_of, dataset_of

SETTABLE = (int, float, str, bool)


def command(record: Record, evidence: Evidence) -> str:
    """Runs this job, or the first number that it was run for; '' where the ledger has none."""
    scored = record if record.kind in ("train", "head") else _user_of(record, evidence)
    return run_command(scored, evidence) if scored else ""


def _user_of(record: Record, evidence: Evidence) -> Record | None:
    """The first scored job that builds on it."""
    for other in evidence.records.values():
        if other.kind in ("train", "head") and record.job_id in evidence.chain([other]):
            return other
    return None


def run_command(record: Record, evidence: Evidence) -> str:
    """`harness run` with everything that differs from what the cards say."""
    spec = record.spec
    words = ["harness run", f"--baseline {dashed(spec['baseline']['name'])}", f"--modality {'+'.join(spec['streams'])}"]
    words += [
        f"--dataset {spec['dataset']['name']}",
        f"--protocol {spec['protocol']['name']}",
        f"--init {spec['init']}",
    ]
    words += [f"--split {spec['split']}"] if spec["split"] != 1 else []
    words += _unusual(record, evidence)
    words += [f"--set {key}={value}" for key, value in overrides(record, evidence).items()]
    return " ".join(words)


def _unusual(record: Record, evidence: Evidence) -> list[str]:
    """Flags for what is not the first on the data set's card."""
    spec, card = record.spec, dataset_of(record.spec["dataset"]["name"])
    words = [f"--seed {spec['seed']}"] if spec["seed"] else []
    if card is None or spec["subset"] != card.subsets[0]:
        words.append(f"--subset {spec['subset']}")
    if spec["backbone"]:
        words.append(f"--backbone {spec['backbone']}")
    source = next((r.setting.source for r in evidence.results if r.records[0] is record), "")
    baseline = card_of(spec["baseline"]["name"])
    usual = (card.source if card and card.micro else baseline.source if baseline else "") or ""
    if source and (source != usual or source.startswith(PUBLISHED)):
        words.append(f"--source {source}")
    if card is None or ("micro" if card.micro else "paper") != spec["scale"]["name"]:
        words.append(f"--scale {spec['scale']['name']}")
    return words


def overrides(record: Record, evidence: Evidence) -> dict[str, Any]:
    """`--set` key -> value for every setting of the job, and of those it builds on, that is not the scale's own.

    {} where the record is of another version of the scale, whose settings are not known here.
    """
    scale = _scale(record)
    if scale is None:
        return {}
    found = _differences(record.spec["scale"], plain(scale), "scale.")
    baseline = card_of(record.spec["baseline"]["name"])
    factors = baseline.learning_rate if baseline else {}
    for job in evidence.chain([record]).values():
        stage = "images" if job.kind == "images" else job.spec.get("stage", "")
        if stage in scale.stages:
            schedule = scale.stages[stage]
            usual = plain(dataclasses.replace(schedule, base_lr=schedule.base_lr * factors.get(stage, 1.0)))
            found |= _differences(job.spec["schedule"], usual, f"{stage}.")
    return dict(sorted(found.items()))


def _scale(record: Record) -> Scale | None:
    try:
        scale: Scale = registry.load("scale", record.spec["scale"]["name"])
    except UnknownName:
        return None
    return scale if scale.version == record.spec["scale"]["version"] else None


def _differences(stored: Mapping[str, Any], usual: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {
        prefix + name: value
        for name, value in stored.items()
        if name in usual and name not in ("name", "version") and isinstance(value, SETTABLE) and value != usual[name]
    }
