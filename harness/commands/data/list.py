"""`harness data list`: List data sets, and which of them are on this machine."""

from __future__ import annotations

import click

from harness.commands import console, ls
from harness.commands.options import workspace_options
from harness.core.workspace import Workspace


@click.command()
@workspace_options
def command(workspace: Workspace) -> None:
    click.echo(console.table(ls.table("dataset", workspace)))
    click.echo(f"\nData folder: {workspace.data}")
