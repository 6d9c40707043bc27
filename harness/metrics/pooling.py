"""Differences pooled over several pairs of numbers: one effect with its interval, however many data sets it was seen on."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from harness.core.errors import HarnessError
from harness.metrics.statistics import LEVEL

Array = NDArray[Any]


@dataclass(frozen=True)
class Contrast:
    """Gains of A over B on the same videos, with the weight that their mean has in the effect."""

    gains: Array
    """(n,) answers of A minus answers of B, each right (1), wrong (0), or the share of seeds that had it right."""
    videos: Sequence[Hashable]
    """(n,) names; a video that occurs in several contrasts has the same name in all of them."""
    clusters: Sequence[Hashable]
    """(n,) names of the groups that are drawn; the same in all contrasts of one data set, different between data sets."""
    strata: Hashable = ""
    """The data set: clusters are drawn within it."""
    weight: float = 1.0


@dataclass(frozen=True)
class Pooled:
    """A weighted sum of mean gains, shares in [-1, 1] for weights that add up to 1."""

    effect: float
    low: float
    high: float
    p_value: float
    """Two-sided, of no effect; assumes independent groups."""
    groups: int
    videos: int
    """Different ones."""


def pool(
    contrasts: Sequence[Contrast], *, level: float = LEVEL, extra_variance: float = 0.0, degrees: int = 0
) -> Pooled:
    """The weighted sum of the contrasts' mean gains with Student's t interval, groups of videos drawn independently.

    The variance is the linearised one over groups, the limit of a bootstrap over groups: the contribution of each group to
    the effect, squared and summed, times G / (G - S) for G groups in S data sets. It is never below that of independent
    videos with half a video added to each kind of disagreement, so that two runs that agree everywhere still have an
    interval. For one contrast it agrees with `statistics.paired`, without resampling. `extra_variance` is added, such as
    that over seeds; `degrees` are its degrees of freedom, which count where they are fewer.
    Raises HarnessError for no contrast, or fewer than two groups.
    """
    from scipy.special import stdtr, stdtrit

    if not contrasts:
        raise HarnessError("nothing to pool: no pair of numbers")
    effect = sum(contrast.weight * float(contrast.gains.mean()) for contrast in contrasts)
    by_cluster = _moves(contrasts, [contrast.clusters for contrast in contrasts])
    by_video = _moves(contrasts, [contrast.videos for contrast in contrasts])
    strata = len({contrast.strata for contrast in contrasts})
    freedom = len(by_cluster) - strata
    if freedom < 1:
        raise HarnessError(
            f"a confidence interval needs more groups of videos than data sets, got {len(by_cluster)} groups in {strata} data set(s)"
        )
    half_videos = sum((contrast.weight / len(contrast.gains)) ** 2 for contrast in contrasts)
    drawn = sum(move * move for move in by_cluster.values()) * (1 + strata / freedom)
    independent = sum(move * move for move in by_video.values()) + half_videos
    deviation = math.sqrt(max(drawn, independent) + extra_variance)
    freedom = min(freedom, degrees) if degrees else freedom
    half = float(stdtrit(freedom, 0.5 + level / 2)) * deviation
    p_value = min(1.0, 2 * float(stdtr(freedom, -abs(effect) / deviation)))
    return Pooled(effect, effect - half, effect + half, p_value, len(by_cluster), len(by_video))


def _moves(contrasts: Sequence[Contrast], names: Sequence[Sequence[Hashable]]) -> dict[Hashable, float]:
    """Unit -> its contribution to the effect: its part of every contrast's weighted, centred mean."""
    moves: dict[Hashable, float] = {}
    for contrast, units in zip(contrasts, names, strict=True):
        if not len(contrast.gains) == len(units) or len(units) == 0:
            raise HarnessError(
                f"a comparison has {len(contrast.gains)} differences for {len(units)} videos; this is a defect of the program"
            )
        centred = contrast.weight / len(units) * (contrast.gains - contrast.gains.mean())
        for unit, move in zip(units, centred.tolist(), strict=True):
            moves[unit] = moves.get(unit, 0.0) + move
    return moves
