"""Results: paired times against a named reference, and the ceilings of the machine. Pure arithmetic."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

RESAMPLES = 2000
REGRESSION = 0.75
"""Share of a committed ratio below which the new one has regressed: a loss of more than 25%."""


@dataclass(frozen=True)
class Ceiling:
    """The best rate of a simple operation here."""

    rate: float
    unit: str
    """'GFLOP/s' or 'GB/s'."""


@dataclass(frozen=True)
class Paired:
    """Ours against a reference, run alternately."""

    suite: str
    name: str
    reference: str
    """The reference in words."""
    ours_s: tuple[float, ...]
    """Seconds per round."""
    reference_s: tuple[float, ...]
    """Seconds of the reference in the same rounds."""
    target: float | None = None
    """Ratio to reach; None: no target."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """'gflop' of one round, 'memory_bytes', 'ceiling' (the name of its limit), 'note', ..."""

    @property
    def ratio(self) -> float:
        """Times as fast as the reference: the median over rounds of reference / ours."""
        return statistics.median(self.ratios)

    @property
    def ratios(self) -> list[float]:
        return [reference / ours for ours, reference in zip(self.ours_s, self.reference_s, strict=True)]

    @property
    def interval(self) -> tuple[float, float]:
        """95% bootstrap interval of the median ratio, over rounds."""
        return bootstrap(self.ratios)

    @property
    def median_s(self) -> float:
        return statistics.median(self.ours_s)

    @property
    def rate_gflops(self) -> float | None:
        """Achieved GFLOP/s, if operations are counted."""
        return self.facts["gflop"] / self.median_s if "gflop" in self.facts else None

    def as_json(self) -> dict[str, Any]:
        """All fields and the figures derived from them."""
        low, high = self.interval
        derived = {"ratio": self.ratio, "low": low, "high": high, "median_s": self.median_s}
        return asdict(self) | derived | ({"gflops": self.rate_gflops} if "gflop" in self.facts else {})


def bootstrap(values: Sequence[float], *, seed: int = 0) -> tuple[float, float]:
    """2.5% and 97.5% points of the median of resampled `values`. Few values: nearly their whole range."""
    draw = random.Random(seed)
    medians = sorted(statistics.median(draw.choices(values, k=len(values))) for _ in range(RESAMPLES))
    return medians[int(0.025 * RESAMPLES)], medians[int(0.975 * RESAMPLES) - 1]


def alternate(
    ours: Callable[[], float], reference: Callable[[], float], *, rounds: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Seconds of each, `rounds` times, alternating which is first: what disturbs the machine disturbs both."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        for which in (0, 1) if number % 2 else (1, 0):
            times[which].append((ours, reference)[which]())
    return tuple(times[0]), tuple(times[1])


def regressions(pairs: Sequence[Paired], committed: Mapping[str, float]) -> list[str]:
    """A sentence for each ratio below three quarters of the committed one. Names that only one side has are ignored."""
    return [
        f"{pair.suite}: {pair.name} is {pair.ratio:.2f} times as fast as {pair.reference}; it was {committed[pair.name]:.2f} times"
        for pair in pairs
        if pair.name in committed and pair.ratio < REGRESSION * committed[pair.name]
    ]
