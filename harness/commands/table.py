"""`harness table`: Print a table of the paper next to the paper's numbers, or a table of all results.

TABLE is 1 to 5, or `results`: every number of the results folder with its cost, ranked among the numbers on the same videos. The
numbers come from the results folder.
"""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource

from harness.commands import console, logs
from harness.commands.options import launch_options, names_of, seeds_option, workspace_options
from harness.core.errors import HarnessError
from harness.core.workspace import Workspace
from harness.launch.options import LaunchOptions
from reports.tables.render import FORMATS

RESULTS = "results"
FOR_RESULTS = (
    "name",
    "scale",
    "by",
    "metrics",
    "significance",
    "style",
    "data",
    "results",
    "plugins",
    "verbose",
    "quiet",
)
"""Parameters that `harness table results` takes."""


@click.command()
@click.argument("name", type=click.Choice(["1", "2", "3", "4", "5", RESULTS]), metavar="TABLE")
@click.option(
    "--scale",
    metavar="NAME",
    help=f"Scale of the results to print: {names_of('scale')}.  [default: paper; all for `results`]",
)
@click.option(
    "--by",
    metavar="dataset|baseline",
    help="With `harness table results`: group the rows by data set or by baseline.  [default: dataset]",
)
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
@click.pass_context
def command(
    context: click.Context,
    name: str,
    workspace: Workspace,
    launch: LaunchOptions,
    style: str,
    run_missing: bool,
    significance: bool,
    with_cost: bool,
    by: str | None,
    **question: Any,
) -> None:
    from harness.commands.run import run_cells
    from harness.records.record import RunStore
    from reports import table_output, tables
    from reports.tables import supplements

    supplements.check_format(style, asides=significance or with_cost)
    run_store = RunStore(workspace.runs)
    if name == RESULTS:
        _check_flags(context)
        chosen = {key: question[key] for key in ("scale", "metrics")}
        table = table_output.results_table(run_store, **chosen, by=by or "dataset", significance=significance)
    elif by:
        raise HarnessError(f"--by {by}: Table {name} has the paper's rows; use `harness table {RESULTS} --by {by}`")
    else:
        question["scale"] = question["scale"] or "paper"
        query = tables.Question(**question)
        if run_missing:
            with logs.run_log(workspace) as log:
                run_cells(tables.wanted(int(name), query), workspace, launch, log)
        table = table_output.paper_table(
            int(name), query, workspace, run_store, significance=significance, with_cost=with_cost
        )
    click.echo(table.render(style), nl=False)
    console.exit_if_damaged(run_store)


def _check_flags(context: click.Context) -> None:
    """Raise HarnessError for a flag that a table of all results has no use for."""
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        if given and parameter.name not in FOR_RESULTS:
            raise HarnessError(
                f"{parameter.opts[0]} is for Tables 1 to 5; `harness table {RESULTS}` prints every finished job, with its cost"
            )
