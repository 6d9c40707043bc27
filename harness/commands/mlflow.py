"""`harness mlflow`: Copy records to and from MLflow: push, pull."""

from __future__ import annotations

import click

from harness.commands import Group, console
from harness.commands.options import workspace_options
from harness.core.workspace import Workspace, writable
from harness.records import tracking
from harness.records.record import RunStore


@click.group(cls=Group)
def command() -> None: ...


@command.command()
@workspace_options
def push(workspace: Workspace) -> None:
    """Log every record that the tracking server does not have yet.

    MLFLOW_TRACKING_URI selects the server. It defaults to mlflow.db in the results folder.
    """
    tracker = tracking.open_tracker(None, workspace.results, "pushed by hand")
    with console.screen(jobs=0) as callback:
        pushed = tracking.push(RunStore(workspace.runs), tracker, callback=callback)
    click.echo(f"{len(pushed.copied)} record(s) sent, {len(pushed.present)} already there. View: {tracker.how_to_open}")
    console.exit_if_damaged(pushed)


@command.command()
@workspace_options
def pull(workspace: Workspace) -> None:
    """Copy the tracking server's records to the results folder.

    They have scores but no weights, which is enough to render every table. MLFLOW_TRACKING_URI selects the server. It defaults to
    mlflow.db in the results folder.
    """
    writable(workspace.results, content="results", flag="--results")
    tracker = tracking.open_tracker(None, workspace.results, "")
    with console.screen(jobs=0) as callback:
        pulled = tracking.pull(workspace.runs, tracker, callback=callback)
    click.echo(f"{len(pulled.copied)} record(s) copied, {len(pulled.present)} already here.")
    console.exit_if_damaged(pulled)
