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
from harness.commands.options import device_option, workspace_options
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
@click.option("--videos", type=click.IntRange(2), default=200, metavar="N", help="Test videos to score per change.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@device_option
@workspace_options
def command(job: str, workspace: Workspace, videos: int, as_json: bool) -> None:
    record = RunStore(workspace.runs).find(job)
    from harness.analysis.ablation import ablate
    from harness.jobs.options import JobOptions

    with console.screen(jobs=0, as_json=as_json) as callback:
        report = ablate(record, JobOptions(workspace=workspace), sample=videos, callback=callback)
    content = as_dict(report, compare_settings(record))
    click.echo(json.dumps(content) if as_json else as_text(report, content))


def as_dict(report: AblationReport, settings: Sequence[SettingDiff]) -> dict[str, Any]:
    return {
        "job": report.record.job_id,
        "n": report.n,
        "n_of": report.n_of,
        "accuracy_pct": report.accuracy_pct,
        "recorded_pct": report.recorded_pct,
        "largest_logit_change": report.moved,
        "causes": causes_of(report.effects),
        "settings": [dataclasses.asdict(setting) | {"differs": setting.differs} for setting in settings],
    }


def causes_of(effects: Sequence[Effect]) -> list[dict[str, Any]]:
    """One per effect, with the p-value of its difference (by group) after Holm's correction over all that were measured."""
    p_values = iter(statistics.holm([effect.difference.p_value_groups for effect in effects if effect.difference]))
    causes = []
    for effect in effects:
        test = effect.difference
        p_value = next(p_values) if test else None
        causes.append(
            {
                "cause": effect.change.cause,
                "instead": effect.change.instead,
                "accuracy_pct": effect.accuracy_pct if test else None,
                "difference": dataclasses.asdict(test) if test else None,
                "p_adjusted": p_value,
                "predictions_changed": effect.predictions_changed,
                "verdict": _verdict(test.difference, p_value) if test and p_value is not None else effect.skipped,
            }
        )
    return causes


def _verdict(difference: float, p_value: float) -> str:
    if p_value >= ALPHA:
        return "no significant difference"
    return "ACCURACY IMPROVES: likely cause of the gap" if difference > 0 else "would cost this much"


def as_text(report: AblationReport, content: dict[str, Any]) -> str:
    lines = (
        f"{report.record.title} (job {report.record.job_id})",
        f"unchanged: {report.accuracy_pct:.1f}% of {report.n} test videos (of {report.n_of}), {_since_recorded(report)}",
        "",
        console.table(map(_row, content["causes"]), maxcolwidths=[None] * 6 + [32]),
        "",
        "Differences are paired on the same videos and resampled by group; verdicts at p < 0.05 after Holm's correction.",
        "",
        *_settings_text(content["settings"]),
    )
    return "\n".join(lines)


def _row(cause: dict[str, Any]) -> dict[str, str]:
    test = cause["difference"]
    return {
        "cause": cause["cause"],
        "instead": cause["instead"],
        "top-1 %": f"{cause['accuracy_pct']:.1f}" if test else "",
        "difference": f"{100 * test['difference']:+.1f}" if test else "",
        "95% interval": f"{100 * test['low']:+.1f} … {100 * test['high']:+.1f}" if test else "",
        "predictions changed": str(cause["predictions_changed"]) if test else "",
        "verdict": cause["verdict"],
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


def _settings_text(settings: list[dict[str, Any]]) -> list[str]:
    shown = [setting for setting in settings if setting["differs"]]
    summary = f"{len(shown)} of {len(settings)} settings differ from the card:"
    if not shown:
        shown = [setting for setting in settings if setting["name"] in MAIN_SETTINGS]
        summary = f"All {len(settings)} settings equal the card's, among them:"
    columns = {"this job": "job", "its scale's card": "card", "paper scale": "paper"}
    rows = [{"setting": s["name"]} | {head: _word(s[key]) for head, key in columns.items()} for s in shown]
    return [summary, "", console.table(rows)]


def _word(value: Any) -> str:
    if value is None or value == "":
        return "-"
    return json.dumps(value) if isinstance(value, (dict, list)) else str(value)
