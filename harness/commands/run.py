"""`harness run`: Run the experiments that the options select.

Each combination of the selected values is one experiment, called a cell. Finished jobs are not run again. Prints the accuracy
of every cell, and where its records are.
"""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from harness.commands import console, logs, program
from harness.commands.options import launch_options, selection_options, workspace_options
from harness.core import environment
from harness.core.cells import Cell, Selection
from harness.core.contract import NOTHING
from harness.core.job_specs import TrainSpec, to_plain
from harness.core.serialization import canonical
from harness.core.workspace import Workspace, resolve_workspace
from harness.launch.options import LaunchOptions
from harness.launch.run import prepared_plan, run_plan
from harness.metrics.registered import PRIMARY, named, text
from harness.metrics.summary import plain, repeats_another
from harness.planning import plan as planning, selection as selecting
from harness.planning.cost import costed, predicted_s
from harness.planning.results import Result, results_of
from harness.records.record import RunStore
from harness.records.tracking import open_tracker
from reports.units import duration

logger = logging.getLogger(__name__)
LONG_S = 2 * 3600.0
"""Work from which on the user is warned, in seconds of this CPU."""
SLOW_FLOPS = 10e9
"""Operations per second of a slow core, in matrix products. Cores of 2024 reach ten times as many."""


@click.command()
@selection_options
@launch_options
@click.option("--json", "as_json", is_flag=True, help="Print events as JSON, one object per line.")
@workspace_options
def command(selection: Selection, launch: LaunchOptions, workspace: Workspace, as_json: bool) -> None:
    with logs.run_log(workspace) as log:
        plan = run_cells(selecting.cells(selection), workspace, launch, log, as_json=as_json)
        results = results_of(plan, RunStore(workspace.runs))
        if as_json:
            logs.echo(json.dumps({"event": "results", "cells": list(map(_as_dict, results))}))
            return
        if not plan.to_do:
            logs.echo(f"Nothing to do: all {len(plan.jobs)} jobs of this selection are in {workspace.runs}.\n")
        logs.echo(cells_table(results))
        logs.echo(_next_steps(workspace, plan, mlflow=launch.mlflow))


def run_cells(
    cells: Sequence[Cell],
    workspace: Workspace,
    launch: LaunchOptions,
    log: Callable[[], Path],
    *,
    as_json: bool = False,
) -> planning.Plan:
    """Run the unfinished jobs of these cells, with progress; returns the plan made before. `log` creates the log file."""
    progress = console.Progress(as_json=as_json)
    plan = prepared_plan(cells, workspace, progress)
    if plan.to_do:
        done = f", {len(plan.jobs) - len(plan.to_do)} already finished" if plan.done else ""
        file = short(log())
        if as_json:
            logs.note(f"log in {file}")
        else:
            logs.echo(f"{len(plan.cells)} cell(s), {len(plan.to_do)} job(s) to run{done}. Log: {file}")
        _note_cost(plan, workspace)
        for job in plan.to_do:
            logger.debug("job %s after %s: %s", job.id, list(job.upstream.values()), canonical(to_plain(job.spec)))
    run_plan(plan, workspace, launch, progress)
    return plan


def _note_cost(plan: planning.Plan, workspace: Workspace) -> None:
    """A note on work that takes this machine's CPU hours, with ways to make it small: it is likely to be a mistake."""
    if environment.device() != "cpu":
        return
    # With a slow core first: measuring this one takes a tenth of a second, and most selections are far from the limit.
    if sum(predicted_s(job.spec, SLOW_FLOPS) for job in plan.to_do) < LONG_S:
        return
    seconds = costed(plan, RunStore(workspace.runs)).seconds
    if seconds >= LONG_S:
        logs.note(
            f"this CPU needs about {duration(seconds)} for these jobs, one after the other; `harness plan` with the same options "
            "shows each of them. To try the selection first, add --scale micro (small networks, short trainings), --set "
            "train.steps=N, or --limit N (few videos). --device cuda uses a GPU."
        )


