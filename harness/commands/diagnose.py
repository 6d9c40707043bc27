"""`harness diagnose`: Find out why a job's accuracy differs from the paper's.

An ablation of known implementation mistakes: scores test videos again with one change at a time, and prints the effect of
each. A change that raises the accuracy points to the cause. Also compares the job's settings with the cards.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from harness.analysis.settings_diff import SettingDiff, compare_settings
from harness.commands import console
from harness.commands.options import workspace_options
from harness.core.workspace import Workspace
from harness.metrics import statistics
from harness.records.record import RunStore

if TYPE_CHECKING:
    from harness.analysis.ablation import AblationReport, Effect

ALPHA = 0.05
"""Level of the p-values, after correction for the number of changes."""
MAIN_SETTINGS = ("train.batch", "train.base_lr", "train.steps")
"""Shown if no setting differs."""


@click.command()
@click.argument("job")
@click.option(
    "--videos", type=click.IntRange(2), default=200, metavar="N", help="Test videos to score per change [default: 200]."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@workspace_options
def command(job: str, workspace: Workspace, videos: int, as_json: bool) -> None:
    record = RunStore(workspace.runs).find(job)
    from harness.analysis.ablation import ablate
    from harness.jobs.options import JobOptions

    with console.screen(jobs=0, as_json=as_json) as callback:
        report = ablate(record, JobOptions(workspace=workspace), sample=videos, callback=callback)
    settings = compare_settings(record)
    click.echo(json.dumps(as_dict(report, settings)) if as_json else as_text(report, settings))


def corrected_p(effects: Sequence[Effect]) -> dict[int, float]:
    """Position -> p-value of the difference (by group), by Holm's correction over all measured effects."""
    measured = {k: effect.difference.p_value_groups for k, effect in enumerate(effects) if effect.difference}
    return dict(zip(measured, statistics.holm(list(measured.values())), strict=True))


def verdict(effect: Effect, p_value: float) -> str:
    if effect.difference is None:
        return effect.skipped
    if p_value >= ALPHA:
        return "no significant difference"
    if effect.difference.difference > 0:
        return "ACCURACY IMPROVES: likely cause of the gap"
    return "would cost this much"


def as_text(report: AblationReport, settings: Sequence[SettingDiff]) -> str:
    record, p_values = report.record, corrected_p(report.effects)
    rows = [_row(effect, p_values.get(k, 1.0)) for k, effect in enumerate(report.effects)]
    lines = [
        f"{record.title} (job {record.job_id})",
        f"unchanged: {report.accuracy_pct:.1f}% of {report.n} test videos (of {report.n_of}), {_since_recorded(report)}",
        "",
        console.table(rows, maxcolwidths=[None] * 6 + [32]),
        "",
        "Differences are paired on the same videos and resampled by group; verdicts at p < 0.05 after Holm's correction.",
        "",
        *_settings_text(settings),
    ]
    return "\n".join(lines)


def _row(effect: Effect, p_value: float) -> dict[str, str]:
    test = effect.difference
    return {
        "cause": effect.change.cause,
        "instead": effect.change.instead,
        "top-1 %": f"{effect.accuracy_pct:.1f}" if test else "",
        "difference": f"{100 * test.difference:+.1f}" if test else "",
        "95% interval": f"{100 * test.low:+.1f} … {100 * test.high:+.1f}" if test else "",
        "predictions changed": str(effect.predictions_changed) if test else "",
        "verdict": verdict(effect, p_value),
    }


def _since_recorded(report: AblationReport) -> str:
    if report.moved == 0:
        return "bit for bit as recorded"
    if report.accuracy_pct == report.recorded_pct:
        return f"as recorded (logits within {report.moved:.1g})"
    return (
        f"but {report.recorded_pct:.1f}% when recorded: logits moved by up to {report.moved:.2g}, so the network's input or "
        "arithmetic has changed since (`harness check`)"
    )


def _settings_text(settings: Sequence[SettingDiff]) -> list[str]:
    differing = [setting for setting in settings if setting.differs]
    rows = [
        {"setting": s.name, "this job": _word(s.job), "its scale's card": _word(s.card), "paper scale": _word(s.paper)}
        for s in differing or [setting for setting in settings if setting.name in MAIN_SETTINGS]
    ]
    summary = (
        f"{len(differing)} of {len(settings)} settings differ from the card:"
        if differing
        else f"All {len(settings)} settings equal the card's, among them:"
    )
    return [summary, "", console.table(rows)]


def _word(value: Any) -> str:
    if value is None or value == "":
        return "-"
    return json.dumps(value) if isinstance(value, (dict, list)) else str(value)


def as_dict(report: AblationReport, settings: Sequence[SettingDiff]) -> dict[str, Any]:
    p_values = corrected_p(report.effects)
    return {
        "job": report.record.job_id,
        "n": report.n,
        "n_of": report.n_of,
        "accuracy_pct": report.accuracy_pct,
        "recorded_pct": report.recorded_pct,
        "largest_logit_change": report.moved,
        "causes": [
            {
                "cause": effect.change.cause,
                "instead": effect.change.instead,
                "accuracy_pct": effect.accuracy_pct if effect.difference else None,
                "difference": dataclasses.asdict(effect.difference) if effect.difference else None,
                "p_adjusted": p_values.get(k),
                "predictions_changed": effect.predictions_changed,
                "verdict": verdict(effect, p_values.get(k, 1.0)),
            }
            for k, effect in enumerate(report.effects)
        ],
        "settings": [dataclasses.asdict(setting) | {"differs": setting.differs} for setting in settings],
    }
