"""`harness mirror`."""

from __future__ import annotations

from typing import Any

import click

from harness.cli.flags import Verbs, workspace_flags, workspace_of


@click.group(cls=Verbs)
def mirror() -> None:
    """MLflow: push what it lacks, pull what the ledger lacks."""


@mirror.command("push")
@workspace_flags
def mirror_push(**flags: Any) -> None:
    """Log every record that the tracking server does not have yet."""
    from harness.app import mirror as app

    app.push(workspace_of(flags))


@mirror.command("pull")
@workspace_flags
def mirror_pull(**flags: Any) -> None:
    """Rebuild the ledger from the tracking server.

    It is enough to render every table.
    """
    from harness.app import mirror as app

    app.pull(workspace_of(flags))
