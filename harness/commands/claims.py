"""`harness claims`: Test the paper's claims on the results folder.

Prints effect size, confidence interval, corrected p-value and verdict of each paired test.
"""

from __future__ import annotations

import click

from harness.commands.options import seeds_option, workspace_options
from harness.core.workspace import Workspace


@click.command()
@click.option("--scale", default="paper", metavar="paper|micro", help="Scale of the results to test [paper].")
@seeds_option
@click.option(
    "--format",
    "style",
    type=click.Choice(["terminal", "markdown", "json"]),
    default="terminal",
    help="Output format [terminal].",
)
@workspace_options
def command(workspace: Workspace, scale: str, seeds: tuple[int, ...], style: str) -> None:
    from harness.analysis import claims
    from harness.planning.lookup import lookup_in
    from reports import claims_text

    results = claims.all_claims(lookup_in(workspace), scale=scale, seeds=seeds)
    click.echo(claims_text.render(results, style), nl=False)
