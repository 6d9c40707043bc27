"""Run the pairs of suites in order, and save results as they come."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.ratios import ceilings, data, suites
from benchmarks.ratios.case import Case, Command, Machine, Pair, Parallel
from benchmarks.ratios.processes import CommandProcess, Worker, WorkerGroup
from benchmarks.ratios.values import Ceiling, Paired, alternate
from harness.core import environment
from harness.core.errors import HarnessError

Save = Callable[[dict[str, Ceiling], list[Paired]], None]


def measure(
    only: Sequence[str], *, quick: bool, rounds: int, log: Callable[[str], None], save: Save
) -> tuple[list[Paired], list[str]]:
    """(results of the selected suites, or of all; names of the pairs that failed). Raises HarnessError for an unknown name.

    `log` is called with one line per result. `save` is called with each result, so that Ctrl-C does not lose them.
    """
    machine = Machine(environment.device(), environment.cpu_threads(), quick)
    selected = suites.select(machine, only)
    if machine.precisions == ("float32",):
        log("bfloat16 is skipped: this device has no instructions for it")
    if missing := data.missing_libraries():
        log(f"the suite 'data' is skipped: {' and '.join(missing)} not installed")
    if not only or suites.CEILINGS in only:
        best = ceilings.measure_ceilings(machine)
        for name, ceiling in best.items():
            log(f"{name}: {ceiling.rate:.0f} {ceiling.unit}")
        save(best, [])
    results, failed = [], []
    for pair in selected:
        try:
            result = measure_pair(pair, rounds=rounds or (3 if quick else 7))
        except (HarnessError, subprocess.CalledProcessError) as error:
            log(f"{pair.suite}: {pair.name}: failed: {error}")
            failed.append(pair.name)
            continue
        low, high = result.interval
        log(f"{result.suite}: {result.name}: {result.ratio:.2f} ({low:.2f} to {high:.2f}) times {result.reference}")
        results.append(result)
        save({}, [result])
    return results, failed


def measure_pair(pair: Pair, *, rounds: int) -> Paired:
    """Both sides in processes of their own, run alternately."""
    with _process(pair.ours) as a, _process(pair.other) as b:
        ours_s, other_s = alternate(a.run, b.run, rounds=rounds)
    facts: dict[str, Any] = dict(a.facts)
    if isinstance(pair.ours, Case):
        facts["reference_memory_bytes"] = b.facts["memory_bytes"]
        if "gflop" in facts:
            conv3d = Case("conv3d", precision=pair.ours.precision, threads=pair.ours.threads)
            facts["ceiling"] = ceilings.ceiling_name(conv3d)
    if pair.suite in suites.FACTS:
        facts |= suites.FACTS[pair.suite](a.facts, b.facts, ours_s, other_s)
    return Paired(pair.suite, pair.name, pair.reference, ours_s, other_s, pair.target, facts)


def _process(side: Case | Command | Parallel) -> Worker | CommandProcess | WorkerGroup:
    if isinstance(side, Command):
        return CommandProcess(side.words)
    if isinstance(side, Parallel):
        return WorkerGroup([data.with_files(part) for part in side.parts])
    return Worker(data.with_files(side))
