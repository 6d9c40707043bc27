"""`harness run`, `plan` and `ls`."""

from __future__ import annotations

from typing import Any

import click

from harness.cli.flags import (
    launch_flags,
    launch_options_of,
    selection_flags,
    selection_of,
    workspace_flags,
    workspace_of,
)


@click.command()
@selection_flags
@launch_flags
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on standard output.")
@workspace_flags
def run(**flags: Any) -> None:
    """Run a selection: whatever it needs and the ledger lacks."""
    from harness.app import jobs as app

    app.run(selection_of(flags), workspace_of(flags), launch_options_of(flags))


@click.command()
@selection_flags
@click.option("--table", "tables", metavar="2|3|4|5|all", help="Plan a table of the paper instead of a selection.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@click.option("--svg", metavar="FILE", help="Also draw the graph.")
@workspace_flags
def plan(**flags: Any) -> None:
    """The jobs behind a selection or a table, and what they will take.

    Shows which are done; starts nothing.
    """
    from harness.app import plans as app

    workspace = workspace_of(flags)
    app.show_plan(selection_of(flags), workspace, tables=flags["tables"], as_json=flags["as_json"], svg=flags["svg"])


@click.command()
@click.argument("kind", type=click.Choice(["baselines", "datasets", "protocols", "scales", "jobs"]))
@click.argument("name", required=False)
@workspace_flags
def ls(**flags: Any) -> None:
    """What there is; with a name, its whole card."""
    from harness.app import jobs as app

    workspace = workspace_of(flags)
    app.list_kind(flags["kind"], flags["name"], workspace)
