"""Expected numbers: read strictly, compared honestly, proposed and never written over."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from harness.analysis.regression import compare, expected
from harness.core.errors import HarnessError
from harness.metrics.scores import Scores

FILE = Path("some.toml")
CELL = "[[retrained]]\nbaseline = 'c3d'\ndataset = 'micro-hmdb51'\nprotocol = 'original'\n"
COUNTS = (100, 110, 120, 130, 140)
NUMBERS = "correct1 = [100, 110, 120, 130, 140]\nn = 280\nmean_pct = 42.86\ndeviation_pct = 5.65\njobs = ['a']\n"
WEIGHTS = "[[rescored]]\njob = 'abc'\nweights_sha256 = 'f00'\nn = 4\ncorrect1 = 3\ncorrect5 = 4\n"


def entry(text: str = CELL + NUMBERS) -> expected.Retrained:
    return expected.parse(FILE, text).retrained[0]


def test_a_file_says_what_it_says():
    read = expected.parse(FILE, CELL + NUMBERS + WEIGHTS)
    assert read.retrained[0].correct1 == COUNTS and read.retrained[0].seeds == (0, 1, 2, 3, 4)
    assert read.rescored[0] == expected.Rescored("abc", "f00", 4, 3, 4)
    assert read.checkpoints == Path("checkpoints")


@pytest.mark.parametrize(
    "text, said",
    [
        ("[[retrain]]\n", "did you mean 'retrained'"),
        (CELL + "sead = 3\n", "did you mean 'seeds'"),
        ("[[retrained]]\nbaseline = 'c3d'\n", "dataset and protocol"),
        (CELL + "seeds = [0, 1, 2, 3]\n", "at least 5"),
        (CELL + "seeds = [0, 1, 2, 3, 3]\n", "at least 5"),
        (CELL + "n = 280\n", "has n but not correct1, mean_pct"),
        (CELL + NUMBERS.replace("42.86", "45.00"), "give 42.86"),
        (CELL + NUMBERS.replace("5.65", "9.00"), "give 5.65"),
        (CELL + NUMBERS.replace("140]", "140, 150]"), "expected 5 numbers from 0 to 280"),
        (CELL + NUMBERS.replace("n = 280", "n = 120"), "expected 5 numbers from 0 to 120"),
        ("[[rescored]]\nn = 3\n", "has no job"),
        ("[[rescored]]\njob = 'a'\nn = 3\n", "has n but not weights_sha256"),
        (WEIGHTS + "sha = 'x'\n", "no key 'sha'"),
        ("[[retrained]\n", "not TOML"),
    ],
)
def test_a_file_is_read_strictly(text, said):
    with pytest.raises(HarnessError, match=r"some\.toml") as error:
        expected.parse(FILE, text)
    assert said in str(error.value)


def test_what_is_written_is_what_was_read():
    read = expected.parse(FILE, CELL + "set = { 'scale.width' = '0.04' }\n" + NUMBERS + WEIGHTS + CELL)
    assert expected.parse(FILE, expected.render(read)) == read
    assert not read.retrained[1].known and read.retrained[0].overrides == {"scale.width": "0.04"}


def test_the_selection_is_the_cell():
    selection = entry(CELL + "set = { 'scale.width' = '0.04' }\n").selection((7,))
    assert selection.baselines == ("c3d",) and selection.seeds == (7,) and selection.splits == (1,)
    assert selection.overrides == (("scale.width", "0.04"),) and selection.inits == () and selection.source is None


# ------------------------------------------------------------------------------------------------ trained again


def verdict(*counts: int, n: int = 280, text: str = CELL + NUMBERS) -> compare.CheckOutcome:
    found = {seed: (count, n) for seed, count in enumerate(counts)}
    return compare.check_retrained("some", entry(text), found, "harness run …")


def test_a_retrained_number_must_lie_where_its_seeds_say():
    assert verdict(120).ok and verdict(60).ok and verdict(100, 110, 120).ok
    assert verdict(35).state == "fail" and "below" in verdict(35).why
    assert verdict(205).state == "fail" and "above" in verdict(205).why
    assert verdict(60, 60, 60, 60, 60).state == "fail", "several seeds are held to less than one"


def test_a_number_that_is_not_there_is_missing_and_one_of_other_videos_fails():
    assert verdict().state == "missing" and "harness run …" in verdict().why
    assert verdict(120, n=279).state == "fail" and "expected 280" in verdict(120, n=279).why
    assert verdict(120, text=CELL).state == "fail" and "--update" in verdict(120, text=CELL).why


def test_the_interval_is_the_textbooks():
    from scipy.stats import t

    low, high = compare.interval(entry(), 2)
    shares = 100 * np.array(COUNTS) / 280
    half = t.ppf(0.995, 4) * shares.std(ddof=1) * math.sqrt(1 / 2 + 1 / 5)
    assert (low, high) == pytest.approx((shares.mean() - half, shares.mean() + half))


def test_one_honest_rerun_in_a_hundred_fails():
    rng = np.random.default_rng(0)
    misses = 0
    for _ in range(2000):
        drawn = rng.normal(0.6, 0.03, size=6).clip(0, 1)
        counts = (1000 * drawn).round().astype(int)
        known = dataclasses.replace(entry(), correct1=tuple(counts[:5].tolist()), n=1000)
        misses += not compare.check_retrained("some", known, {0: (int(counts[5]), 1000)}, "").ok
    assert 0.004 <= misses / 2000 <= 0.018


def test_equal_seeds_still_leave_room_for_a_video():
    flat = dataclasses.replace(entry(), correct1=(120,) * 5)
    assert compare.check_retrained("some", flat, {9: (121, 280)}, "").ok
    assert not compare.check_retrained("some", flat, {9: (135, 280)}, "").ok


# ------------------------------------------------------------------------------------------------ scored again


def scores(*, swap: bool = False, shift: float = 0.0, ids: tuple[str, ...] = ("a", "b", "c", "d")) -> Scores:
    logits = np.array([[2, 1, 0], [0, 2, 1], [0, 1, 2], [2, 1, 0]], np.float32)
    logits = logits[:, ::-1].copy() if swap else logits
    logits[0, 2] += shift
    return Scores(ids=ids, logits=logits, labels=np.array([0, 1, 2, 1]), groups=("",) * 4)


RESCORED = expected.Rescored("abc", "f00", n=4, correct1=3, correct5=4)


def test_the_same_weights_must_give_the_same_counts():
    assert compare.check_rescored("some", RESCORED, scores(), scores()).ok
    told = compare.check_rescored("some", RESCORED, scores(swap=True), scores())
    assert told.state == "fail" and "3 predictions changed" in told.why and told.actual == "1 / 4 of 4"


def test_logits_may_not_move_even_where_counts_stand():
    assert compare.check_rescored("some", RESCORED, scores(shift=5e-4), scores()).ok
    told = compare.check_rescored("some", RESCORED, scores(shift=0.1), scores())
    assert told.state == "fail" and "counts are the same" in told.why


def test_labels_in_another_order_are_caught_even_where_counts_stand():
    turned = dataclasses.replace(scores(), labels=np.array([1, 0, 2, 0]))
    told = compare.check_rescored(
        "some", expected.Rescored("abc", "f00", n=4, correct1=2, correct5=4), turned, scores()
    )
    assert told.actual == "2 / 4 of 4" and told.state == "fail" and "labels of 3 videos" in told.why


def test_other_videos_are_another_test():
    told = compare.check_rescored("some", RESCORED, scores(ids=("a", "b", "c", "x")), scores())
    assert told.state == "fail" and "other videos" in told.why
    assert "--update" in compare.check_rescored("some", expected.Rescored("abc"), scores(), scores()).why


def test_rows_in_another_order_are_the_same_scores():
    turned = Scores(
        ids=("d", "c", "b", "a"), logits=scores().logits[::-1], labels=scores().labels[::-1], groups=("",) * 4
    )
    assert compare.differences(turned, scores()) == (0.0, 0)


# ------------------------------------------------------------------------------------------------ for machines


def test_junit_says_which_and_why():
    outcomes = [verdict(120), verdict(35), verdict()]
    root = ElementTree.fromstring(compare.junit(outcomes))
    (suite,) = root
    assert (suite.get("tests"), suite.get("failures")) == ("3", "2")
    kinds = [failure.get("type") for failure in root.iter("failure")]
    assert kinds == ["fail", "missing"] and "below" in next(root.iter("failure")).text
    assert {case.get("classname") for case in root.iter("testcase")} == {"some.retrained"}


def test_the_shipped_files_can_be_read_and_are_complete():
    for suite in expected.read():
        assert suite.retrained or suite.rescored
        assert all(entry.known and len(entry.seeds) >= expected.MIN_SEEDS for entry in suite.retrained)
        assert all(entry.known for entry in suite.rescored)
