"""`harness check`: Check that results still match the expected numbers.

Compares the results folder and the shipped weights with results/expected. Exit status: 0 if all numbers are reproduced, 1 if
some are not or are missing, 2 if the check itself could not run.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from harness.analysis.regression import compare
from harness.analysis.regression.compare import CheckOutcome
from harness.analysis.regression.expected import Expected, Rescored, Retrained, parse, read, render
from harness.commands import console, logs
from harness.commands.options import device_option, workspace_options
from harness.commands.run import run_cells
from harness.core import registry
from harness.core.errors import HarnessError, RecordError
from harness.core.workspace import Workspace, writable
from harness.launch.options import LaunchOptions
from harness.launch.run import render_or_index
from harness.metrics.scores import topk_correct
from harness.planning import selection
from harness.planning.command import command_of
from harness.planning.lookup import Lookup, lookup_in
from harness.records.record import WEIGHTS, Record, RunStore

if TYPE_CHECKING:
    from harness.metrics.scores import Scores

PROPOSED = ".proposed"


@click.command()
@click.option(
    "--expected",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File of expected numbers.  [default: every file of results/expected]",
)
@click.option("--junit", type=click.Path(path_type=Path), metavar="FILE", help="Also write JUnit XML.")
@click.option(
    "--only",
    type=click.Choice(["retrained", "rescored"]),
    help="Check one kind alone: retrained (mean accuracy of trainings in the results folder) or rescored (stored weights, "
    "scored again).  [default: both]",
)
@click.option("--run", "run_missing", is_flag=True, help="First train one seed of each missing cell.")
@click.option("--update", is_flag=True, help="Write the new numbers to FILE.proposed, for review.")
@device_option
@workspace_options
def command(
    workspace: Workspace, file: Path | None, junit: Path | None, only: str | None, run_missing: bool, update: bool
) -> None:
    suites = read(file)
    if run_missing and only != "rescored":
        _run_missing(suites, workspace)
    run_store = RunStore(workspace.runs)
    lookup = lookup_in(workspace, run_store)
    outcomes = [_timed(check) for check in _checks(suites, only, workspace, lookup)]
    click.echo(as_text(outcomes))
    if junit:
        writable(junit.absolute().parent, content="the JUnit report", flag="--junit")
        junit.write_text(compare.junit(outcomes), encoding="utf-8")
    if update:
        for suite in suites:
            _propose(suite, workspace, lookup)
    console.exit_if_damaged(run_store)
    if not all(outcome.ok for outcome in outcomes):
        raise click.exceptions.Exit(1)


def as_text(outcomes: Sequence[CheckOutcome]) -> str:
    """One block per expectation: the expected number, the number found, and the cause of a difference."""
    lines = []
    for outcome in outcomes:
        mark = {"ok": "ok  ", "fail": "FAIL", "missing": "MISS"}[outcome.state]
        lines += [f"{mark}  {outcome.title}", f"      expected {outcome.expected}", f"      found    {outcome.actual}"]
        lines += [f"      {outcome.why}"] if outcome.why else []
    states = [outcome.state for outcome in outcomes]
    counts = [f"{states.count('ok')} of {len(states)} expected numbers are reproduced"]
    counts += [f"{failed} {'is' if failed == 1 else 'are'} not"] if (failed := states.count("fail")) else []
    counts += [f"{missing} missing from the results"] if (missing := states.count("missing")) else []
    return "\n".join([*lines, f"\n{', '.join(counts)}."])


def _checks(
    suites: Sequence[Expected], only: str | None, workspace: Workspace, lookup: Lookup
) -> Iterator[Callable[[], CheckOutcome]]:
    for suite in suites:
        if only != "rescored":
            yield from (partial(retrained, suite, entry, lookup) for entry in suite.retrained)
        if only != "retrained":
            yield from (partial(rescored, suite, entry, workspace) for entry in suite.rescored)


def _timed(check: Callable[[], CheckOutcome]) -> CheckOutcome:
    started = time.perf_counter()
    outcome = check()
    return replace(outcome, seconds=time.perf_counter() - started)


def retrained(suite: Expected, entry: Retrained, lookup: Lookup) -> CheckOutcome:
    """Compare the finished seeds of a cell with the expected ones."""
    (cell,) = selection.cells(entry.selection(entry.seeds[:1]))
    return compare.check_retrained(suite.path.stem, entry, counts_by_seed(entry, lookup), command_of(cell))


def counts_by_seed(entry: Retrained, lookup: Lookup) -> dict[int, tuple[int, int]]:
    """Seed -> (correct, videos) of the entry's finished seeds."""
    results = {cell.seed: lookup(cell) for cell in selection.cells(entry.selection(entry.seeds))}
    return {
        seed: (int(topk_correct(result.scores).sum()), result.scores.n) for seed, result in results.items() if result
    }


