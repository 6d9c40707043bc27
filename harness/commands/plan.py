"""`harness plan`: List the jobs behind a selection or a table, and their cost.

Shows which jobs are finished, and estimates time and disk space for the others. Runs nothing, and needs no data.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, cast

import click

from harness.commands import console
from harness.commands.options import device_option, selection_options, workspace_options
from harness.core.cells import Job, Selection
from harness.core.errors import HarnessError
from harness.core.job_specs import ProbeSpec
from harness.core.workspace import Workspace
from harness.planning import plan as planning
from harness.planning.cost import CostedPlan, costed
from harness.records.record import RunStore
from reports.table_output import cells_of
from reports.units import duration, size

BASIS = {
    "records": "corrected by finished jobs like it",
    "kind": "corrected by finished jobs of its kind",
    "model": "from counted operations alone",
    "assumed": "of an assumed number of operations, since the network's cannot be counted",
}
MONTH_S = 30 * 86400.0


@click.command()
@selection_options
@device_option
@click.option("--table", metavar="2|3|4|5|all", help="Plan a table of the paper instead of a selection.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--svg", metavar="FILE", help="Also draw the graph of jobs.")
@workspace_options
def command(selection: Selection, workspace: Workspace, table: str | None, as_json: bool, svg: str | None) -> None:
    plan = planning.make_plan(cells_of(selection, table), workspace, dry_run=True)
    costs = costed(plan, RunStore(workspace.runs))
    if svg:
        _draw(svg, costs)
    if as_json:
        click.echo(json.dumps(_as_dict(costs)))
        return
    if len(plan.jobs) <= 60:
        rows = (_row(job, plan) | {"takes": duration(costs.costs[job.id].seconds)} for job in plan.jobs)
        click.echo(console.table(rows))
    else:
        click.echo(_counts(plan))
    click.echo(_summary(costs))


def _draw(svg: str, costs: CostedPlan) -> None:
    from reports.figures.graph import draw

    try:
        Path(svg).write_text(draw(costs.plan, costs.costs), encoding="utf-8")
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


def _summary(costs: CostedPlan) -> str:
    plan, unfinished = costs.plan, costs.unfinished
    lines = [f"\n{len(plan.cells)} cell(s), {len(plan.jobs)} job(s), {len(plan.to_do)} to run."]
    if unfinished:
        gpu = f", {costs.gpu_hours:,.1f} GPU-hours of it" if costs.gpu_hours else ""
        lines.append(
            f"Estimate: {duration(costs.seconds)}, if run one after the other{gpu}; {size(costs.disk_bytes)} of disk space."
        )
        if not costs.gpu_hours and costs.seconds > MONTH_S:
            lines.append(
                "That is on this CPU: --device cuda plans for a GPU; see docs/how-to/reproducing.md for the paper scale."
            )
        bases = Counter(cost.basis for cost in unfinished)
        lines.append("Estimates: " + ", ".join(f"{n} {BASIS[basis]}" for basis, n in bases.items()) + ".")
    if unstored := _unstored(costs):
        lines.append(f"Features that are computed when they are needed, not stored: {', '.join(unstored)}.")
    if any(job.provisional for job in plan.jobs):
        lines.append("?: provisional id, because a data set or published weights are not on this machine yet.")
    return "\n".join(lines)


def _unstored(costs: CostedPlan) -> dict[str, None]:
    """Network and data set with the size of their features, of jobs that do not store them, each once."""
    named: dict[str, None] = {}
    for job in costs.plan.to_do:
        if bytes_ := costs.costs[job.id].features_bytes:
            spec = cast(ProbeSpec, job.spec)
            named[
                f"{spec.baseline.name} {'+'.join(spec.streams)} on {spec.dataset.name} (about {bytes_ / 1e9:,.1f} GB)"
            ] = None
    return named


def _as_dict(costs: CostedPlan) -> dict[str, Any]:
    plan = costs.plan
    return {
        "jobs": [_row(job, plan) | {"estimate": vars(costs.costs[job.id])} for job in plan.jobs],
        "cells": [{"cell": vars(cell), "jobs": ids} for cell, ids in plan.cells.items()],
        "to_do": {
            "jobs": len(plan.to_do),
            "seconds": costs.seconds,
            "gpu_hours": costs.gpu_hours,
            "disk_bytes": costs.disk_bytes,
        },
    }
