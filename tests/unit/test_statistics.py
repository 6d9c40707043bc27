"""Intervals and tests against scipy, statsmodels and the definition; coverage is in test_stats_coverage.py."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats as scipy_stats
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests

from harness.core.errors import HarnessError
from harness.metrics import statistics


def wilson(correct: int, n: int, level: float = 0.95) -> tuple[float, float]:
    return statistics.wilson(correct / n, n, NormalDist().inv_cdf(0.5 + level / 2))


@given(st.integers(1, 4000), st.floats(0, 1), st.sampled_from([0.8, 0.95, 0.99]))
@settings(max_examples=60, deadline=None)
def test_wilson_is_scipys(n: int, share: float, level: float) -> None:
    correct = round(share * n)
    expected = scipy_stats.binomtest(correct, n).proportion_ci(level, method="wilson")
    assert wilson(correct, n, level) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_spread_is_the_sample_deviation() -> None:
    told = statistics.spread([70.0, 72.0, 77.0])
    assert (told.mean, told.count) == (73.0, 3)
    assert told.deviation == pytest.approx(np.std([70, 72, 77], ddof=1))
    assert math.isnan(statistics.spread([1.0]).deviation)
    for bad in ([], [1.0, math.nan]):
        with pytest.raises(HarnessError):
            statistics.spread(bad)


# ---------------------------------------------------------------------------------------------- by group


def answers(seed: int, *, groups: int, size: int, alike: float) -> tuple[np.ndarray, list[str]]:
    """Right answers of `groups` groups of `size` videos; with `alike` 1 a group is right or wrong as one."""
    rng = np.random.default_rng(seed)
    shares = rng.beta(0.6 * (1 / alike - 1) + 1e-9, 0.4 * (1 / alike - 1) + 1e-9, size=groups)
    right = rng.random((groups, size)) < shares[:, None]
    return right.ravel(), [f"g{k}" for k in range(groups) for _ in range(size)]


def one_split(right: np.ndarray, clusters: Sequence[Hashable], **options: Any) -> statistics.Interval:
    return statistics.split_mean([(right, clusters)], **options)


def test_videos_without_groups_give_wilsons_interval() -> None:
    right, _ = answers(0, groups=50, size=4, alike=0.2)
    told = one_split(right, statistics.clusters_of([str(k) for k in range(200)], [""] * 200))
    assert (told.low, told.high) == pytest.approx(wilson(int(right.sum()), 200))
    assert told.method == "videos"


def test_groups_that_answer_as_one_count_once() -> None:
    whole = np.repeat(np.array([True] * 36 + [False] * 24), 5)
    told = one_split(whole, [k // 5 for k in range(300)])
    by_video = wilson(180, 300)
    by_group = wilson(36, 60)
    assert told.method == "groups"
    assert told.high - told.low > 1.9 * (by_video[1] - by_video[0])
    assert told.high - told.low == pytest.approx(by_group[1] - by_group[0], rel=0.08)


def test_groups_never_make_an_interval_narrower_than_independent_videos() -> None:
    alternating = np.tile([True, True, False, True, False], 60)
    told = one_split(alternating, [k // 5 for k in range(300)])
    low, high = wilson(180, 300)
    assert told.high - told.low >= high - low


def test_all_right_counts_a_group_as_one_video() -> None:
    told = one_split(np.ones(240, bool), [k // 5 for k in range(240)])
    assert told.high == 1.0
    assert told.low < wilson(48, 48)[0] + 1e-9
    one = one_split(np.ones(5, bool), ["g"] * 5)
    assert (one.low, one.high) == (0.0, 1.0)


@pytest.mark.parametrize("groups, near", [(90, 0.06), (8, 0.02)])
def test_the_interval_is_wilsons_at_the_cluster_robust_deviation(groups: int, near: float) -> None:
    """With few groups the factor G / (G - 1) on the bootstrap's variance shows: without it this is 3.5% narrower."""
    right, names = answers(3, groups=groups, size=30, alike=0.2)
    share = right.mean()
    residuals = np.add.reduceat(right - share, np.arange(0, len(right), 30))
    variance = (residuals**2).sum() / len(right) ** 2 * groups / (groups - 1)
    independent, t = share * (1 - share) / variance, scipy_stats.t.ppf(0.975, groups - 1)
    half = t / (1 + t**2 / independent) * math.sqrt(variance + (t / (2 * independent)) ** 2)
    told = one_split(right, names, resamples=40_000)
    assert (told.high - told.low) / 2 == pytest.approx(half, rel=near)


def test_the_same_answers_give_the_same_interval_again() -> None:
    right, groups = answers(4, groups=40, size=5, alike=0.2)
    first, again = one_split(right, groups), one_split(right, groups)
    assert first == again
    assert one_split(right, groups, seed=1).low != first.low


def test_mean_over_splits_weighs_splits_equally_and_draws_a_shared_group_once() -> None:
    right, groups = answers(5, groups=60, size=4, alike=0.3)
    disjoint = [(right, [f"{s}{g}" for g in groups]) for s in range(3)]
    shared = [(right, groups)] * 3
    told = statistics.split_mean(disjoint)
    assert told.value == pytest.approx(right.mean())
    alone = one_split(right, groups)
    assert statistics.split_mean(shared).high - statistics.split_mean(shared).low == pytest.approx(
        alone.high - alone.low, rel=0.05
    )
    assert told.high - told.low == pytest.approx((alone.high - alone.low) / math.sqrt(3), rel=0.15)
    unequal = [(np.ones(10, bool), list(range(10))), (np.zeros(30, bool), list(range(100, 130)))]
    assert statistics.split_mean(unequal).value == 0.5


