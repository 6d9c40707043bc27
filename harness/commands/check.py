"""What `harness check` does: look up, score again, compare, report; and propose, where it is asked to."""

from __future__ import annotations

import dataclasses
import difflib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from harness.analysis import regression
from harness.analysis.regression import Expected, Outcome, Rescored, Retrained
from harness.app.jobs import run_cells
from harness.app.launching import LaunchOptions
from harness.commands import console
from harness.core.errors import HarnessError
from harness.core.workspace import Workspace, writable
from harness.planning import selection
from harness.planning.lookup import Lookup, lookup_in
from harness.records.record import WEIGHTS, Record, RunStore

PROPOSED = ".proposed"


def run_check(
    workspace: Workspace,
    *,
    file: Path | None,
    junit: Path | None,
    update: bool,
    run_missing: bool,
    only: str | None,
) -> None:
    """`harness check`: leaves with code 0 if every number is reproduced, 1 if one is not, 2 if it cannot be told."""
    suites = [_only(suite, only) for suite in regression.read(file)]
    if run_missing:
        _run_missing(suites, workspace)
    outcomes = [outcome for suite in suites for outcome in _outcomes(suite, workspace)]
    click.echo(report(outcomes))
    if junit:
        writable(junit.absolute().parent, what="the JUnit report", flag="--junit")
        junit.write_text(regression.junit(outcomes), encoding="utf-8")
    if update:
        for suite in regression.read(file):
            _propose(suite, workspace)
    if not all(outcome.ok for outcome in outcomes):
        raise click.exceptions.Exit(1)


def _only(suite: Expected, kind: str | None) -> Expected:
    return dataclasses.replace(
        suite,
        retrained=suite.retrained if kind in (None, "retrained") else (),
        rescored=suite.rescored if kind in (None, "rescored") else (),
    )


def report(outcomes: Sequence[Outcome]) -> str:
    """One block an expectation: what was expected, what was found, and why that is not the same."""
    lines = []
    for outcome in outcomes:
        mark = {"ok": "ok  ", "fail": "FAIL", "missing": "MISS"}[outcome.state]
        lines += [f"{mark}  {outcome.title}", f"      expected {outcome.expected}", f"      found    {outcome.found}"]
        lines += [f"      {outcome.why}"] if outcome.why else []
    states = [outcome.state for outcome in outcomes]
    said = [f"{states.count('ok')} of {len(states)} expected numbers are reproduced"]
    said += [f"{failed} {'is' if failed == 1 else 'are'} not"] if (failed := states.count("fail")) else []
    said += [f"{missing} not in the ledger"] if (missing := states.count("missing")) else []
    return "\n".join([*lines, f"\n{', '.join(said)}."])


def _outcomes(suite: Expected, workspace: Workspace) -> list[Outcome]:
    lookup = lookup_in(workspace)
    return [_timed(lambda entry=entry: retrained(suite, entry, lookup)) for entry in suite.retrained] + [  # type: ignore[misc]
        _timed(lambda entry=entry: rescored(suite, entry, workspace))  # type: ignore[misc]
        for entry in suite.rescored
    ]


def _timed(context: Callable[[], Outcome]) -> Outcome:
    started = time.perf_counter()
    outcome = context()
    return dataclasses.replace(outcome, seconds=time.perf_counter() - started)


# ---------------------------------------------------------------------------------------------------- trained again


def retrained(suite: Expected, entry: Retrained, lookup: Lookup) -> Outcome:
    """A cell's seeds in the ledger against those that were run before."""
    return regression.check_retrained(suite.path.stem, entry, found_seeds(entry, lookup), _command(entry))


def found_seeds(entry: Retrained, lookup: Lookup) -> dict[int, tuple[int, int]]:
    """Seed -> (right answers, videos) of the entry's seeds that the ledger has."""
    from harness.metrics.scores import topk_correct

    found = {}
    for cell in selection.cells(entry.selection(entry.seeds)):
        result = lookup(cell)
        if result:
            found[cell.seed] = (int(topk_correct(result.scores).sum()), result.scores.n)
    return found


def _command(entry: Retrained) -> str:
    flags = [f"--{axis} {value}" for axis, value in entry.axes.items()]
    flags += [f"--set {key}={value}" for key, value in entry.overrides.items()]
    return " ".join(["harness run", *flags, f"--seed {entry.seeds[0]}"])


def _run_missing(suites: Sequence[Expected], workspace: Workspace) -> None:
    """Train the first seed of every expected cell of which the ledger has none."""
    cells = []
    for suite in suites:
        lookup = lookup_in(workspace)
        for entry in suite.retrained:
            if not found_seeds(entry, lookup):
                cells += selection.cells(entry.selection(entry.seeds[:1]))
    if cells:
        run_cells(cells, workspace, LaunchOptions())


# ---------------------------------------------------------------------------------------------------- scored again


