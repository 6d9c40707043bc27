"""Intervals and tests on right and wrong answers: proportions in [0, 1], arrays of bool with one entry per video.

scipy is imported when a function needs it. Every bootstrap draws from a fixed seed, so a table does not change when it
is rendered again.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import HarnessError

Array = NDArray[Any]
LEVEL = 0.95
RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """An estimate with its two-sided interval."""

    value: float
    low: float
    high: float
    method: str
    """'videos': they are drawn independently (Wilson). 'groups': groups of videos are drawn (bootstrap)."""


@dataclass(frozen=True)
class Spread:
    """A mean over seeds or splits with its sample deviation."""

    mean: float
    deviation: float
    """ddof 1; NaN for a single value."""
    count: int


def wilson(share: float, n: float, quantile: float) -> tuple[float, float]:
    """(low, high) of Wilson's score interval for a share of n; n need not be whole."""
    shrink = 1 + quantile * quantile / n
    centre = (share + quantile * quantile / (2 * n)) / shrink
    half = quantile / shrink * math.sqrt(share * (1 - share) / n + quantile * quantile / (4 * n * n))
    return (0.0 if share == 0 else centre - half, 1.0 if share == 1 else centre + half)


def spread(values: Sequence[float]) -> Spread:
    """Mean and sample deviation (ddof 1) over seeds or splits. Raises on an empty list or a NaN."""
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0 or not np.isfinite(array).all():
        raise HarnessError(
            f"a mean over seeds or splits needs finite values, got {list(values)}; check these jobs, and the metric if it is a plug-in"
        )
    deviation = float(array.std(ddof=1)) if array.size > 1 else math.nan
    return Spread(float(array.mean()), deviation, int(array.size))


def clusters_of(ids: Sequence[str], groups: Sequence[str]) -> tuple[str, ...]:
    """The unit that is drawn: a video's group, or the video itself where its group is not known."""
    return tuple(group or f"video {video}" for video, group in zip(ids, groups, strict=True))


def split_mean(
    splits: Sequence[tuple[Array, Sequence[Hashable]]], *, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Interval of the mean over splits of the share of right answers; one (correct, clusters) pair per split.

    An answer is right (True), wrong (False), or the share of seeds that had it right.

    A group that is tested in several splits (HMDB-51's test sets overlap) is drawn once for all of them. The variance
    comes from a bootstrap over groups. It becomes an interval through Wilson's formula at the number of independent
    videos that would have the same variance, never more than there are, with Student's t of G - 1 degrees of freedom
    for G groups: below 80 groups, and near 100%, percentiles of the same bootstrap are too narrow. When all answers
    are right, or all wrong, nothing shows how alike a group's answers are, and a group counts as one video.
    Where every video is its own group and there is one split this is Wilson's interval itself.
    """
    right, total, answers = _tally(splits)
    groups = len(right)
    share = float((right.sum(axis=0) / total.sum(axis=0)).mean())
    if len(splits) == 1 and groups == total.sum():
        return Interval(share, *wilson(share, answers, NormalDist().inv_cdf(0.5 + LEVEL / 2)), method="videos")
    if groups < 2:
        return Interval(share, 0.0, 1.0, method="groups")
    if share in (0.0, 1.0):
        effective = float(groups)
    else:
        weights = _resamples(groups, resamples, seed)
        drawn = weights @ total
        shares = ((weights @ right)[(drawn > 0).all(axis=1)] / drawn[(drawn > 0).all(axis=1)]).mean(axis=1)
        variance = float(shares.var(ddof=1)) * groups / (groups - 1)
        effective = min(answers, share * (1 - share) / variance) if variance > 0 else float(answers)
    return Interval(share, *wilson(share, effective, student(LEVEL, groups - 1)), method="groups")


def _tally(splits: Sequence[tuple[Array, Sequence[Hashable]]]) -> tuple[Array, Array, int]:
    """(groups, splits) right answers, (groups, splits) videos, and the number of answers in all."""
    index: dict[Hashable, int] = {}
    rows = [np.array([index.setdefault(name, len(index)) for name in clusters]) for _, clusters in splits]
    right, total = np.zeros((len(index), len(splits))), np.zeros((len(index), len(splits)))
    for k, (correct, clusters) in enumerate(splits):
        if len(correct) != len(clusters) or len(correct) == 0:
            raise HarnessError(
                f"{len(correct)} predictions for {len(clusters)} videos: there must be one for each, and at least one"
            )
        right[:, k] = np.bincount(rows[k], weights=np.asarray(correct, dtype=np.float64), minlength=len(index))
        total[:, k] = np.bincount(rows[k], minlength=len(index))
    return right, total, int(total.sum())


@lru_cache(maxsize=32)
def _resamples(groups: int, resamples: int, seed: int) -> Array:
    """(resamples, groups) how often each group is drawn. Kept: a table asks for the same few sizes again and again."""
    rng = np.random.default_rng([seed, groups])
    return rng.multinomial(groups, np.full(groups, 1 / groups), size=resamples).astype(np.float64)


@lru_cache(maxsize=256)
def student(level: float, degrees: int) -> float:
    """Two-sided quantile of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.5 + level / 2))


