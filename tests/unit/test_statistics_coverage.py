"""The 95% intervals cover 95% +- 2 of simulated truths, at the group counts of the micro and the real test sets.

Videos of a group share how hard they are: a group's chance of being right is drawn from a beta distribution whose
correlation within a group is given. Seeds are fixed, so a failure is a change of the code, not of luck.
"""

from __future__ import annotations

import numpy as np
import pytest

from harness.metrics import statistics

MICRO = {"micro-ucf101": (56, 5), "micro-hmdb51": (70, 4)}
"""(groups, videos a group) of one split's test set."""
TRIALS, RESAMPLES = 1200, 400
BAND = (0.93, 0.97)


def _draw(rng: np.random.Generator, *, groups: int, size: int, truth: float, alike: float) -> np.ndarray:
    """(groups, size) bool."""
    rest = 1 / alike - 1
    shares = rng.beta(truth * rest, (1 - truth) * rest, size=(groups, 1))
    return rng.random((groups, size)) < shares


def _coverage(*, groups: int, size: int, truth: float, alike: float) -> tuple[float, float]:
    """(share of group intervals that cover the truth, the same for Wilson's interval of independent videos)."""
    rng = np.random.default_rng([groups, size, int(100 * truth), int(100 * alike)])
    clusters = [k // size for k in range(groups * size)]
    hits = plain = 0
    for _ in range(TRIALS):
        right = _draw(rng, groups=groups, size=size, truth=truth, alike=alike).ravel()
        told = statistics.split_mean([(right, clusters)], resamples=RESAMPLES)
        low, high = statistics.wilson(right.mean(), right.size, quantile=1.96)
        hits += told.low <= truth <= told.high
        plain += low <= truth <= high
    return hits / TRIALS, plain / TRIALS


@pytest.mark.parametrize("name", MICRO)
@pytest.mark.parametrize("truth", [0.3, 0.6, 0.85])
@pytest.mark.parametrize("alike", [0.05, 0.3])
def test_group_intervals_cover_at_the_micro_sets_sizes(name: str, truth: float, alike: float) -> None:
    groups, size = MICRO[name]
    covered, plain = _coverage(groups=groups, size=size, truth=truth, alike=alike)
    assert BAND[0] <= covered <= BAND[1]
    if alike > 0.1:
        assert plain < 0.88, "videos of a group are alike: an interval that forgets it must fail here"


@pytest.mark.parametrize("groups, size", [(16, 15), (30, 8), (200, 5)])
def test_group_intervals_cover_with_few_and_with_many_groups(groups: int, size: int) -> None:
    covered, _ = _coverage(groups=groups, size=size, truth=0.6, alike=0.2)
    assert BAND[0] <= covered <= BAND[1]


def test_wilson_covers_independent_videos() -> None:
    rng = np.random.default_rng(7)
    for truth, n in ((0.08, 240), (0.6, 240), (0.95, 3783)):
        intervals = [statistics.wilson(int(k) / n, n, 1.96) for k in rng.binomial(n, truth, size=4000)]
        assert BAND[0] <= np.mean([low <= truth <= high for low, high in intervals]) <= BAND[1]


@pytest.mark.parametrize("difference", [0.0, 0.1])
def test_paired_intervals_cover_and_hold_their_level(difference: float) -> None:
    rng = np.random.default_rng(3)
    clusters = [k // 5 for k in range(280)]
    hits = found = 0
    for _ in range(TRIALS):
        better = np.repeat(rng.beta(2.2, 1.8, size=56), 5)
        worse = np.clip(better - difference / better.mean() * better, 0, 1)
        truth = float((better - worse).mean())
        a, b = rng.random(280) < better, rng.random(280) < worse
        told = statistics.paired(a, b, clusters, resamples=RESAMPLES)
        hits += told.low <= truth <= told.high
        found += told.p_value_groups < 0.05
    assert BAND[0] <= hits / TRIALS <= BAND[1]
    assert found / TRIALS < 0.07 if difference == 0 else found / TRIALS > 0.5


def test_the_mean_over_overlapping_splits_covers() -> None:
    """HMDB-51's way: three test sets of 50 of 90 groups each."""
    rng = np.random.default_rng(11)
    truth, hits = 0.7, 0
    for _ in range(TRIALS):
        right = _draw(rng, groups=90, size=4, truth=truth, alike=0.2)
        parts = [rng.choice(90, size=50, replace=False) for _ in range(3)]
        told = statistics.split_mean([(right[p].ravel(), np.repeat(p, 4).tolist()) for p in parts], resamples=RESAMPLES)
        hits += told.low <= truth <= told.high
    assert BAND[0] <= hits / TRIALS <= BAND[1]
