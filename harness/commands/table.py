"""`harness table`: Print a table of the paper, each number next to the paper's.

The numbers come from the results folder.
"""

from __future__ import annotations

from typing import Any

import click

from harness.commands import console
from harness.commands.options import launch_options, scale_option, seeds_option, workspace_options
from harness.core.workspace import Workspace
from harness.launch.options import LaunchOptions
from reports.tables.render import FORMATS


@click.command()
@click.argument("number", type=click.IntRange(1, 5))
@scale_option("print")
@click.option("--run", "run_missing", is_flag=True, help="First run the cells that are missing.")
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Also print this metric; may be repeated.")
@click.option("--significance", is_flag=True, help="Also test the differences between rows.")
@click.option("--with-cost", is_flag=True, help="Also print the cost of each number, upstream jobs included.")
@seeds_option
@click.option(
    "--source", metavar="published:NAME", help="Published weights to transfer from.  [default: the data set's source]"
)
@click.option(
    "--version",
    default="arxiv-kinetics400",
    metavar="VERSION",
    help="Version of the paper: arxiv-kinetics400 or cvpr2017-minikinetics.",
)
@click.option(
    "--format",
    "style",
    type=click.Choice(list(FORMATS)),
    default="terminal",
    help="Output format; csv cannot be combined with --significance or --with-cost.",
)
@launch_options
@workspace_options
def command(
    number: int,
    workspace: Workspace,
    launch: LaunchOptions,
    style: str,
    run_missing: bool,
    significance: bool,
    with_cost: bool,
    **question: Any,
) -> None:
    from harness.commands.run import run_cells
    from harness.planning.lookup import lookup_in
    from harness.records.record import RunStore
    from reports import tables
    from reports.tables import supplements

    query = tables.Question(**question)
    supplements.check_format(style, asides=significance or with_cost)
    if run_missing:
        run_cells(tables.wanted(number, query), workspace, launch)
    run_store = RunStore(workspace.runs)
    lookup = lookup_in(workspace, run_store)
    table = tables.build(number, lookup, query)
    asides = [tables.significance(number, lookup, query)] if significance else []
    asides += (
        [supplements.costs(table, {record.job_id: record for record in run_store.readable()})] if with_cost else []
    )
    click.echo(supplements.below(tables.render(table, style), asides, style), nl=False)
    console.exit_if_damaged(run_store)
