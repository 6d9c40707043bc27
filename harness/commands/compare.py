"""`harness compare`: Test the difference between two jobs, paired on the same videos.

A + B is the sum of the scores of an RGB job and a flow job, as `harness run` prints it in its column of jobs. Prints the p-value of McNemar's exact test, and the difference with a bootstrap interval over groups of videos.
"""

from __future__ import annotations

import functools
import math
import re
from dataclasses import dataclass

import click

from harness.commands.options import workspace_options
from harness.core.errors import HarnessError
from harness.core.workspace import Workspace
from harness.metrics import statistics
from harness.metrics.fusion import late_fusion
from harness.metrics.registered import PRIMARY, named, text
from harness.metrics.scores import Scores, aligned, topk_correct
from harness.metrics.summary import summary
from harness.records.caveats import caveats_of_pair
from harness.records.record import SCORES, Record, RunStore
from reports.tables.labels import p_text


@dataclass(frozen=True)
class Side:
    """One side of the comparison."""

    records: tuple[Record, ...]
    """One, or one per stream."""
    scores: Scores
    """After late fusion."""

    @property
    def headline(self) -> str:
        ids, titles = (" + ".join(words) for words in zip(*((r.job_id, r.title) for r in self.records), strict=True))
        return f"{ids}  {titles}: {named(PRIMARY).short} {text(PRIMARY, summary(self.scores)[PRIMARY])}"


@click.command()
@click.argument("jobs", nargs=-1, required=True, metavar="JOB[+JOB] JOB[+JOB]")
@workspace_options
def command(jobs: tuple[str, ...], workspace: Workspace) -> None:
    words = re.sub(r"\s*\+\s*", "+", " ".join(jobs)).split()
    if len(words) != 2:
        raise click.UsageError(f"compare takes two jobs, or sums of two such as A + B; got {len(words)}")
    a, b = (_side(word, RunStore(workspace.runs)) for word in words)
    correct_a, correct_b = topk_correct(a.scores), topk_correct(aligned(b.scores, a.scores.ids))
    test = statistics.paired(correct_a, correct_b, statistics.clusters_of(a.scores.ids, a.scores.groups))
    click.echo(f"A  {a.headline}\nB  {b.headline}")
    click.echo(
        f"A - B = {100 * test.difference:+.1f} points, 95% interval {100 * test.low:+.1f} to {100 * test.high:+.1f} "
        f"(resampled by group: {test.groups} groups, {test.n} videos)\n"
        f"only A right: {test.only_a}, only B right: {test.only_b}; McNemar p {p_text(test.p_value)}, "
        f"by group p {p_text(test.p_value_groups)}\n{_power(test)}"
    )
    for caveat in caveats_of_pair(a.records, b.records):
        click.echo(f"- {caveat}")


def _side(word: str, run_store: RunStore) -> Side:
    """'A', or 'A+B'. Raises HarnessError for jobs without scores, and for a sum of jobs that read the same stream."""
    records = tuple(_scored(run_store.find(prefix)) for prefix in word.split("+"))
    streams = (
        [stream for record in records for stream in getattr(record.spec, "streams", ())] if len(records) > 1 else []
    )
    if len(set(streams)) < len(streams):
        raise HarnessError(f"{word} adds jobs that read {' and '.join(streams)}; add an RGB job and a flow job")
    return Side(records, functools.reduce(late_fusion, (record.scores() for record in records)))


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