def _run_missing(suites: Sequence[Expected], workspace: Workspace) -> None:
    """Train the first seed of every expected cell without a finished seed."""
    lookup = lookup_in(workspace)
    cells = [
        cell
        for suite in suites
        for entry in suite.retrained
        if not counts_by_seed(entry, lookup)
        for cell in selection.cells(entry.selection(entry.seeds[:1]))
    ]
    if cells:
        with logs.run_log(workspace) as log:
            run_cells(cells, workspace, LaunchOptions(), log)


def rescored(suite: Expected, entry: Rescored, workspace: Workspace) -> CheckOutcome:
    """Score the weights of a finished job again, shipped ones or those in the results folder."""

    def failure(why: str, *, state: Literal["fail", "missing"] = "fail") -> CheckOutcome:
        expected = f"{entry.correct1} / {entry.correct5} of {entry.n}" if entry.known else "not known yet"
        return CheckOutcome(suite.path.stem, "rescored", entry.title, state, expected, "nothing", why)

    try:
        record = record_of(suite, entry, workspace)
    except RecordError as error:
        return failure(str(error))
    if record is None:
        return failure(f"no such job in {suite.checkpoints} or in {workspace.runs}", state="missing")
    if entry.known and record.files.get(WEIGHTS) != entry.weights_sha256:
        return failure(f"the record in {record.folder} holds other weights than those expected")
    try:
        return compare.check_rescored(suite.path.stem, entry, scores_now(record, workspace), record.scores())
    except HarnessError as error:
        # One job that cannot be scored here must not hide the outcome of the others.
        return failure(str(error))


def record_of(suite: Expected, entry: Rescored, workspace: Workspace) -> Record | None:
    for run_store in (RunStore(suite.checkpoints), RunStore(workspace.runs)):
        if run_store.has(entry.job):
            return run_store.read(entry.job)
    return None


def scores_now(record: Record, workspace: Workspace) -> Scores:
    """The job's weights, scored on its test set by the code of today."""
    from harness.jobs.options import JobOptions
    from harness.jobs.restore import score_again

    with console.screen(jobs=0) as callback:
        render_or_index(registry.load("dataset", record.spec.dataset.name), workspace, callback)
    return score_again(record, JobOptions(workspace=workspace))


def _propose(suite: Expected, workspace: Workspace, lookup: Lookup) -> None:
    """Write a new version of the file, with these results, next to it, to be reviewed and renamed."""
    proposal = replace(
        suite,
        retrained=tuple(_retrained_now(entry, lookup) for entry in suite.retrained),
        rescored=tuple(_rescored_now(suite, entry, workspace) for entry in suite.rescored),
    )
    before, after = suite.path.read_text(encoding="utf-8"), render(proposal)
    if parse(suite.path, after) == parse(suite.path, before):
        click.echo(f"\n{suite.path}: nothing to propose.")
        return
    target = suite.path.with_name(suite.path.name + PROPOSED)
    writable(target.parent, content="the proposal", flag="--expected")
    target.write_text(after, encoding="utf-8")
    diff = difflib.unified_diff(before.splitlines(), after.splitlines(), str(suite.path), str(target), lineterm="")
    click.echo("\n" + "\n".join(diff))
    click.echo(f"\nProposed in {target}. Review it, then: mv {target} {suite.path}")


def _retrained_now(entry: Retrained, lookup: Lookup) -> Retrained:
    """The entry with the counts of all its seeds; unchanged, with a message, if one is missing."""
    results = {cell.seed: lookup(cell) for cell in selection.cells(entry.selection(entry.seeds))}
    absent = [seed for seed, result in results.items() if result is None]
    counts = counts_by_seed(entry, lookup)
    if absent or len({n for _, n in counts.values()}) != 1:
        reason = f"seeds {', '.join(map(str, absent))} are missing" if absent else "its seeds have different test sets"
        click.echo(f"{entry.title}: unchanged, {reason}")
        return entry
    return replace(
        entry,
        correct1=tuple(counts[seed][0] for seed in entry.seeds),
        n=next(iter(counts.values()))[1],
        jobs=tuple("+".join(result.job_ids) for result in results.values() if result),
    )


def _rescored_now(suite: Expected, entry: Rescored, workspace: Workspace) -> Rescored:
    record = record_of(suite, entry, workspace)
    if record is None:
        click.echo(f"{entry.title}: unchanged, its record is missing")
        return entry
    scores = record.scores()
    return replace(
        entry,
        weights_sha256=record.files[WEIGHTS],
        n=scores.n,
        correct1=int(topk_correct(scores).sum()),
        correct5=int(topk_correct(scores, 5).sum()),
    )
