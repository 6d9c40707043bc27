"""`harness compare`: Test the difference between two jobs, paired on the same videos.

JOB+JOB is the sum of the scores of an RGB job and a flow job. `harness run` prints such sums in the column `job`. Prints the p-value of McNemar's exact test, and the difference with a bootstrap interval over groups of videos.
"""

from __future__ import annotations

import re

import click

from harness.analysis.comparison import Comparison, compare, find_result
from harness.commands.options import workspace_options
from harness.core.workspace import Workspace
from harness.metrics.registered import PRIMARY, named, text
from harness.metrics.scores import CellResult
from harness.metrics.summary import summary
from harness.records.record import RunStore
from reports.tables.labels import p_text


@click.command()
@click.argument("jobs", nargs=-1, required=True, metavar="JOB[+JOB] JOB[+JOB]")
@workspace_options
def command(jobs: tuple[str, ...], workspace: Workspace) -> None:
    words = re.sub(r"\s*\+\s*", "+", " ".join(jobs)).split()
    if len(words) != 2:
        raise click.UsageError(f"compare takes two jobs, or sums of two such as A + B; got {len(words)}")
    comparison = compare(*(find_result(word, RunStore(workspace.runs)) for word in words))
    test = comparison.test
    click.echo(f"A  {_headline(comparison.a)}\nB  {_headline(comparison.b)}")
    click.echo(
        f"A - B = {100 * test.difference:+.1f} points, 95% interval {100 * test.low:+.1f} to {100 * test.high:+.1f} "
        f"(resampled by group: {test.groups} groups, {test.n} videos)\n"
        f"only A right: {test.only_a}, only B right: {test.only_b}; McNemar p {p_text(test.p_value)}, "
        f"by group p {p_text(test.p_value_groups)}\n{_power(comparison)}"
    )
    for caveat in comparison.caveats:
        click.echo(f"- {caveat}")


def _headline(side: CellResult) -> str:
    titles = " + ".join(record.title for record in side.records)
    return (
        f"{' + '.join(side.job_ids)}  {titles}: {named(PRIMARY).short} {text(PRIMARY, summary(side.scores)[PRIMARY])}"
    )


def _power(comparison: Comparison) -> str:
    """The smallest true difference that so many videos would detect."""
    smallest, n = comparison.smallest_difference, comparison.test.n
    if smallest is None:
        return f"The two disagree on too few of the {n} videos to detect any difference."
    return (
        f"With {n} independent videos and this disagreement, a difference of {100 * smallest:.1f} points is "
        "detected with 80% power (p < 0.05). If videos of a group are answered alike, only larger ones are."
    )
