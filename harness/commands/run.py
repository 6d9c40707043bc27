"""`harness run`: Run the experiments that the options select.

Each combination of the selected values is one experiment, called a cell. Finished jobs are not run again. Prints the accuracy
of every cell, and where its records are.
"""

from __future__ import annotations

import itertools
import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from harness.commands import console
from harness.commands.options import launch_options, selection_options, workspace_options
from harness.core.cells import Cell, Selection
from harness.core.contract import NOTHING
from harness.core.job_specs import TrainSpec
from harness.core.workspace import Workspace, resolve_workspace
from harness.launch.options import LaunchOptions
from harness.launch.run import prepared_plan, run_plan
from harness.metrics.registered import PRIMARY, named, text
from harness.metrics.summary import plain
from harness.planning import plan as planning, selection as selecting
from harness.planning.command import plugin_flags
from harness.planning.results import Result, results_of
from harness.records.record import RunStore
from harness.records.tracking import open_tracker


@click.command()
@selection_options
@launch_options
@click.option("--json", "as_json", is_flag=True, help="Print events as JSON, one object per line.")
@workspace_options
def command(selection: Selection, launch: LaunchOptions, workspace: Workspace, as_json: bool) -> None:
    plan = run_cells(selecting.cells(selection), workspace, launch, as_json=as_json)
    results = results_of(plan, RunStore(workspace.runs))
    if as_json:
        click.echo(json.dumps({"event": "results", "cells": list(map(_as_dict, results))}))
        return
    if not plan.to_do:
        click.echo(f"Nothing to do: all {len(plan.jobs)} jobs of this selection are in {workspace.runs}.\n")
    click.echo(cells_table(results))
    click.echo(_next_steps(workspace, plan, mlflow=launch.mlflow))


def run_cells(
    cells: Sequence[Cell], workspace: Workspace, launch: LaunchOptions, *, as_json: bool = False
) -> planning.Plan:
    """Run the unfinished jobs of these cells, with progress; returns the plan made before."""
    progress = console.Progress(as_json=as_json)
    plan = prepared_plan(cells, workspace, progress)
    if plan.to_do and not as_json:
        done = f", {len(plan.jobs) - len(plan.to_do)} already finished" if plan.done else ""
        click.echo(f"{len(plan.cells)} cell(s), {len(plan.to_do)} job(s) to run{done}.")
    run_plan(plan, workspace, launch, progress)
    return plan


def cells_table(results: Sequence[Result]) -> str:
    """One line per cell: accuracy with its interval and n, and the jobs behind it.

    Sources other than the default, `--set` and seeds have a column where there are any.
    """
    cells = [result.cell for result in results]
    several_seeds = len({cell.seed for cell in cells}) > 1
    chosen_sources = any(cell.chosen_source for cell in cells)
    overrides = any(cell.overrides for cell in cells)
    several_crops = any(_one_crop(result) for result in results)
    rows = []
    for cell, result in zip(cells, results, strict=True):
        counted = result.counts
        rows.append(
            {
                "baseline": cell.baseline + (f" ({cell.backbone})" if cell.backbone else ""),
                "modality": cell.modality,
                "data set": f"{cell.dataset}/{cell.split}" + ("" if cell.subset == "test" else f" {cell.subset}"),
                "protocol": cell.protocol,
                "init": cell.init,
                **({"source": cell.source} if chosen_sources else {}),
                **({"set": " ".join(f"{key}={value}" for key, value in cell.overrides)} if overrides else {}),
                **({"seed": str(cell.seed)} if several_seeds else {}),
                **{
                    named(name).short: text(name, plain(number), interval=name == PRIMARY)
                    for name, number in result.metrics.items()
                },
                **({"published": _published(result)} if any(map(_published, results)) else {}),
                **({"top-1, 1 crop": _one_crop(result)} if several_crops else {}),
                "n": str(counted["n"]) if counted["n"] == counted["n_of"] else f"{counted['n']} of {counted['n_of']}",
                "job": " + ".join(result.job_ids),
            }
        )
    caveats = dict.fromkeys(
        f"\n{result.cell.dataset}: this {caveat}." for result in results for caveat in result.caveats
    )
    return console.table(rows) + "".join(caveats)


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
    results = "" if workspace.results == usual.results else f" --results {shlex.quote(_short(workspace.results))}"
    data = "" if workspace.data == usual.data else f" --data {shlex.quote(_short(workspace.data))}"
    tracking = open_tracker(None, workspace.results, "").how_to_open if mlflow else f"harness mlflow push{results}"
    shown = [f"{label:<8} {command}{results}{data}" for label, command in showing(tuple(plan.cells))]
    return "\n".join(["", f"records  {_short(workspace.runs)}/<job>", f"MLflow   {tracking}", *shown])


def showing(cells: Sequence[Cell]) -> list[tuple[str, str]]:
    """(label, command) of the table with most of the cells; of the report of each scale where no table has any."""
    from reports import tables

    if table := tables.showing(cells):
        return [("table", table)]
    scales = dict.fromkeys(cell.scale for cell in cells)
    flags = [*itertools.chain.from_iterable(plugin_flags(cells))]
    return [("report", shlex.join(["harness", "report", "--scale", scale, *flags])) for scale in scales]


def _short(path: Path) -> str:
    """Relative to the current folder, if it is in it."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
