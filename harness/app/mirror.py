"""What `harness mirror` does."""

from __future__ import annotations

import click

from harness.commands import console
from harness.core.workspace import Workspace, writable
from harness.records.record import RunStore


def push(workspace: Workspace) -> None:
    """`harness mirror push`: every record that the tracking server lacks."""
    from harness.records import tracking

    tracker = tracking.open_mirror(None, workspace.results, "pushed by hand")
    with console.screen(jobs=0) as callback:
        pushed = tracking.push(RunStore(workspace.runs), tracker, callback=callback)
    click.echo(
        f"{len(pushed.sent)} record(s) sent, {len(pushed.there)} already there. Open with: {tracker.how_to_open}"
    )


def pull(workspace: Workspace) -> None:
    """`harness mirror pull`: the ledger, rebuilt from the tracking server."""
    from harness.records import tracking

    writable(workspace.results, what="results", flag="--results")
    tracker = tracking.open_mirror(None, workspace.results, "")
    with console.screen(jobs=0) as callback:
        pulled = tracking.pull(workspace.runs, tracker, callback=callback)
    click.echo(f"{len(pulled.brought)} record(s) brought, {len(pulled.there)} already here.")
