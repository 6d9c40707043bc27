"""What `harness mirror` does."""

from __future__ import annotations

import click

from harness import console
from harness.places import Places, writable
from harness.record import Ledger


def push(where: Places) -> None:
    """`harness mirror push`: every record that the tracking server lacks."""
    from harness import mirror

    tracker = mirror.open_mirror(None, where.results, "pushed by hand")
    with console.screen(jobs=0) as watch:
        pushed = mirror.push(Ledger(where.runs), tracker, watch=watch)
    click.echo(
        f"{len(pushed.sent)} record(s) sent, {len(pushed.there)} already there. Open with: {tracker.how_to_open}"
    )


def pull(where: Places) -> None:
    """`harness mirror pull`: the ledger, rebuilt from the tracking server."""
    from harness import mirror

    writable(where.results, what="results", flag="--results")
    tracker = mirror.open_mirror(None, where.results, "")
    with console.screen(jobs=0) as watch:
        pulled = mirror.pull(where.runs, tracker, watch=watch)
    click.echo(f"{len(pulled.brought)} record(s) brought, {len(pulled.there)} already here.")
