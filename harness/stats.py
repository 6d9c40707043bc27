"""Intervals and tests on right and wrong answers: proportions in [0, 1], arrays of bool with one entry a video.

scipy is imported when a function needs it. Every bootstrap draws from a fixed seed, so a table does not change when it
is rendered again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import HarnessError

Array = NDArray[Any]
LEVEL = 0.95
RESAMPLES = 2000
FEW_GROUPS = 80
"""Below this many groups the plain percentile bootstrap is too narrow and is corrected."""


@dataclass(frozen=True)
class Interval:
    """An estimate with its two-sided interval."""

    value: float
    low: float
    high: float
    method: str
    """'wilson', 'groups' or 'paired groups': what the interval says is random."""


@dataclass(frozen=True)
class Spread:
    """A mean over seeds or splits with its sample deviation."""

    mean: float
    deviation: float
    """ddof 1; NaN for a single value."""
    count: int


def wilson(correct: int, n: int, *, level: float = LEVEL) -> tuple[float, float]:
    """(low, high) of the Wilson score interval for `correct` of `n`, as proportions. Raises on an impossible count."""
    if n <= 0 or not 0 <= correct <= n:
        raise HarnessError(f"{correct} right of {n} is not a proportion")
    z = NormalDist().inv_cdf(0.5 + level / 2)
    share, shrink = correct / n, 1 + z * z / n
    centre = (share + z * z / (2 * n)) / shrink
    half = z / shrink * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (0.0 if correct == 0 else centre - half, 1.0 if correct == n else centre + half)


def excludes_chance(correct: int, n: int, classes: int, *, level: float = LEVEL) -> bool:
    """True when the Wilson interval lies above 1 / classes."""
    return wilson(correct, n, level=level)[0] > 1.0 / classes


def spread(values: Sequence[float]) -> Spread:
    """Mean and sample deviation (ddof 1) over seeds or splits. Raises on an empty list or a NaN."""
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0 or not np.isfinite(array).all():
        raise HarnessError(f"a mean needs finite values, got {list(values)}")
    deviation = float(array.std(ddof=1)) if array.size > 1 else math.nan
    return Spread(float(array.mean()), deviation, int(array.size))
