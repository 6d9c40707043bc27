"""What is held against what, and the machine it is measured on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.ratios.case import Case
from benchmarks.ratios.worker import Command
from harness.core import environment


@dataclass(frozen=True)
class Machine:
    """What the benchmarks are run on, and how long they may take."""

    device: str
    threads: int
    quick: bool
    """Small sizes: minutes in place of half an hour."""

    @property
    def precisions(self) -> tuple[str, ...]:
        """float32, and bfloat16 where the device computes in it."""
        return ("float32", "bfloat16") if environment.computes_bfloat16(self.device) else ("float32",)


@dataclass(frozen=True)
class Both:
    """A case done by several processes at once, each its part."""

    case: Case
    processes: int = 2

    @property
    def parts(self) -> list[Case]:
        return [dataclasses.replace(self.case, part=number) for number in range(self.processes)]


@dataclass(frozen=True)
class Pairing:
    """What is to be held against what."""

    suite: str
    name: str
    reference: str
    ours: Case | Command | Both
    theirs: Case | Command | Both
    target: float | None = None


Suite = Callable[[Machine], Iterator[Pairing]]
