"""`harness plan`: List the jobs behind a selection or a table, and their cost.

Shows which jobs are finished, and estimates time and disk space for the others. Runs nothing, and needs no data.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from harness.commands import console
from harness.commands.options import selection_options, workspace_options
from harness.core.cells import Cell, Job, Selection
from harness.core.errors import HarnessError
from harness.core.workspace import Workspace
from harness.planning import plan as planning, selection as selecting
from harness.planning.cost import Estimate, estimates
from harness.records.record import RunStore
from reports.units import duration, size

TABLES = ("2", "3", "4", "5")
"""Tables with numbers to run; Table 1 needs no jobs."""
BASIS = {
    "records": "corrected by finished jobs like it",
    "kind": "corrected by finished jobs of its kind",
    "model": "from counted operations alone",
    "assumed": "of networks that cannot be counted, at an assumed size",
}
MONTH_S = 30 * 86400.0


@click.command()
@selection_options
@click.option("--table", metavar="2|3|4|5|all", help="Plan a table of the paper instead of a selection.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--svg", metavar="FILE", help="Also draw the graph of jobs.")
@workspace_options
def command(selection: Selection, workspace: Workspace, table: str | None, as_json: bool, svg: str | None) -> None:
    plan = planning.make_plan(cells_of(selection, table), workspace, dry_run=True)
    # A damaged record makes an estimate worse, and nothing else.
    costs = estimates(plan, RunStore(workspace.runs).readable())
    if svg:
        _draw(svg, plan, costs)
    if as_json:
        click.echo(json.dumps(_as_dict(plan, costs)))
        return
    if len(plan.jobs) <= 60:
        click.echo(console.table(_row(job, plan) | {"takes": duration(costs[job.id].seconds)} for job in plan.jobs))
    else:
        click.echo(_counts(plan))
    click.echo(_summary(plan, costs))


def cells_of(selection: Selection, table: str | None) -> list[Cell]:
    """The cells of one table, of all tables, or of the selection."""
    if table is None:
        return selecting.cells(selection)
    if flags := _flags_besides_table(selection):
        raise HarnessError(
            f"--table {table} plans that table's own cells; leave out either {' and '.join(flags)}, or --table"
        )
    if table not in (*TABLES, "all"):
        raise HarnessError(f"--table {table}: expected one of {', '.join(TABLES)}, or all")
    from reports.tables import Question, wanted

    question = Question(scale=selection.scale or "paper", seeds=selection.seeds, source=selection.source)
    numbers = TABLES if table == "all" else (table,)
    return list(dict.fromkeys(cell for number in numbers for cell in wanted(int(number), question)))


def _flags_besides_table(selection: Selection) -> list[str]:
    """Options in use that contradict --table: a table fixes these axes itself."""
    axes = {
        "--baseline": selection.baselines,
        "--modality": selection.modalities,
        "--dataset": selection.datasets,
        "--split": selection.splits != Selection().splits,
        "--subset": selection.subset,
        "--protocol": selection.protocols,
        "--init": selection.inits,
        "--backbone": selection.backbone,
        "--set": selection.overrides,
    }
    return [flag for flag, value in axes.items() if value]


def _draw(svg: str, plan: planning.Plan, costs: Mapping[str, Estimate]) -> None:
    from reports.figures.graph import draw

    try:
        Path(svg).write_text(draw(plan, costs), encoding="utf-8")
    except OSError as error:
        raise HarnessError(f"--svg {svg}: {error.strerror}; name a file in an existing folder") from error


def _row(job: Job, plan: planning.Plan) -> dict[str, Any]:
    return {
        "job": job.id + ("?" if job.provisional else ""),
        "kind": job.kind,
        "what": job.title,
        "after": " ".join(job.upstream.values()),
        "state": "done" if job.id in plan.done else "to run",
    }


def _counts(plan: planning.Plan) -> str:
    jobs, unfinished = Counter(job.kind for job in plan.jobs), Counter(job.kind for job in plan.to_do)
    rows = [{"kind": kind, "jobs": n, "to run": unfinished[kind]} for kind, n in jobs.items()]
    return console.table(rows) + "\n(--json or --svg FILE shows each job)"


def _summary(plan: planning.Plan, costs: Mapping[str, Estimate]) -> str:
    unfinished = [costs[job.id] for job in plan.to_do]
    lines = [f"\n{len(plan.cells)} cell(s), {len(plan.jobs)} job(s), {len(plan.to_do)} to run."]
    if unfinished:
        seconds, device_s = sum(cost.seconds for cost in unfinished), sum(cost.device_s for cost in unfinished)
        gpu = f", {device_s / 3600:,.1f} GPU-hours of it" if device_s else ""
        disk = size(sum(cost.disk_bytes for cost in unfinished))
        lines.append(f"Estimate: {duration(seconds)}, if run one after the other{gpu}; {disk} of disk space.")
        if not device_s and seconds > MONTH_S:
            lines.append(
                "That is on this CPU: HARNESS_DEVICE=cuda plans for a GPU; see docs/reproducing.md for the paper scale."
            )
        bases = Counter(cost.basis for cost in unfinished)
        lines.append("Estimates: " + ", ".join(f"{n} {BASIS[basis]}" for basis, n in bases.items()) + ".")
    if any(job.provisional for job in plan.jobs):
        lines.append("?: provisional id, because a data set or published weights are not on this machine yet.")
    return "\n".join(lines)


def _as_dict(plan: planning.Plan, costs: Mapping[str, Estimate]) -> dict[str, Any]:
    unfinished = [costs[job.id] for job in plan.to_do]
    return {
        "jobs": [_row(job, plan) | {"estimate": vars(costs[job.id])} for job in plan.jobs],
        "cells": [{"cell": vars(cell), "jobs": ids} for cell, ids in plan.cells.items()],
        "to_do": {
            "jobs": len(unfinished),
            "seconds": sum(cost.seconds for cost in unfinished),
            "gpu_hours": sum(cost.device_s for cost in unfinished) / 3600,
            "disk_bytes": sum(cost.disk_bytes for cost in unfinished),
        },
    }
