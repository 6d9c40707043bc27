"""Scores and their arithmetic: ties, undecodable and missing videos, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn.metrics import confusion_matrix, top_k_accuracy_score

from harness.core.errors import HarnessError
from harness.metrics import scores as metrics, statistics
from harness.metrics.scores import Scores, aligned, topk_correct
from harness.metrics.summary import summary


def scores_of(logits: np.ndarray, labels: list[int], **changes: object) -> Scores:
    n = len(labels)
    ids = tuple(f"v{k}" for k in range(n))
    made = Scores(ids, np.asarray(logits, np.float32), np.asarray(labels, np.int64), ("",) * n)
    return replace(made, **changes)  # type: ignore[arg-type]


def random_scores(seed: int, *, n: int = 60, classes: int = 9) -> Scores:
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(size=(n, classes)), rng.integers(classes, size=n)
    logits[np.arange(n), labels] += 1
    return scores_of(logits, list(labels))


def test_topk_agrees_with_sklearn_where_nothing_ties() -> None:
    scores = random_scores(0)
    for k in (1, 2, 5):
        expected = top_k_accuracy_score(scores.labels, scores.logits, k=k, labels=range(9))
        assert topk_correct(scores, k).mean() == pytest.approx(expected)
    assert topk_correct(scores, 1).mean() < topk_correct(scores, 5).mean()


@pytest.mark.parametrize("label", [0, 2, 4])
def test_a_network_that_says_the_same_for_all_classes_is_wrong_everywhere(label: int) -> None:
    scores = scores_of(np.zeros((1, 5)), [label])
    assert [bool(topk_correct(scores, k)[0]) for k in (1, 4, 5)] == [False, False, True]
    assert metrics.predictions(scores)[0] != label


def test_a_tie_with_one_other_class_costs_one_rank() -> None:
    scores = scores_of([[1.0, 3.0, 3.0, 0.0]], [1])
    assert not topk_correct(scores, 1)[0]
    assert topk_correct(scores, 2)[0]
    assert metrics.predictions(scores)[0] == 2


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_predictions_agree_with_top1_ties_included(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = list(rng.integers(4, size=20))
    scores = scores_of(rng.integers(0, 3, size=(20, 4)), labels, undecodable=("v3", "v7"))
    assert ((metrics.predictions(scores) == scores.labels) == topk_correct(scores)).all()
    assert metrics.confusion(scores)[:, :-1].trace() == topk_correct(scores).sum()


def test_undecodable_videos_are_wrong_at_every_k_and_stay_in_n() -> None:
    scores = scores_of(np.eye(3), [0, 1, 2], undecodable=("v1",))
    assert topk_correct(scores, 1).tolist() == [True, False, True]
    assert topk_correct(scores, 3).tolist() == [True, False, True]
    counted = metrics.counts(scores)
    assert (counted["n"], counted["correct"], counted["undecodable"]) == (3, 2, 1)
    assert metrics.confusion(scores)[1].tolist() == [0, 0, 0, 1]


def test_missing_videos_shrink_n_and_bound_the_accuracy() -> None:
    scores = scores_of(np.eye(4), [0, 1, 2, 0], missing=("gone",))
    counted = metrics.counts(scores)
    assert (counted["n"], counted["n_of"], summary(scores)["top1"]["value"]) == (4, 5, 75.0)
    assert metrics.bounds_pct(counted) == (60.0, 80.0)


def test_the_interval_is_drawn_by_group_where_groups_are_known() -> None:
    logits = np.zeros((60, 2))
    logits[:40, 0] = 1
    logits[40:, 1] = 1
    alone = summary(scores_of(logits, [0] * 60))["top1"]
    grouped = summary(scores_of(logits, [0] * 60, groups=tuple(f"g{k // 5}" for k in range(60))))["top1"]
    assert (alone["low"], alone["high"]) == pytest.approx([100 * x for x in statistics.wilson(40 / 60, 60, 1.959964)])
    assert (alone["drawn_by"], grouped["drawn_by"]) == ("videos", "groups")
    assert grouped["low"] < alone["low"] - 5
    assert grouped["value"] == alone["value"]


def test_confusion_agrees_with_sklearn() -> None:
    scores = random_scores(1)
    expected = confusion_matrix(scores.labels, scores.logits.argmax(1), labels=range(9))
    assert (metrics.confusion(scores)[:, :-1] == expected).all()


def test_per_class_accuracy_leaves_out_classes_without_videos() -> None:
    scores = scores_of([[2, 1, 0], [2, 1, 0], [0, 0, 3]], [0, 1, 2])
    assert metrics.per_class_pct(scores).tolist() == [100.0, 0.0, 100.0]
    assert metrics.per_class_metrics(scores_of([[2, 1, 0]], [0]), ("a", "b", "c")) == {"a": 100.0}
    assert np.isnan(metrics.per_class_pct(scores_of([[2, 1, 0]], [0]))[1])


def test_mean_class_accuracy_is_not_plain_accuracy_on_unbalanced_classes() -> None:
    numbers = summary(scores_of([[1, 0]] * 4, [0, 0, 0, 1]))
    assert (numbers["top1"]["value"], numbers["mean_class"]["value"]) == (75.0, 50.0)


def test_aligned_gives_the_same_videos_in_another_order_and_refuses_others() -> None:
    scores = replace(random_scores(2, n=6), undecodable=("v1", "v4"), groups=tuple("abcdef"))
    turned = aligned(scores, scores.ids[::-1])
    assert turned.ids == scores.ids[::-1] and turned.groups == tuple("fedcba") and turned.undecodable == ("v1", "v4")
    assert (turned.logits == scores.logits[::-1]).all() and (turned.labels == scores.labels[::-1]).all()
    assert aligned(scores, ("v4", "v0"), part=True).undecodable == ("v4",)
    for ids in (("v4", "v0"), (*scores.ids, "other")):
        with pytest.raises(HarnessError, match="different videos"):
            aligned(scores, ids)


def test_softmax_sums_to_one_without_overflow() -> None:
    probabilities = metrics.softmax(np.array([[1e4, 0.0], [-1e4, -1e4]], np.float32))
    assert np.allclose(probabilities.sum(1), 1)
    assert np.allclose(probabilities[1], 0.5)


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"logits": np.array([[np.nan, 0], [0, 1]], np.float32)}, "v0"),
        ({"logits": np.array([[np.inf, 0], [0, 1]], np.float32)}, "NaN or infinite"),
        ({"logits": np.zeros((2, 2), np.float16)}, "float32"),
        ({"logits": np.zeros((2, 2))}, "float32"),
        ({"logits": np.zeros((3, 2), np.float32)}, "disagree"),
        ({"logits": np.zeros((2, 1), np.float32)}, "two classes"),
        ({"labels": np.array([0, 2])}, "label 2 of v1"),
        ({"labels": np.array([0, -1])}, "label -1"),
        ({"labels": np.array([0.0, 1.0])}, "int64"),
        ({"ids": ("v0", "v0")}, "more than once: v0"),
        ({"groups": ("",)}, "disagree"),
        ({"undecodable": ("x",)}, "undecodable"),
        ({"missing": ("v1",)}, "missing"),
        ({"missing": ("x", "x")}, "missing"),
    ],
)
def test_scores_that_cannot_be_trusted_are_refused(changes: dict[str, object], said: str) -> None:
    whole = scores_of(np.eye(2), [0, 1])
    with pytest.raises(HarnessError, match=said):
        replace(whole, **changes)  # type: ignore[arg-type]


def test_counts_are_held_against_the_card() -> None:
    metrics.check_count(2, 1, 3)
    metrics.check_count(2, 1, None)
    with pytest.raises(
        HarnessError, match=r"the lists name 3 videos \(2 on disk, 1 missing\).*card expects 2; .*data verify"
    ):
        metrics.check_count(2, 1, 2)


def test_class_names_and_k_are_checked() -> None:
    scores = scores_of(np.eye(2), [0, 1])
    with pytest.raises(HarnessError, match="3 class names"):
        metrics.per_class_metrics(scores, ("a", "b", "c"))
    with pytest.raises(HarnessError, match="k >= 1"):
        topk_correct(scores, 0)


def test_the_arithmetic_loads_no_large_library() -> None:
    code = "import sys, harness.metrics.scores, harness.metrics.statistics, harness.metrics.fusion, harness.analysis.paper_numbers, harness.records.tracking, reports.tables; "
    code += "print([m for m in ('torch','scipy','sklearn','mlflow','matplotlib','pandas','ray') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
