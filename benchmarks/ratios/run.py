"""`python -m benchmarks`: suites in order, results as they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.ratios import data, suites
from benchmarks.ratios.pairing import Machine, Pairing
from benchmarks.ratios.values import Ceiling, Paired
from harness.core import environment
from harness.core.errors import HarnessError

CEILINGS = "ceilings"
Keep = Callable[[dict[str, Ceiling], list[Paired]], None]


def names() -> tuple[str, ...]:
    """What `--only` takes."""
    return (CEILINGS, *suites.SUITES)


def measure(only: Sequence[str], *, quick: bool, rounds: int, tell: Callable[[str], None], keep: Keep) -> list[Paired]:
    """Run the named suites, or all; `tell` hears a line a result. Raises HarnessError for an unknown name.

    `keep` is given ceilings and results as they come, so that what was measured before a Ctrl-C is not lost.

    'suite:words' runs those pairs of a suite whose name holds the words.
    """
    machine = Machine(environment.device(), environment.cpu_threads(), quick)
    chosen = pairings(machine, only)
    if machine.precisions == ("float32",):
        tell("bfloat16 is left out: this device has no instructions for it")
    if missing := data.lacking():
        tell(f"the suite 'data' is left out: {' and '.join(missing)} not installed here")
    limits: dict[str, Ceiling] = {}
    if not only or CEILINGS in only:
        limits = suites.ceilings(machine)
        for one in limits.values():
            tell(f"{one.name}: {one.rate:.0f} {one.unit}")
        keep(limits, [])
    found = []
    for pairing in chosen:
        result = suites.measure(pairing, rounds=rounds or (3 if quick else 7))
        low, high = result.interval
        tell(f"{result.suite}: {result.name}: {result.ratio:.2f} ({low:.2f} to {high:.2f}) times {result.reference}")
        found.append(result)
        keep({}, [result])
    return found


def pairings(machine: Machine, only: Sequence[str]) -> list[Pairing]:
    """What `--only` asks for, in the order of the suites; all of it where nothing is asked."""
    asked = [name.partition(":")[::2] for name in only]
    unknown = [suite for suite, _ in asked if suite not in names()]
    if unknown:
        raise HarnessError(f"no benchmark '{unknown[0]}'; have: {', '.join(names())}")
    chosen = [
        pairing
        for suite, make in suites.SUITES.items()
        for pairing in make(machine)
        if not asked or any(suite == name and words in pairing.name for name, words in asked)
    ]
    if not chosen and CEILINGS not in only:
        told = "; ".join(pairing.name for suite, _ in asked for pairing in suites.SUITES[suite](machine))
        raise HarnessError(f"no pair of that name; have: {told}")
    return chosen
