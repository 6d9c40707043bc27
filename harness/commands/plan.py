"""What `harness plan` shows: the graph, what of it is done, and what the rest will take."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from harness.core.errors import HarnessError
from harness.core.spec import Cell, Job, Selection
from harness.core.units import duration, size
from harness.core.workspace import Workspace
from harness.planning import plan as planning, selection as selecting
from harness.planning.cost import Estimate, estimates
from harness.records.record import RunStore

TABLES = ("2", "3", "4", "5")
BASIS = {
    "records": "corrected by finished jobs like it",
    "kind": "corrected by finished jobs of its kind",
    "model": "by counted operations alone",
}

MONTH_S = 30 * 86400.0


def show_plan(
    selection: Selection, workspace: Workspace, *, tables: str | None, as_json: bool, svg: str | None
) -> None:
    """Print the graph of a selection, or of a table's cells; nothing is started, and nothing need be there."""
    plan = planning.make_plan(cells_of(selection, tables), workspace, looking=True)
    costs = estimates(plan, RunStore(workspace.runs))
    if svg:
        from reports.figures.graph import draw

        drawn = draw(plan, costs)
        try:
            Path(svg).write_text(drawn, encoding="utf-8")
        except OSError as error:
            raise HarnessError(f"--svg {svg}: {error.strerror}; name a file in a folder that is there") from error
    if as_json:
        click.echo(json.dumps(_as_plain(plan, costs)))
        return
    click.echo(_jobs_table(plan, costs) if len(plan.jobs) <= 60 else _counts(plan))
    click.echo(_summary(plan, costs))


def cells_of(selection: Selection, tables: str | None) -> list[Cell]:
    """Of one table, of all, or of the selection."""
    if tables is None:
        return selecting.cells(selection)
    if said := [flag for flag, value in _said(selection).items() if value]:
        raise HarnessError(f"--table {tables} plans that table's own cells; leave out {', '.join(said)}, or --table")
    if tables not in (*TABLES, "all"):
        raise HarnessError(f"--table {tables}: there are {', '.join(TABLES)} to run, or all of them with --table all")
    from reports.tables import Question, wanted

    numbers = TABLES if tables == "all" else (tables,)
    asked = Question(scale=selection.scale or "paper", seeds=selection.seeds, source=selection.source)
    return list(dict.fromkeys(cell for number in numbers for cell in wanted(int(number), asked)))


def _said(selection: Selection) -> dict[str, object]:
    """What a person asked for that a table does not leave open."""
    return {
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


def _row(job: Job, plan: planning.Plan, cost: Estimate) -> dict[str, Any]:
    return {
        "job": job.id + ("?" if job.provisional else ""),
        "kind": job.kind,
        "what": job.title,
        "after": " ".join(job.upstream.values()),
        "state": "done" if job.id in plan.done else "to run",
    }


def _jobs_table(plan: planning.Plan, costs: Mapping[str, Estimate]) -> str:
    from tabulate import tabulate

    rows = [_row(job, plan, costs[job.id]) | {"takes": duration(costs[job.id].seconds)} for job in plan.jobs]
    return str(tabulate(rows, headers="keys", tablefmt="simple"))


def _counts(plan: planning.Plan) -> str:
    from tabulate import tabulate

    every, rest = Counter(job.kind for job in plan.jobs), Counter(job.kind for job in plan.to_do)
    rows = [{"kind": kind, "jobs": n, "to run": rest[kind]} for kind, n in every.items()]
    return str(tabulate(rows, headers="keys", tablefmt="simple")) + "\n(each job: --json, or --svg FILE)"


def _summary(plan: planning.Plan, costs: Mapping[str, Estimate]) -> str:
    rest = [costs[job.id] for job in plan.to_do]
    lines = [f"\n{len(plan.cells)} cell(s), {len(plan.jobs)} job(s), {len(plan.to_do)} to run."]
    if rest:
        device_s = sum(cost.device_s for cost in rest)
        gpu = f", {device_s / 3600:,.1f} GPU-hours of it" if device_s else ""
        lines.append(
            f"Predicted: {duration(sum(cost.seconds for cost in rest))} of work one job after the other{gpu}; "
            f"{size(sum(cost.disk_bytes for cost in rest))} of disk."
        )
        if not device_s and sum(cost.seconds for cost in rest) > MONTH_S:
            lines.append(
                "That is on this CPU: HARNESS_DEVICE=cuda plans for a GPU, docs/reproducing.md for the paper scale."
            )
        told = Counter(cost.basis for cost in rest)
        lines.append("Of these " + ", ".join(f"{n} {BASIS[basis]}" for basis, n in told.items()) + ".")
    if any(job.provisional for job in plan.jobs):
        lines.append("? : provisional id, since a data set or published weights are not here yet.")
    return "\n".join(lines)


def _as_plain(plan: planning.Plan, costs: Mapping[str, Estimate]) -> dict[str, Any]:
    rest = [costs[job.id] for job in plan.to_do]
    return {
        "jobs": [_row(job, plan, costs[job.id]) | {"estimate": vars(costs[job.id])} for job in plan.jobs],
        "cells": [{"cell": vars(cell), "jobs": ids} for cell, ids in plan.cells.items()],
        "to_do": {
            "jobs": len(rest),
            "seconds": sum(cost.seconds for cost in rest),
            "gpu_hours": sum(cost.device_s for cost in rest) / 3600,
            "disk_bytes": sum(cost.disk_bytes for cost in rest),
        },
    }
