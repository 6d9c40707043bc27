"""What `harness doctor --job` does: the known causes of a gap, measured, and the settings beside the card."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from harness.analysis import settings_diff
from harness.analysis.settings_diff import Setting
from harness.commands import console
from harness.core.workspace import Workspace
from harness.metrics import statistics
from harness.records.record import RunStore

if TYPE_CHECKING:
    from harness.analysis.ablation import Diagnosis, Effect

SURE = 0.05
"""Of the p values, adjusted for as many changes as were tried."""


def show(job: str, workspace: Workspace, *, videos: int | None, as_json: bool) -> None:
    """`harness doctor --job`."""
    record = RunStore(workspace.runs).find(job)
    from harness.analysis.ablation import SAMPLE, diagnose
    from harness.jobs.options import JobOptions

    with console.screen(jobs=0, as_json=as_json) as callback:
        diagnosis = diagnose(record, JobOptions(places=workspace), sample=videos or SAMPLE, callback=callback)
    compared = settings_diff.compare_settings(record)
    click.echo(json.dumps(as_dict(diagnosis, compared)) if as_json else as_text(diagnosis, compared))


def adjusted(effects: Sequence[Effect]) -> dict[int, float]:
    """Position -> p of the difference (by group), by Holm's correction over all that were measured."""
    measured = [k for k, effect in enumerate(effects) if effect.difference]
    p_values = [effect.difference.p_value_groups for effect in effects if effect.difference]
    return dict(zip(measured, statistics.holm(p_values), strict=True))


def verdict(effect: Effect, p_value: float) -> str:
    """What a difference says about the job."""
    if effect.difference is None:
        return effect.skipped
    if p_value >= SURE:
        return "no difference shown"
    if effect.difference.difference > 0:
        return "BETTER than as it is: look here"
    return "would cost this much"


def as_text(diagnosis: Diagnosis, compared: Sequence[Setting]) -> str:
    from tabulate import tabulate

    record, p_values = diagnosis.record, adjusted(diagnosis.effects)
    rows = []
    for k, effect in enumerate(diagnosis.effects):
        test = effect.difference
        rows.append(
            {
                "cause": effect.change.cause,
                "instead": effect.change.instead,
                "top-1 %": f"{effect.top1_pct:.1f}" if test else "",
                "difference": f"{100 * test.difference:+.1f}" if test else "",
                "95% interval": f"{100 * test.low:+.1f} … {100 * test.high:+.1f}" if test else "",
                "answers changed": str(effect.answers_changed) if test else "",
                "verdict": verdict(effect, p_values.get(k, 1.0)),
            }
        )
    lines = [
        f"{record.title} (job {record.job_id})",
        f"as it is: {diagnosis.top1_pct:.1f}% of {diagnosis.n} test videos (of {diagnosis.n_of}), {_since(diagnosis)}",
        "",
        tabulate(rows, headers="keys", tablefmt="simple", disable_numparse=True, maxcolwidths=[None] * 6 + [32]),
        "",
        "Differences are paired on the same videos and drawn by group; verdicts at p < 0.05 after Holm's correction.",
        "",
        *_settings_text(compared),
    ]
    return "\n".join(lines)


def _since(diagnosis: Diagnosis) -> str:
    if diagnosis.moved == 0:
        return "bit for bit as recorded"
    if diagnosis.top1_pct == diagnosis.recorded_pct:
        return f"as recorded (logits within {diagnosis.moved:.1g})"
    return (
        f"but {diagnosis.recorded_pct:.1f}% when it was recorded: logits moved by up to {diagnosis.moved:.2g}, so what is fed "
        "to the network, or how it computes, has changed since (`harness check`)"
    )


def _settings_text(compared: Sequence[Setting]) -> list[str]:
    from tabulate import tabulate

    differing = [setting for setting in compared if setting.differs]
    shown = differing or [
        setting for setting in compared if setting.name in ("train.batch", "train.base_lr", "train.steps")
    ]
    rows = [
        {"setting": s.name, "this job": _word(s.job), "its scale's card": _word(s.card), "paper scale": _word(s.paper)}
        for s in shown
    ]
    told = (
        f"{len(differing)} of {len(compared)} settings differ from the card:"
        if differing
        else (f"All {len(compared)} settings are the card's, among them:")
    )
    return [told, "", tabulate(rows, headers="keys", tablefmt="simple", disable_numparse=True)]


def _word(value: Any) -> str:
    if value is None or value == "":
        return "-"
    return json.dumps(value) if isinstance(value, (dict, list)) else str(value)


def as_dict(diagnosis: Diagnosis, compared: Sequence[Setting]) -> dict[str, Any]:
    p_values = adjusted(diagnosis.effects)
    return {
        "job": diagnosis.record.job_id,
        "n": diagnosis.n,
        "n_of": diagnosis.n_of,
        "top1_pct": diagnosis.top1_pct,
        "recorded_pct": diagnosis.recorded_pct,
        "largest_logit_change": diagnosis.moved,
        "causes": [
            {
                "cause": effect.change.cause,
                "instead": effect.change.instead,
                "top1_pct": effect.top1_pct if effect.difference else None,
                "difference": dataclasses.asdict(effect.difference) if effect.difference else None,
                "p_adjusted": p_values.get(k),
                "answers_changed": effect.answers_changed,
                "verdict": verdict(effect, p_values.get(k, 1.0)),
            }
            for k, effect in enumerate(diagnosis.effects)
        ],
        "settings": [dataclasses.asdict(setting) | {"differs": setting.differs} for setting in compared],
    }
