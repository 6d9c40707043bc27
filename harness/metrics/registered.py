"""The registered metrics by name, and their numbers as text. Imports no numpy until a metric is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.core import registry
from harness.core.errors import UnknownName
from harness.core.plugins import Metric

PRIMARY = "top1"
"""Metric that the paper compares by: of tests, claims, learning rates and pages that show one number."""


@dataclass(frozen=True)
class MetricValue:
    """A metric, in its unit, as a mean over splits and seeds."""

    value: float
    low: float | None = None
    """95% interval; None for a metric without `shares`."""
    high: float | None = None
    drawn_by: str = ""
    """'groups' of videos, or 'videos' where each is its own group."""
    seed_deviation: float | None = None
    """Sample deviation (ddof 1) over seeds; None for one seed."""
    split_deviation: float | None = None

    def __post_init__(self) -> None:
        if (self.low is None) != (self.high is None):
            raise ValueError(f"an interval from {self.low} to {self.high} has one end only")


def metrics() -> tuple[Metric, ...]:
    """Every registered metric, in the order of their columns."""
    return tuple(sorted(registry.all("metric").values(), key=lambda metric: (metric.order, metric.name)))


def named(name: str) -> Metric:
    """The card of a metric, also of one whose plug-in is not installed: records still have its numbers."""
    try:
        metric: Metric = registry.load("metric", name)
    except UnknownName:
        metric = Metric(name=name, title=name, short=name, unit="")
    return metric


def text(name: str, number: Mapping[str, Any], *, interval: bool = False) -> str:
    """'61.1%', or '61.1% [55.1, 66.9]', of a metric in a record."""
    metric = named(name)
    written = f"{number['value']:.{metric.decimals}f}{metric.unit}"
    if interval and "low" in number:
        written += f" [{number['low']:.{metric.decimals}f}, {number['high']:.{metric.decimals}f}]"
    return written
