"""`harness tune`: what it runs, what it prints."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import click

from harness import __version__
from harness.app.jobs import known_backbones, ready_data
from harness.app.launching import LaunchOptions
from harness.commands import console
from harness.core import registry
from harness.core.callbacks import Callback, CallbackList
from harness.core.errors import HarnessError
from harness.core.spec import Cell, Job, Selection
from harness.core.workspace import Workspace, writable
from harness.metrics.summary import PRIMARY, named
from harness.planning import plan as planning, selection as selecting, tuned
from harness.records.record import RunStore
from harness.records.tracking import open_mirror


@dataclasses.dataclass(frozen=True)
class Search:
    """The rates to try for one training."""

    job: Job
    """As planned with the rate of its scale: what the choice will hold for."""
    rates: tuple[str, ...]
    trials: tuple[Job, ...]
    """One for each rate."""


def tune(selection: Selection, workspace: Workspace, how: LaunchOptions, *, trials: int, share: float) -> None:
    """Find the learning rate of every training that the selection scores; what is found already stays."""
    cells = selecting.cells(selection)
    known_backbones(cells)
    writable(workspace.results, what="results", flag="--results")
    with console.screen(jobs=0) as callback:
        ready_data(cells, workspace, callback)
    planner = planning.Planner(workspace)
    searches = {search.job.id: search for cell in cells for search in searches_of(cell, planner, trials, share)}
    wanted = [job for search in searches.values() for job in search.trials]
    first = upstream_plan(wanted, planner, workspace)
    click.echo(f"{len(searches)} training(s), {len(wanted)} trial(s), {len(first.to_do)} job(s) before them.")
    with (
        open_mirror(None, workspace.results, "tune", enabled=how.mlflow) as mirror,
        console.screen(jobs=len(first.to_do) + len(wanted)) as screen,
    ):
        callback = CallbackList((screen, mirror))
        how.launch(first, workspace, callback)
        found = [conclude(search, workspace, how, callback, share) for search in searches.values()]
    click.echo(table(found))


def searches_of(cell: Cell, planner: planning.Planner, trials: int, share: float) -> list[Search]:
    """One for each network that the cell trains."""
    if tuned.asked_for(cell.overrides):
        raise HarnessError(f"harness tune finds {tuned.RATE}; leave --set {tuned.RATE}={tuned.TUNED} to `harness run`")
    rates = tuned.candidates(base_rate(cell), trials)
    by_rate = [planner.jobs_of(with_rate(cell, rate)) for rate in rates]
    found = []
    for number, job_id in enumerate(planner.jobs_of(cell)):
        jobs = [planner.jobs[ids[number]] for ids in by_rate]
        tried = tuple(tuned.trial(job, rate, share) for job, rate in zip(jobs, rates, strict=True))
        found.append(Search(planner.jobs[job_id], tuple(rates), tried))
    return found


def base_rate(cell: Cell) -> float:
    """The rate that the cell's scale and its `--set` give its own training, around which others are tried."""
    stage = selecting.stage_of(registry.load("protocol", cell.protocol), registry.load("dataset", cell.dataset))
    scale = selecting.apply_overrides(registry.load("scale", cell.scale), stage, cell.overrides)
    return float(scale.stages[stage].base_lr)


def with_rate(cell: Cell, rate: str) -> Cell:
    return dataclasses.replace(cell, overrides=(*cell.overrides, (tuned.RATE, rate)))


def upstream_plan(trials: Sequence[Job], planner: planning.Planner, workspace: Workspace) -> planning.Plan:
    """What the trials need before they can run."""
    run_store = RunStore(workspace.runs)
    waiting = [job for job in trials if not run_store.has(job.id)]
    return planning.Plan(
        jobs=tuple(planner.jobs.values()),
        cells={job.id: tuple(job.upstream.values()) for job in waiting},  # type: ignore[misc]
        done=frozenset(job_id for job_id in planner.jobs if run_store.has(job_id)),
    )


def conclude(
    search: Search, workspace: Workspace, how: LaunchOptions, callback: Callback, share: float
) -> dict[str, Any]:
    """Run a search's trials and write down its choice with the evidence."""
    from harness.launch.ray.tune import search as run_trials

    evidence = run_trials(search.trials, how.options(workspace), callback, address=how.address, storage=how.storage)
    rows = [{tuned.RATE: rate, **row} for rate, row in zip(search.rates, evidence, strict=True)]
    choice = tuned.best(rows)
    found = {
        "for": search.job.title,
        "choice": {tuned.RATE: choice[tuned.RATE]},
        "rule": tuned.RULE,
        "held_out": share,
        "trials": rows,
        "harness": __version__,
    }
    tuned.write(tuned.path_of(workspace.results, search.job), found)
    return found


def table(found: Sequence[dict[str, Any]]) -> str:
    """Every trial, the chosen one marked, and how the choice is used."""
    from tabulate import tabulate

    rows = [
        {
            "training": one["for"],
            "rate": row[tuned.RATE] + (" *" if row[tuned.RATE] == one["choice"][tuned.RATE] else ""),
            f"held-out {named(PRIMARY).short}": f"{row[PRIMARY]:.1f}{named(PRIMARY).unit}",
            "loss": f"{row['loss']:.3f}",
            "n": row["n"],
            "trial": row["job"],
        }
        for one in found
        for row in one["trials"]
    ]
    told = tabulate(rows, headers="keys", disable_numparse=True, tablefmt="simple")
    return f"{told}\n\n* chosen: {tuned.RULE}.\nUse it: harness run ...the same selection... --set {tuned.RATE}={tuned.TUNED}"