def test_several_seeds_are_shares_of_right_answers() -> None:
    halves = np.full(100, 0.5)
    told = statistics.split_mean([(halves, list(range(100)))])
    assert told.value == 0.5
    assert (told.low, told.high) == pytest.approx(wilson(50, 100))


def test_answers_must_match_their_videos() -> None:
    with pytest.raises(HarnessError, match="2 predictions for 3 videos"):
        one_split(np.ones(2, bool), ["a", "b", "c"])


# ---------------------------------------------------------------------------------------------- paired


@pytest.mark.parametrize("only_a, only_b, both", [(0, 0, 5), (3, 9, 30), (12, 4, 0), (0, 7, 10), (25, 25, 9)])
def test_mcnemar_is_statsmodels(only_a: int, only_b: int, both: int) -> None:
    a = np.array([True] * only_a + [False] * only_b + [True] * both)
    b = np.array([False] * only_a + [True] * only_b + [True] * both)
    expected = statsmodels_mcnemar([[both, only_a], [only_b, 0]], exact=True).pvalue
    assert statistics.mcnemar(a, b) == pytest.approx(float(expected))


def test_paired_difference_has_its_sign_and_counts() -> None:
    a, b = np.array([1, 1, 1, 0, 0, 1] * 20, bool), np.array([1, 0, 0, 0, 1, 1] * 20, bool)
    told = statistics.paired(a, b, list(range(120)))
    assert (told.only_a, told.only_b, told.n, told.groups) == (40, 20, 120, 120)
    assert told.difference == pytest.approx(20 / 120)
    assert told.low < told.difference < told.high
    turned = statistics.paired(b, a, list(range(120)))
    assert turned.difference == -told.difference
    assert turned.p_value == told.p_value
    expected = scipy_stats.ttest_rel(a.astype(float), b.astype(float))
    assert told.p_value_groups == pytest.approx(expected.pvalue, rel=0.25)
    assert (told.low, told.high) == pytest.approx(tuple(expected.confidence_interval(0.95)), abs=0.01)


def test_pairing_is_sharper_than_comparing_two_intervals() -> None:
    rng = np.random.default_rng(0)
    a = rng.random(240) < 0.7
    b = a.copy()
    b[np.flatnonzero(a)[:14]] = False
    told = statistics.paired(a, b, list(range(240)))
    assert told.low > 0 and told.p_value < 0.001
    assert wilson(int(b.sum()), 240)[1] > wilson(int(a.sum()), 240)[0]


def test_groups_widen_a_paired_difference() -> None:
    change = np.repeat(np.array([1] * 12 + [0] * 30 + [-1] * 6), 5)
    a, b = change >= 0, change <= 0
    grouped = statistics.paired(a, b, [k // 5 for k in range(240)])
    alone = statistics.paired(a, b, list(range(240)))
    assert grouped.high - grouped.low > 1.8 * (alone.high - alone.low)
    assert grouped.p_value_groups > alone.p_value_groups


def test_two_equal_runs_differ_by_zero_with_an_interval() -> None:
    a = np.ones(240, bool)
    told = statistics.paired(a, a, [k // 5 for k in range(240)])
    assert told.difference == 0 and told.low < 0 < told.high and told.p_value == 1.0
    one = statistics.paired(a, a, ["g"] * 240)
    assert (one.low, one.high) == (-1.0, 1.0)


def test_paired_tests_need_the_same_videos() -> None:
    with pytest.raises(HarnessError, match="paired"):
        statistics.mcnemar(np.ones(3, bool), np.ones(4, bool))


# ---------------------------------------------------------------------------------------------- many, and how small


@pytest.mark.parametrize("p_values", [[0.2], [0.04, 0.001, 0.3, 0.04], [1.0, 0.0, 0.5], list(np.linspace(1, 0.01, 25))])
def test_corrections_are_statsmodels(p_values: list[float]) -> None:
    assert statistics.holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
@settings(max_examples=40, deadline=None)
def test_corrections_keep_the_order_and_never_lower_a_p(p_values: list[float]) -> None:
    any_error = statistics.holm(p_values)
    false_discoveries = scipy_stats.false_discovery_control(p_values)
    assert all(raw <= bh + 1e-12 and bh <= p + 1e-12 for raw, bh, p in zip(p_values, false_discoveries, any_error))
    assert max(any_error) <= 1


def test_corrections_refuse_what_is_no_p_value() -> None:
    with pytest.raises(HarnessError, match=r"\[0, 1\]"):
        statistics.holm([0.5, 1.5])


def test_smallest_difference_is_found_with_the_power_it_promises() -> None:
    n, disagree = 240, 0.2
    difference = statistics.smallest_difference(n, disagree=disagree)
    rng = np.random.default_rng(0)
    only_a, only_b = (disagree + difference) / 2, (disagree - difference) / 2
    draws = rng.multinomial(n, [only_a, only_b, 1 - disagree], size=3000)
    z = (draws[:, 0] - draws[:, 1]) / np.sqrt(np.maximum(1, draws[:, 0] + draws[:, 1]))
    assert (np.abs(z) > 1.96).mean() == pytest.approx(0.8, abs=0.03)
    assert statistics.smallest_difference(4 * n, disagree=disagree) < 0.55 * difference
    assert math.isnan(statistics.smallest_difference(20, disagree=0.05))
    with pytest.raises(HarnessError):
        statistics.smallest_difference(0, disagree=0.1)
