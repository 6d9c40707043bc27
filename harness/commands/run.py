"""What `harness run`, `plan` and `ls` do: resolve, plan, launch, look up, print."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from harness.app.launching import LaunchOptions
from harness.commands import console
from harness.core import registry
from harness.core.callbacks import Callback, CallbackList
from harness.core.contract import Dataset
from harness.core.errors import DataMissing, HarnessError
from harness.core.spec import Cell, Selection
from harness.core.workspace import Workspace, places, writable
from harness.metrics.scores import CellResult, counts
from harness.metrics.summary import PRIMARY, named, summary, text
from harness.planning import plan as planning, selection as selecting
from harness.planning.lookup import result_of
from harness.records.caveats import caveats_of
from harness.records.record import RunStore
from harness.records.tracking import open_mirror


def run(selection: Selection, workspace: Workspace, how: LaunchOptions) -> None:
    """Everything the selection needs and the ledger lacks; then its numbers and where they are."""
    plan = run_cells(selecting.cells(selection), workspace, how)
    results = {cell: result_of(job_ids, RunStore(workspace.runs)) for cell, job_ids in plan.cells.items()}
    if how.as_json:
        click.echo(
            json.dumps({"event": "results", "cells": [_as_dict(cell, result) for cell, result in results.items()]})
        )
        return
    if not plan.to_do:
        click.echo(f"Nothing to do: all {len(plan.jobs)} jobs of this selection are in {workspace.runs}.\n")
    click.echo(cells_table(results))
    click.echo(_whereabouts(workspace, plan, mlflow=how.mlflow))


def run_cells(cells: Sequence[Cell], workspace: Workspace, how: LaunchOptions) -> planning.Plan:
    """Run whatever the cells need and the ledger lacks; returns the plan as it was before."""
    known_backbones(cells)
    writable(workspace.results, what="results", flag="--results")
    with console.screen(jobs=0, as_json=how.as_json) as callback:
        ready_data(cells, workspace, callback)
    plan = planning.make_plan(cells, workspace)
    if plan.to_do:
        _announce(plan, how.as_json)
        _launch(plan, workspace, how)
    return plan


def known_backbones(cells: Sequence[Cell]) -> None:
    """Raise UnknownName or HarnessError for a backbone that does not fit, before hours of data and flow."""
    for baseline, backbone, scale in {(cell.baseline, cell.backbone, cell.scale) for cell in cells if cell.backbone}:
        from harness.models.build import check_backbone

        check_backbone(registry.load("baseline", baseline), backbone, scale=registry.load("scale", scale))


def ready_data(cells: Sequence[Cell], workspace: Workspace, callback: Callback) -> None:
    """Every data set the cells need, on disk and indexed: embedded ones are rendered, others must be there."""
    from harness.data import prepare

    datasets = planning.datasets_of(cells)
    # Reading one takes minutes: first, whether any is missing altogether.
    for dataset in datasets:
        if not dataset.micro and not prepare.root_of(dataset, workspace.data).is_dir():
            raise DataMissing(
                f"{prepare.not_there(dataset, prepare.root_of(dataset, workspace.data))}{_instead_of(dataset, cells)}"
            )
    for dataset in datasets:
        if prepare.expected_fingerprint(dataset, workspace.data) is None:
            if dataset.micro:
                writable(workspace.data, what="data sets", flag="--data")
            callback.stage(f"{'render' if dataset.micro else 'index'} {dataset.name}", 0, "files")
            try:
                prepare.open_prepared(dataset, workspace.data, progress=callback.progress)
            except DataMissing as missing:
                raise DataMissing(f"{missing}{_instead_of(dataset, cells)}") from missing


def _instead_of(dataset: Dataset, cells: Sequence[Cell]) -> str:
    """What would do in place of a data set that is only transferred from: published weights. '' for one that is scored."""
    users = [cell for cell in cells if cell.source == dataset.name]
    names = [
        w.name for cell in users for w in registry.load("baseline", cell.baseline).weights if w.stream in cell.modality
    ]
    if not names or any(cell.dataset == dataset.name for cell in cells):
        return ""
    first = names[0]
    return (
        f" It is only transferred from here: weights that others trained on it do as well. `harness weights fetch {first}` "
        f"(or `harness weights import {first} FILE`) brings them, --source published:{first} uses them; "
        "`harness weights list` names all there are."
    )


def _announce(plan: planning.Plan, as_json: bool) -> None:
    if not as_json:
        done = f", {len(plan.jobs) - len(plan.to_do)} already in the ledger" if plan.done else ""
        click.echo(f"{len(plan.cells)} cell(s), {len(plan.to_do)} job(s) to run{done}.")


def _launch(plan: planning.Plan, workspace: Workspace, how: LaunchOptions) -> None:
    title = "; ".join(str(cell) for cell in list(plan.cells)[:3]) + ("; …" if len(plan.cells) > 3 else "")
    with (
        open_mirror(None, workspace.results, title, enabled=how.mlflow) as mirror,
        console.screen(jobs=len(plan.to_do), as_json=how.as_json) as callback,
    ):
        how.launch(plan, workspace, CallbackList((callback, mirror)))
        for cell, job_ids in plan.cells.items():
            result = result_of(job_ids, RunStore(workspace.runs))
            if result:
                mirror.cell_finished(str(cell), summary(result.scores) | counts(result.scores))


def cells_table(results: dict[Cell, CellResult | None]) -> str:
    """One line a cell: accuracy with its interval and n, and the jobs behind it."""
    from tabulate import tabulate

    rows, several_seeds = [], len({cell.seed for cell in results}) > 1
    for cell, result in results.items():
        if result is None:
            continue
        counted = counts(result.scores)
        rows.append(
            {
                "baseline": cell.baseline + (f" ({cell.backbone})" if cell.backbone else ""),
                "modality": cell.modality,
                "data set": f"{cell.dataset}/{cell.split}" + ("" if cell.subset == "test" else f" {cell.subset}"),
                "protocol": cell.protocol,
                "init": cell.init,
                **({"seed": str(cell.seed)} if several_seeds else {}),
                **{
                    named(name).short: text(name, number, interval=name == PRIMARY)
                    for name, number in summary(result.scores).items()
                },
                "n": str(counted["n"]) if counted["n"] == counted["n_of"] else f"{counted['n']} of {counted['n_of']}",
                "job": " + ".join(result.job_ids),
            }
        )
    said = dict.fromkeys(f"\n{cell.dataset}: this {caveat}." for cell in results for caveat in caveats_of(cell))
    return str(tabulate(rows, headers="keys", disable_numparse=True, tablefmt="simple")) + "".join(said)


def _as_dict(cell: Cell, result: CellResult | None) -> dict[str, Any]:
    if result is None:
        raise HarnessError(f"{cell} has no result although its jobs are done; this is a defect: please report it")
    numbers = {"metrics": summary(result.scores), "counts": counts(result.scores)}
    return {"cell": vars(cell), "jobs": result.job_ids, **numbers, "caveats": caveats_of(cell)}


def _whereabouts(workspace: Workspace, plan: planning.Plan, *, mlflow: bool) -> str:
    """Where the numbers are and the commands that show them, which work as they stand."""
    scales = {cell.scale for cell in plan.cells}
    here = "" if workspace.results == places().results else f" --results {shlex.quote(_short(workspace.results))}"
    lines = [
        "",
        f"records  {_short(workspace.runs)}/<job>",
        f"MLflow   {open_mirror(None, workspace.results, '').how_to_open if mlflow else f'harness mirror push{here}'}",
        f"table    harness table 4{' --scale micro' if scales == {'micro'} else ''}{here}",
    ]
    return "\n".join(lines)


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def list_kind(kind: str, name: str | None, workspace: Workspace) -> None:
    """`harness ls`."""
    from harness.commands import listings

    if kind == "jobs":
        click.echo(
            json.dumps(_job(name, workspace), indent=1, ensure_ascii=False) if name else listings.jobs(workspace)
        )
    elif name:
        click.echo(listings.card(registry.load(kind.removesuffix("s"), name)))
    elif kind == "datasets":
        click.echo(listings.datasets(workspace))
    else:
        click.echo(
            {"baselines": listings.baselines, "protocols": listings.protocols, "scales": listings.scales}[kind]()
        )


def _job(name: str, workspace: Workspace) -> dict[str, Any]:
    record = RunStore(workspace.runs).find(name)
    left_out = ("folder", "curves", "classes", "fingerprint", "files")
    return {key: value for key, value in vars(record).items() if key not in left_out} | {"folder": str(record.folder)}