def cells_table(results: Sequence[Result]) -> str:
    """One line per cell: accuracy with its interval and n, and the jobs behind it.

    Columns without a value, such as sources that are the default, are left out; so is a metric that repeats another one.
    """
    cells = [result.cell for result in results]
    with_seeds = {cell.seed for cell in cells} != {0}
    chosen_sources = any(cell.chosen_source for cell in cells)
    draws = any(cell.draw for cell in cells)
    metrics = dict.fromkeys(name for result in results for name in result.metrics)
    shown = [name for name in metrics if not all(repeats_another(named(name), result.scores) for result in results)]
    rows = [
        {
            "baseline": cell.baseline + (f" ({cell.backbone})" if cell.backbone else ""),
            "modality": cell.modality,
            "data set": f"{cell.dataset}/{cell.split}" + ("" if cell.subset == "test" else f" {cell.subset}"),
            "protocol": cell.protocol,
            "init": cell.init,
            "source": cell.source if chosen_sources else "",
            "training videos": (cell.draw or "all") if draws else "",
            "set": " ".join(f"{key}={value}" for key, value in cell.overrides),
            "seed": str(cell.seed) if with_seeds else "",
            "limit": str(cell.limit or ""),
            **{named(name).short: _number(name, result) for name in shown},
            "published": _published(result),
            "top-1, 1 crop": _one_crop(result),
            "n": _videos(result),
            "job": " + ".join(result.job_ids),
        }
        for cell, result in zip(cells, results, strict=True)
    ]
    used = [column for column in rows[0] if any(row[column] for row in rows)] if rows else []
    caveats = dict.fromkeys(
        f"\n{result.cell.dataset}: this {caveat}." for result in results for caveat in result.caveats
    )
    printed = console.table({column: row[column] for column in used} for row in rows)
    return "\n".join([printed, *caveats])


def _number(name: str, result: Result) -> str:
    number = result.metrics.get(name)
    return text(name, plain(number), interval=name == PRIMARY) if number else ""


def _videos(result: Result) -> str:
    counted = result.counts
    return str(counted["n"]) if counted["n"] == counted["n_of"] else f"{counted['n']} of {counted['n_of']}"


def _published(result: Result) -> str:
    """Published top-1 accuracy of weights that were scored unchanged, on the same data set; '' for any other result."""
    spec = result.records[0].spec if result.records else None
    if not isinstance(spec, TrainSpec) or spec.protocol.trained != NOTHING or spec.pretrained is None:
        return ""
    accuracy = spec.pretrained.accuracy.get(result.cell.dataset)
    return "" if accuracy is None else f"{accuracy:.1f}%"


def _one_crop(result: Result) -> str:
    """Accuracy of the centre crops alone; '' for one crop, and for several networks, whose scores are fused."""
    numbers = [record.one_crop for record in result.records]
    return text(PRIMARY, numbers[0][PRIMARY]) if len(numbers) == 1 and numbers[0] else ""


def _as_dict(result: Result) -> dict[str, Any]:
    return {
        "cell": vars(result.cell),
        "jobs": result.job_ids,
        "metrics": {name: plain(number) for name, number in result.metrics.items()},
        "counts": result.counts,
        "caveats": result.caveats,
    }


def _next_steps(workspace: Workspace, plan: planning.Plan, *, mlflow: bool) -> str:
    """The folder of the records, and commands that show them, ready to be copied."""
    usual = resolve_workspace()
    results = "" if workspace.results == usual.results else f" --results {shlex.quote(short(workspace.results))}"
    data = "" if workspace.data == usual.data else f" --data {shlex.quote(short(workspace.data))}"
    tracking = open_tracker(None, workspace.results, "").how_to_open if mlflow else f"{program()} mlflow push{results}"
    table = showing(tuple(plan.cells)).replace("harness", program(), 1)
    return f"\nrecords  {short(workspace.runs)}/<job>\nMLflow   {tracking}\ntable    {table}{results}{data}"


def showing(cells: Sequence[Cell]) -> str:
    """Command of a table with every cell: of the paper's tables, or else the table of all results."""
    from reports import tables

    limited = any(cell.limit for cell in cells)  # has no place in the paper's tables
    return (not limited and tables.showing(cells)) or "harness table results"


def short(path: Path) -> str:
    """Relative to the current folder, if it is in it."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
