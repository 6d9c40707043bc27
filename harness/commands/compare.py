"""What is read from the ledger and printed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click

from harness.app.jobs import run_cells
from harness.app.launching import LaunchOptions
from harness.core.errors import HarnessError
from harness.core.workspace import Workspace
from harness.metrics import statistics
from harness.records.caveats import caveats_of_pair
from harness.records.record import SCORES, Record, RunStore

if TYPE_CHECKING:
    from reports.tables.layout import Question


def show_table(
    number: int,
    workspace: Workspace,
    asked: Question,
    *,
    how: str,
    run_missing: LaunchOptions | None,
    significance: bool,
    with_cost: bool = False,
) -> None:
    """`harness table`: from the ledger; with `run_missing`, after running the cells that it lacks in that way."""
    from harness.planning.lookup import lookup_in
    from reports import tables
    from reports.tables import aside, costs

    aside.check_format(how, asides=significance or with_cost)
    if run_missing:
        run_cells(tables.wanted(number, asked), workspace, run_missing)
    lookup = lookup_in(workspace)
    table = tables.build(number, lookup, asked)
    asides = [tables.significance(number, lookup, asked)] if significance else []
    asides += [costs.aside(table, RunStore(workspace.runs))] if with_cost else []
    click.echo(aside.below(tables.render(table, how), asides, how), nl=False)


def show_claims(workspace: Workspace, *, scale: str, seeds: tuple[int, ...], how: str) -> None:
    """`harness claims`."""
    from harness.analysis import claims
    from harness.planning.lookup import lookup_in
    from reports import claims_text

    click.echo(claims_text.render(claims.all_claims(lookup_in(workspace), scale=scale, seeds=seeds), how), nl=False)


def compare(first: str, second: str, workspace: Workspace) -> None:
    """`harness compare`: McNemar's exact test and the paired difference of two jobs."""
    from harness.metrics.scores import aligned, topk_correct
    from harness.metrics.summary import PRIMARY, named, text
    from reports.tables.words import p_text

    run_store = RunStore(workspace.runs)
    a, b = _scored(run_store.find(first)), _scored(run_store.find(second))
    scores_a, scores_b = a.scores(), b.scores()
    right_a, right_b = topk_correct(scores_a), topk_correct(aligned(scores_b, scores_a.ids))
    test = statistics.paired(right_a, right_b, statistics.clusters_of(scores_a.ids, scores_a.groups))
    for letter, record in (("A", a), ("B", b)):
        number = text(PRIMARY, record.metrics[PRIMARY])
        click.echo(f"{letter}  {record.job_id}  {record.title}: {named(PRIMARY).short} {number}")
    click.echo(
        f"A - B = {100 * test.difference:+.1f} points, 95% interval {100 * test.low:+.1f} to {100 * test.high:+.1f} "
        f"(drawn by group: {test.groups} groups, {test.n} videos)\n"
        f"only A right: {test.only_a}, only B right: {test.only_b}; McNemar p {p_text(test.p_value)}, "
        f"by group p {p_text(test.p_value_groups)}\n{_can_show(test)}"
    )
    for caveat in caveats_of_pair(a, b):
        click.echo(f"- {caveat}")


def _scored(record: Record) -> Record:
    """The record; HarnessError for a job that has no answers to compare."""
    if SCORES not in record.files:
        raise HarnessError(
            f"job {record.job_id} ({record.title}) scored no videos, so there is nothing to compare; `harness ls jobs` shows "
            "those that did by their top-1"
        )
    return record


def _can_show(test: statistics.Paired) -> str:
    """The smallest difference that these videos would show, were it the true one."""
    disagree = (test.only_a + test.only_b) / test.n
    smallest = statistics.smallest_difference(test.n, disagree=disagree) if disagree else math.nan
    if math.isnan(smallest):
        return f"The two disagree on too few of the {test.n} videos for any difference to show."
    return (
        f"{test.n} videos show a true difference of {100 * smallest:.1f} points or more four times in five, at p < 0.05 and this "
        "disagreement, if they are independent; where groups answer alike it takes more."
    )
