"""`harness claims`: Test the paper's claims on the results folder.

Prints effect size, confidence interval, corrected p-value and verdict of each paired test.
"""

from __future__ import annotations

import click

from harness.commands import console
from harness.commands.options import scale_option, seeds_option, workspace_options
from harness.core.workspace import Workspace


@click.command()
@scale_option("test")
@seeds_option
@click.option(
    "--format",
    "style",
    type=click.Choice(["terminal", "markdown", "csv", "json"]),
    default="terminal",
    help="Output format.",
)
@workspace_options
def command(workspace: Workspace, scale: str, seeds: tuple[int, ...], style: str) -> None:
    from harness.analysis import claims
    from harness.planning.lookup import lookup_in
    from harness.records.record import RunStore
    from reports import claims_text

    run_store = RunStore(workspace.runs)
    results = claims.all_claims(lookup_in(workspace, run_store), scale=scale, seeds=seeds)
    click.echo(claims_text.render(results, style), nl=False)
    console.exit_if_damaged(run_store)
