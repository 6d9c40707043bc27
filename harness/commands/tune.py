"""`harness tune`: Search the learning rate on held-out training videos.

Ray Tune tries the rates. Whole groups of videos are held out; test videos are never used.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from harness import __version__
from harness.commands import console, logs
from harness.commands.options import launch_options, selection_options, workspace_options
from harness.commands.run import short
from harness.core.callbacks import Callback, CallbackList
from harness.core.cells import Cell, Job, Selection
from harness.core.errors import HarnessError
from harness.core.workspace import Workspace, writable
from harness.launch.options import LaunchOptions
from harness.launch.run import check_networks, prepare_data
from harness.metrics.registered import PRIMARY, named
from harness.planning import plan as planning, selection as selecting, tuned
from harness.planning.training import trainings_of
from harness.records.record import RunStore
from harness.records.tracking import open_tracker


@dataclasses.dataclass(frozen=True)
class Search:
    """The rates to try for one training."""

    job: Job
    """As planned with the rate of its scale: the training that the choice is for."""
    rates: tuple[str, ...]
    trials: tuple[Job, ...]
    """One job per rate."""


@click.command()
@selection_options
@click.option(
    "--trials",
    type=click.IntRange(1),
    default=5,
    help="Number of learning rates to try. They are between 0.1 and 10 times the scale's rate.",
)
@click.option(
    "--held-out",
    "share",
    type=click.FloatRange(0, 0.9, min_open=True),
    default=0.2,
    help="Fraction of the training videos held out to compare the rates, stratified by class; groups are not split.",
)
@launch_options
@workspace_options
def command(selection: Selection, launch: LaunchOptions, workspace: Workspace, trials: int, share: float) -> None:
    with logs.run_log(workspace) as log:
        logs.echo(table(_choices(selection, launch, workspace, trials, share, log)))


def _choices(
    selection: Selection,
    launch: LaunchOptions,
    workspace: Workspace,
    trials: int,
    share: float,
    log: Callable[[], Path],
) -> list[dict[str, Any]]:
    """Run the searches of a selection; their choices. `log` creates the log file."""
    cells = selecting.cells(selection)
    check_networks(cells)
    rates = {cell: tuned.candidates(base_rate(cell), trials) for cell in cells}
    launch.check_device()
    writable(workspace.results, content="results", flag="--results")
    with console.screen(jobs=0) as callback:
        prepare_data(cells, workspace, callback)
    planner = planning.Planner(workspace)
    searches = {search.job.id: search for cell in cells for search in searches_of(cell, planner, rates[cell], share)}
    jobs = [job for search in searches.values() for job in search.trials]
    upstream = upstream_plan(jobs, planner, workspace)
    jobs_before = f"{len(upstream.to_do)} job(s) before them"
    logs.echo(f"{len(searches)} training(s), {len(jobs)} trial(s), {jobs_before}. Log: {short(log())}")
    with (
        open_tracker(None, workspace.results, "tune", enabled=launch.mlflow) as tracker,
        console.screen(jobs=len(upstream.to_do) + len(jobs)) as screen,
        tracker.in_background() as background,
    ):
        callback = CallbackList((screen, console.LogProgress(jobs=len(upstream.to_do) + len(jobs)), background))
        launch.launch(upstream, workspace, callback)
        return [conclude(search, workspace, launch, callback, share) for search in searches.values()]


def searches_of(cell: Cell, planner: planning.Planner, rates: Sequence[str], share: float) -> list[Search]:
    """One search per network that the cell trains."""
    cells = [dataclasses.replace(cell, overrides=(*cell.overrides, (tuned.RATE, rate))) for rate in rates]
    by_rate = [planner.jobs_of(cell) for cell in cells]
    searches = []
    for number, job_id in enumerate(planner.jobs_of(cell)):
        jobs = [planner.jobs[ids[number]] for ids in by_rate]
        trial_jobs = tuple(tuned.trial(job, rate, share) for job, rate in zip(jobs, rates, strict=True))
        searches.append(Search(planner.jobs[job_id], tuple(rates), trial_jobs))
    return searches


def base_rate(cell: Cell) -> float:
    """The rate of the cell's own training, by its scale and `--set`: the middle of the search.

    Raises HarnessError for a cell without a rate, or with a tuned one.
    """
    if tuned.asked_for(cell.overrides):
        raise HarnessError(f"--set {tuned.RATE}={tuned.TUNED} is for `harness run`; leave it out to search the rate")
    training = next(trainings_of(cell))
    if not training.stage:
        raise HarnessError(f"--protocol {cell.protocol} is not trained in steps, so it has no learning rate to tune")
    return training.scale.stages[training.stage].base_lr


def upstream_plan(trials: Sequence[Job], planner: planning.Planner, workspace: Workspace) -> planning.Plan:
    """The jobs that unfinished trials start from."""
    run_store = RunStore(workspace.runs)
    unfinished = [job for job in trials if not run_store.has(job.id)]
    return planning.Plan(
        jobs=tuple(planner.jobs.values()),
        cells={job.id: tuple(job.upstream.values()) for job in unfinished},  # type: ignore[misc]
        done=frozenset(job_id for job_id in planner.jobs if run_store.has(job_id)),
    )


def conclude(
    search: Search, workspace: Workspace, launch: LaunchOptions, callback: Callback, share: float
) -> dict[str, Any]:
    """Run the trials of a search; write its choice with the evidence, and return it."""
    from harness.launch.ray.tune import search as run_trials

    evidence = run_trials(
        search.trials,
        launch.job_options(workspace),
        callback,
        address=launch.settings.get("address"),
        storage=launch.settings.get("storage"),
    )
    rows = [{tuned.RATE: rate, **row} for rate, row in zip(search.rates, evidence, strict=True)]
    choice = {
        "for": search.job.title,
        "choice": {tuned.RATE: tuned.best(rows)[tuned.RATE]},
        "rule": tuned.RULE,
        "held_out": share,
        "trials": rows,
        "harness": __version__,
    }
    tuned.write(tuned.path_of(workspace.results, search.job), choice)
    return choice


def table(choices: Sequence[dict[str, Any]]) -> str:
    """Every trial, the chosen one marked, and how to use the choice."""
    rows = [
        {
            "training": choice["for"],
            "rate": row[tuned.RATE] + (" *" if row[tuned.RATE] == choice["choice"][tuned.RATE] else ""),
            f"held-out {named(PRIMARY).short}": f"{row[PRIMARY]:.1f}{named(PRIMARY).unit}",
            "loss": f"{row['loss']:.3f}",
            "n": row["n"],
            "trial": row["job"],
        }
        for choice in choices
        for row in choice["trials"]
    ]
    text = console.table(rows)
    use = f"harness run ...the same selection... --set {tuned.RATE}={tuned.TUNED}"
    return f"{text}\n\n* chosen: {tuned.RULE}.\nTo use it: {use}"
