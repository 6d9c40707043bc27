"""All benchmarks by name: the pairs of each suite, and what builds a case."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from benchmarks.ratios import ceilings, data, flow, loops, networks
from benchmarks.ratios.case import Builders, Case, Command, Machine, Pair, Ready, Suite
from harness.core.errors import HarnessError

CEILINGS = "ceilings"
_FIRST_STEP = """
import torch
from harness.training.optim import eager
weight = torch.nn.Parameter(torch.ones(3))
weight.sum().backward()
{}([weight]).step()
"""


def startup(machine: Machine) -> Iterator[Pair]:
    """The wait before a command does anything, against a process that only imports torch."""
    imports_torch = Command(("-c", "import torch"))
    cell = ("--dataset", "micro-hmdb51", "--protocol", "full-ft")
    for words in (("--help",), ("plan", *cell), ("ls", "baselines")):
        ours = Command(("-m", "harness", *words))
        yield Pair("startup", f"harness {words[0]}", "a process that imports torch", ours, imports_torch)
    ours, other = (
        Command(("-c", _FIRST_STEP.format(code))) for code in ("eager(torch.optim.AdamW)", "torch.optim.AdamW")
    )
    reference = "torch's own optimizer, which loads a compiler"
    yield Pair("startup", "first step of a training", reference, ours, other)


SUITES: Mapping[str, Suite] = {
    "inference": networks.networks("forward"),
    "training": networks.networks("training"),
    "defaults": networks.defaults,
    "micro": networks.micro,
    "fixed": loops.fixed_pairs,
    "loop": loops.loop_pairs,
    "data": data.pairs,
    "flow": flow.pairs,
    "startup": startup,
}
"""In the order in which they run and are printed."""

BUILDERS: Builders = {**ceilings.BUILDERS, **networks.BUILDERS, **loops.BUILDERS, **data.BUILDERS, **flow.BUILDERS}

FACTS = {"loop": loops.facts_of, "data": data.facts_of, "flow": flow.facts_of}
"""Suite -> a note on a measured pair. Raises HarnessError if the two sides did not compute the same."""


def names() -> tuple[str, ...]:
    """The values of `--only`."""
    return (CEILINGS, *SUITES)


def builder(name: str) -> Callable[[Case], Ready]:
    """Raises HarnessError for an unknown name."""
    if name not in BUILDERS:
        raise HarnessError(f"no benchmark '{name}'; have: {', '.join(sorted(BUILDERS))}")
    return BUILDERS[name]


def select(machine: Machine, only: Sequence[str]) -> list[Pair]:
    """The pairs of 'suite' or 'suite:words' (those whose name contains the words), or all; in the order of the suites."""
    filters = [name.partition(":")[::2] for name in only]
    for suite, _ in filters:
        if suite not in names():
            raise HarnessError(f"no benchmark '{suite}'; have: {', '.join(names())}")
    pairs = [pair for make in SUITES.values() for pair in make(machine)]
    selected = [
        pair
        for pair in pairs
        if not filters or any(pair.suite == suite and words in pair.name for suite, words in filters)
    ]
    if not selected and CEILINGS not in only:
        available = "; ".join(pair.name for pair in pairs if pair.suite in dict(filters))
        raise HarnessError(f"no pair of that name; have: {available}")
    return selected
