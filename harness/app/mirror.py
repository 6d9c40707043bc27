"""What `harness mirror` does."""

from __future__ import annotations

import click

from harness.commands import console
from harness.core.workspace import Places, writable
from harness.records.record import Ledger


def push(where: Places) -> None:
    """`harness mirror push`: every record that the tracking server lacks."""
    from harness.records import tracking

    tracker = tracking.open_mirror(None, where.results, "pushed by hand")
    with console.screen(jobs=0) as watch:
        pushed = tracking.push(Ledger(where.runs), tracker, watch=watch)
    click.echo(
        f"{len(pushed.sent)} record(s) sent, {len(pushed.there)} already there. Open with: {tracker.how_to_open}"
    )


def pull(where: Places) -> None:
    """`harness mirror pull`: the ledger, rebuilt from the tracking server."""
    from harness.records import tracking

    writable(where.results, what="results", flag="--results")
    tracker = tracking.open_mirror(None, where.results, "")
    with console.screen(jobs=0) as watch:
        pulled = tracking.pull(where.runs, tracker, watch=watch)
    click.echo(f"{len(pulled.brought)} record(s) brought, {len(pulled.there)} already here.")
