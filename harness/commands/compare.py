"""`harness compare`: Test the difference between two jobs, paired on the same videos.

Prints the p-value of McNemar's exact test, and the difference with a bootstrap interval over groups of videos.
"""

from __future__ import annotations

import math

import click

from harness.commands.options import workspace_options
from harness.core.errors import HarnessError
from harness.core.workspace import Workspace
from harness.metrics import statistics
from harness.metrics.registered import PRIMARY, named, text
from harness.metrics.scores import aligned, topk_correct
from harness.records.caveats import caveats_of_pair
from harness.records.record import SCORES, Record, RunStore
from reports.tables.labels import p_text


@click.command()
@click.argument("first")
@click.argument("second")
@workspace_options
def command(first: str, second: str, workspace: Workspace) -> None:
    run_store = RunStore(workspace.runs)
    a, b = _scored(run_store.find(first)), _scored(run_store.find(second))
    scores = a.scores()
    correct_a, correct_b = topk_correct(scores), topk_correct(aligned(b.scores(), scores.ids))
    test = statistics.paired(correct_a, correct_b, statistics.clusters_of(scores.ids, scores.groups))
    for letter, record in (("A", a), ("B", b)):
        number = text(PRIMARY, record.metrics[PRIMARY])
        click.echo(f"{letter}  {record.job_id}  {record.title}: {named(PRIMARY).short} {number}")
    click.echo(
        f"A - B = {100 * test.difference:+.1f} points, 95% interval {100 * test.low:+.1f} to {100 * test.high:+.1f} "
        f"(resampled by group: {test.groups} groups, {test.n} videos)\n"
        f"only A right: {test.only_a}, only B right: {test.only_b}; McNemar p {p_text(test.p_value)}, "
        f"by group p {p_text(test.p_value_groups)}\n{_power(test)}"
    )
    for caveat in caveats_of_pair(a, b):
        click.echo(f"- {caveat}")


def _scored(record: Record) -> Record:
    """The record. Raises HarnessError for a job without scores."""
    if SCORES not in record.files:
        raise HarnessError(
            f"job {record.job_id} ({record.title}) scored no videos; `harness ls jobs` shows a top-1 for jobs that did"
        )
    return record


def _power(test: statistics.PairedTest) -> str:
    """The smallest true difference that so many videos would detect."""
    disagree = (test.only_a + test.only_b) / test.n
    smallest = statistics.smallest_difference(test.n, disagree=disagree) if disagree else math.nan
    if math.isnan(smallest):
        return f"The two disagree on too few of the {test.n} videos to detect any difference."
    return (
        f"With {test.n} independent videos and this disagreement, a difference of {100 * smallest:.1f} points is "
        "detected with 80% power (p < 0.05). If videos of a group are answered alike, only larger ones are."
    )