def rescored(suite: Expected, entry: Rescored, workspace: Workspace) -> Outcome:
    """The weights of a finished job, shipped or in the ledger, scored now."""

    def failed(why: str, *, state: str = "fail") -> Outcome:
        expected = f"{entry.correct1} / {entry.correct5} of {entry.n}" if entry.known else "not known yet"
        return Outcome(suite.path.stem, "rescored", entry.title, state, expected, "nothing", why)  # type: ignore[arg-type]

    record = record_of(suite, entry, workspace)
    if record is None:
        return failed(f"no such job in {suite.checkpoints} or in {workspace.runs}", state="missing")
    if entry.known and record.files.get(WEIGHTS) != entry.weights_sha256:
        return failed(f"the record in {record.folder} holds other weights than those expected")
    try:
        return regression.check_rescored(suite.path.stem, entry, scores_now(record, workspace), record.scores())
    except HarnessError as error:
        # One job that cannot be scored here must not hide what became of the others.
        return failed(str(error))


def record_of(suite: Expected, entry: Rescored, workspace: Workspace) -> Record | None:
    for run_store in (RunStore(suite.checkpoints), RunStore(workspace.runs)):
        if run_store.has(entry.job):
            return run_store.read(entry.job)
    return None


def scores_now(record: Record, workspace: Workspace):  # type: ignore[no-untyped-def]
    """The job's weights, scored on its test set by the code as it is."""
    from harness.jobs.options import JobOptions
    from harness.jobs.restore import open_job, open_test_set, score_again, scored_videos

    options = JobOptions(places=workspace)
    _ready(record, workspace)
    data = open_test_set(record, options)
    return score_again(open_job(record, options), data, scored_videos(record, data.listing))


def _ready(record: Record, workspace: Workspace) -> None:
    """Its data set rendered and indexed, where a person can see it happen."""
    from harness.core import registry
    from harness.data import prepare

    dataset = registry.load("dataset", record.spec["dataset"]["name"])
    if prepare.expected_fingerprint(dataset, workspace.data) is None:
        with console.screen(jobs=0) as callback:
            callback.stage(f"{'render' if dataset.micro else 'index'} {dataset.name}", 0, "files")
            prepare.open_prepared(dataset, workspace.data, progress=callback.progress)


# ---------------------------------------------------------------------------------------------------- proposals


def _propose(suite: Expected, workspace: Workspace) -> None:
    """Write what the file would say if it were made from this ledger, beside it, for a person to review and rename."""
    lookup = lookup_in(workspace)
    fresh = dataclasses.replace(
        suite,
        retrained=tuple(_retrained_now(entry, lookup) for entry in suite.retrained),
        rescored=tuple(_rescored_now(suite, entry, workspace) for entry in suite.rescored),
    )
    before, after = suite.path.read_text(encoding="utf-8"), regression.render(fresh)
    if regression.parse(suite.path, after) == regression.parse(suite.path, before):
        click.echo(f"\n{suite.path}: nothing to propose.")
        return
    target = suite.path.with_name(suite.path.name + PROPOSED)
    writable(target.parent, what="the proposal", flag="--expected")
    target.write_text(after, encoding="utf-8")
    diff = difflib.unified_diff(before.splitlines(), after.splitlines(), str(suite.path), str(target), lineterm="")
    click.echo("\n" + "\n".join(diff))
    click.echo(f"\nProposed in {target}. Review it, then: mv {target} {suite.path}")


def _retrained_now(entry: Retrained, lookup: Lookup) -> Retrained:
    """The entry with what the ledger has for all its seeds; as it is, saying so, where one is missing."""
    results = {cell.seed: lookup(cell) for cell in selection.cells(entry.selection(entry.seeds))}
    absent = [seed for seed, result in results.items() if result is None]
    found = found_seeds(entry, lookup)
    if absent or len({n for _, n in found.values()}) != 1:
        click.echo(
            f"{entry.title}: left as it is, the ledger lacks seeds {', '.join(map(str, absent)) or 'of one test set'}"
        )
        return entry
    return dataclasses.replace(
        entry,
        correct1=tuple(found[seed][0] for seed in entry.seeds),
        n=next(iter(found.values()))[1],
        jobs=tuple("+".join(result.job_ids) for result in results.values() if result),
    )


def _rescored_now(suite: Expected, entry: Rescored, workspace: Workspace) -> Rescored:
    from harness.metrics.scores import topk_correct

    record = record_of(suite, entry, workspace)
    if record is None:
        click.echo(f"{entry.title}: left as it is, its record is not here")
        return entry
    scores = record.scores()
    return dataclasses.replace(
        entry,
        weights_sha256=record.files[WEIGHTS],
        n=scores.n,
        correct1=int(topk_correct(scores).sum()),
        correct5=int(topk_correct(scores, 5).sum()),
    )
