"""Scores -> numbers: every registered metric with its interval, over any number of splits and seeds. numpy only."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import HarnessError
from harness.core.plugins import Metric
from harness.metrics import statistics
from harness.metrics.pooling import Contrast, pool
from harness.metrics.registered import MetricValue, metrics
from harness.metrics.scores import Floats, Scores, aligned


def summary(scores: Scores) -> dict[str, dict[str, Any]]:
    """Metric name -> {'value', 'low', 'high', 'drawn_by'}, as records keep it; what a metric does not have is left out."""
    return {name: plain(number) for name, number in metric_values(scores).items()}


def metric_values(scores: Scores) -> dict[str, MetricValue]:
    """Metric name -> its value with an interval; a metric that needs what these scores do not have is left out."""
    return {metric.name: estimate(metric, [[scores]]) for metric in metrics() if _applies(metric, scores)}


def repeats_another(metric: Metric, scores: Scores) -> bool:
    """Whether the metric equals another one by arithmetic: a mean over classes, if each has as many scored videos."""
    same = [other for other in metrics() if other.shares is metric.shares and other.mean_over == "ids"]
    sizes = np.bincount(scores.labels)
    return metric.mean_over == "labels" and bool(same) and len(set(sizes[sizes > 0].tolist())) <= 1


def plain(number: MetricValue) -> dict[str, Any]:
    """The estimate as JSON holds it."""
    return {key: value for key, value in dataclasses.asdict(number).items() if value not in (None, "")}


def shares(metric: Metric, scores: Scores) -> NDArray[np.float64]:
    """(n,) float64 in [0, 1] of a metric that has them. Raises HarnessError for any other number."""
    if metric.shares is None:
        raise HarnessError(f"metric '{metric.name}' is not a mean over videos, so it has no value per video")
    values = np.asarray(metric.shares(scores), dtype=np.float64)
    outside = values[~((values >= 0) & (values <= 1))]
    if values.shape != (scores.n,) or outside.size:
        returned = f"the value {outside[0]}" if outside.size else f"an array {values.shape}"
        raise HarnessError(
            f"metric '{metric.name}' must give one share in [0, 1] for each of {scores.n} videos, got {returned}"
        )
    return np.where(scores.decodable, values, 0.0)


def estimate(metric: Metric, splits: Sequence[Sequence[Scores]]) -> MetricValue:
    """The metric over splits, and over the seeds of each. Raises HarnessError where it is not a finite number."""
    values = np.array([[_value(metric, scores) for scores in seeds] for seeds in splits])
    number = MetricValue(float(values.mean())) if metric.shares is None else _with_interval(metric, splits)
    return dataclasses.replace(
        number, seed_deviation=_deviation(values.mean(axis=0)), split_deviation=_deviation(values.mean(axis=1))
    )


def _applies(metric: Metric, scores: Scores) -> bool:
    return all(any(getattr(scores, field)) for field in metric.needs if field not in ("logits", "labels"))


def _value(metric: Metric, scores: Scores) -> float:
    if metric.value is None:
        return _in_unit(metric, _mean(_Part.of(metric, [scores])))
    value = float(metric.value(scores))
    if not math.isfinite(value):
        raise HarnessError(f"metric '{metric.name}' is {value} on {scores.n} videos; a metric must be a finite number")
    return value


def _in_unit(metric: Metric, share: float) -> float:
    return metric.worst + (metric.best - metric.worst) * share


def _deviation(values: Floats) -> float | None:
    return statistics.spread(list(values)).deviation if len(values) > 1 else None


@dataclass(frozen=True)
class _Part:
    """One split."""

    ids: tuple[str, ...]
    shares: Floats
    """Means over seeds."""
    clusters: tuple[str, ...]
    strata: NDArray[np.int64]
    """Numbers of the classes, or of whatever else weighs the same; all 0 for a mean over videos."""

    @classmethod
    def of(cls, metric: Metric, seeds: Sequence[Scores]) -> _Part:
        first = seeds[0]
        mean = np.mean([shares(metric, aligned(scores, first.ids)) for scores in seeds], axis=0)
        strata = np.zeros(first.n, np.int64)
        if metric.mean_over != "ids":
            strata = np.unique(np.asarray(getattr(first, metric.mean_over)), return_inverse=True)[1].astype(np.int64)
        return cls(first.ids, mean, statistics.clusters_of(first.ids, first.groups), strata)


def _mean(part: _Part) -> float:
    return float((np.bincount(part.strata, part.shares) / np.bincount(part.strata)).mean())


def _with_interval(metric: Metric, splits: Sequence[Sequence[Scores]]) -> MetricValue:
    parts = [_Part.of(metric, seeds) for seeds in splits]
    if metric.mean_over == "ids":
        interval = statistics.split_mean([(part.shares, part.clusters) for part in parts])
    else:
        interval = _mean_over_strata(parts)
    ends = sorted(_in_unit(metric, end) for end in (interval.low, interval.high))
    return MetricValue(_in_unit(metric, interval.value), ends[0], ends[1], interval.method)


def _mean_over_strata(parts: Sequence[_Part]) -> statistics.Interval:
    """Every stratum of a split weighs the same. A stratum with one group shows no deviation, which flatters the interval."""
    value = float(np.mean([_mean(part) for part in parts]))
    clusters = {cluster for part in parts for cluster in part.clusters}
    method = "groups" if len(clusters) < sum(len(part.ids) for part in parts) else "videos"
    if len(clusters) < 2:
        return statistics.Interval(value, 0.0, 1.0, method)
    pooled = pool([contrast for part in parts for contrast in _contrasts(part, 1 / len(parts))])
    return statistics.Interval(value, max(0.0, pooled.low), min(1.0, pooled.high), method)


def _contrasts(part: _Part, weight: float) -> list[Contrast]:
    rows_of = [np.flatnonzero(part.strata == stratum) for stratum in range(part.strata.max() + 1)]
    return [
        Contrast(
            gains=part.shares[rows],
            videos=[part.ids[row] for row in rows],
            clusters=[part.clusters[row] for row in rows],
            weight=weight / len(rows_of),
        )
        for rows in rows_of
    ]