@dataclass(frozen=True)
class PairedTest:
    """The comparison of A and B on the same videos."""

    difference: float
    """Share right of A minus that of B, in [-1, 1]."""
    low: float
    high: float
    only_a: int
    """Videos that A alone has right."""
    only_b: int
    """Videos that B alone has right."""
    p_value: float
    """McNemar's exact test; assumes independent videos."""
    p_value_groups: float
    """Student's t of the difference with its bootstrap deviation over groups."""
    n: int
    groups: int


def mcnemar(correct_a: Array, correct_b: Array) -> float:
    """p of McNemar's exact two-sided test: of the videos that one of A and B alone has right, half should be each's.

    1.0 where they never differ. Assumes independent videos: where groups matter, use `paired`.
    """
    from scipy.stats import binomtest

    only_a, only_b = _discordant(correct_a, correct_b)
    return 1.0 if only_a + only_b == 0 else float(binomtest(only_a, only_a + only_b, 0.5).pvalue)


def _discordant(correct_a: Array, correct_b: Array) -> tuple[int, int]:
    a, b = np.asarray(correct_a, dtype=bool), np.asarray(correct_b, dtype=bool)
    if a.shape != b.shape or a.ndim != 1 or a.size == 0:
        raise HarnessError(f"a paired test needs predictions of both jobs for every video, got {a.shape} and {b.shape}")
    return int((a & ~b).sum()), int((b & ~a).sum())


def paired(
    correct_a: Array, correct_b: Array, clusters: Sequence[Hashable], *, resamples: int = RESAMPLES, seed: int = 0
) -> PairedTest:
    """Difference of A and B on the same videos, in the same order, drawn by group, with both tests.

    The deviation is that of a bootstrap over groups, but not below that of independent videos with half a video added
    to each kind of disagreement (so that two runs that agree everywhere still have an interval), times Student's t.
    """
    from scipy.special import stdtr

    only_a, only_b = _discordant(correct_a, correct_b)
    change = np.asarray(correct_a, dtype=np.float64) - np.asarray(correct_b, dtype=np.float64)
    gain, total, n = _tally([(change, clusters)])
    groups, difference = len(gain), (only_a - only_b) / n
    if groups < 2:
        return PairedTest(difference, -1.0, 1.0, only_a, only_b, mcnemar(correct_a, correct_b), 1.0, n, groups)
    weights = _resamples(groups, resamples, seed)
    variance = float(((weights @ gain) / (weights @ total)).var(ddof=1)) * groups / (groups - 1)
    independent = (only_a + only_b + 1 - (only_a - only_b) ** 2 / n) / n**2
    deviation = math.sqrt(max(variance, independent))
    half = student(LEVEL, groups - 1) * deviation
    p_groups = min(1.0, 2 * float(stdtr(groups - 1, -abs(difference) / deviation)))
    p_videos = mcnemar(correct_a, correct_b)
    low, high = max(-1.0, difference - half), min(1.0, difference + half)
    return PairedTest(difference, low, high, only_a, only_b, p_videos, p_groups, n, groups)


def holm(p_values: Sequence[float]) -> list[float]:
    """p adjusted by Holm's step-down: below alpha with at most alpha of any false finding in the whole list."""
    p = np.asarray(p_values, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise HarnessError(f"p values must be in [0, 1], got {list(p_values)}")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p)))))
    return [float(value) for value in adjusted]


def smallest_difference(n: int, *, disagree: float, alpha: float = 0.05, power: float = 0.8) -> float:
    """The smallest true difference in accuracy that a paired test on n independent videos finds with the given power.

    `disagree` is the share of videos that exactly one of the two has right. Normal approximation of McNemar's test
    (Connor 1987). NaN where even one-sided disagreement would not be found.
    """
    if n <= 0 or not 0 < disagree <= 1:
        raise HarnessError(f"needs n > 0 and a share of disagreement in (0, 1], got n={n}, disagree={disagree}")
    normal = NormalDist()
    z_alpha, z_beta = normal.inv_cdf(1 - alpha / 2), normal.inv_cdf(power)

    def shortfall(difference: float) -> float:
        spare = max(0.0, disagree - difference * difference)
        return z_alpha * math.sqrt(disagree) + z_beta * math.sqrt(spare) - difference * math.sqrt(n)

    if shortfall(disagree) > 0:
        return math.nan
    low, high = 0.0, disagree
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if shortfall(middle) > 0 else (low, middle)
    return high
