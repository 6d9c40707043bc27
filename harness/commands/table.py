"""What is read from the ledger: `harness table`, `compare`."""

from __future__ import annotations

from typing import Any

import click

from harness.cli.flags import launch_flags, launch_options_of, seeds_flag, workspace_flags, workspace_of


@click.command()
@click.argument("number", type=click.IntRange(1, 5))
@click.option("--scale", default="paper", metavar="paper|micro", help="Which ledger entries fill the table.")
@click.option("--run", "run_missing", is_flag=True, help="First run the cells that are missing.")
@click.option("--significance", is_flag=True, help="Also which differences between its rows are more than luck.")
@click.option("--with-cost", is_flag=True, help="Also what each number took, with all that it rests on.")
@seeds_flag
@click.option("--source", metavar="published:NAME", help="Transfers from these weights, not from each baseline's own.")
@click.option(
    "--version",
    default="arxiv-kinetics400",
    metavar="VERSION",
    help="Of the paper: arxiv-kinetics400 (default) or cvpr2017-minikinetics.",
)
@click.option(
    "--format",
    "how",
    type=click.Choice(["terminal", "markdown", "latex", "csv", "json", "html"]),
    default="terminal",
    help="With --significance or --with-cost: any but csv.",
)
@launch_flags
@workspace_flags
def table(**flags: Any) -> None:
    """A table of the paper from the ledger.

    Each number stands beside the paper's.
    """
    from harness.app import results as app
    from reports.tables.layout import Question as Asked

    workspace = workspace_of(flags)
    app.show_table(
        flags["number"],
        workspace,
        Asked(flags["scale"], flags["version"], flags["seeds"], flags["source"]),
        how=flags["how"],
        run_missing=launch_options_of(flags) if flags["run_missing"] else None,
        significance=flags["significance"],
        with_cost=flags["with_cost"],
    )


@click.command()
@click.argument("first")
@click.argument("second")
@workspace_flags
def compare(**flags: Any) -> None:
    """Paired test of two jobs on the same videos."""
    from harness.app import results as app

    app.compare(flags["first"], flags["second"], workspace_of(flags))


@click.command()
@click.option("--scale", default="paper", metavar="paper|micro", help="Which ledger entries are tested.")
@seeds_flag
@click.option("--format", "how", type=click.Choice(["terminal", "markdown", "json"]), default="terminal")
@workspace_flags
def claims(**flags: Any) -> None:
    """The paper's findings, each a paired test on the ledger.

    Told with effect, interval, corrected p and verdict.
    """
    from harness.app import results as app

    app.show_claims(workspace_of(flags), scale=flags["scale"], seeds=flags["seeds"], how=flags["how"])
