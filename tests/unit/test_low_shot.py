"""Draws of a few training videos per class: nested, balanced, whole groups first, the same wherever they are drawn."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, strategies as st

from harness.core.contract import Listing, Video
from harness.core.errors import HarnessError
from harness.data.splits import drawn

SIZES = st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=6), min_size=1, max_size=4)
"""By class: the sizes of its groups."""


def listing_of(sizes, *, grouped=True):
    train = tuple(
        Video(f"c{label}g{group}v{n}", "", label, f"c{label}g{group}" if grouped else "")
        for label, groups in enumerate(sizes)
        for group, size in enumerate(groups)
        for n in range(size)
    )
    test = (Video("test", "", 0, "elsewhere"),)
    return Listing(tuple(f"class {label}" for label in range(len(sizes))), {"train": train, "test": test})


def train(listing, **draw):
    return drawn(listing, **{"shots": 0, "share": 0.0, "draw": 0} | draw).subsets["train"]


@given(SIZES, st.integers(0, 50), st.data())
def test_draws_are_balanced_nested_and_cut_one_group_per_class_at_most(sizes, draw, data):
    listing = listing_of(sizes)
    most = min(map(sum, sizes))
    small, large = sorted(data.draw(st.tuples(st.integers(1, most), st.integers(1, most))))
    few, many = (train(listing, shots=shots, draw=draw) for shots in (small, large))
    assert set(few) <= set(many)
    for videos, shots in ((few, small), (many, large)):
        assert Counter(video.label for video in videos) == dict.fromkeys(range(len(sizes)), shots)
        whole = Counter(video.group for video in listing.subsets["train"])
        cut = {video.group for video in videos if Counter(v.group for v in videos)[video.group] < whole[video.group]}
        assert Counter(group[:2] for group in cut).total() <= len(sizes)
        assert all(count <= 1 for count in Counter(group[:2] for group in cut).values())


@given(SIZES, st.floats(0.01, 1.0), st.floats(0.01, 1.0))
def test_a_share_is_that_of_every_class_and_at_least_one_video(sizes, one, other):
    listing = listing_of(sizes)
    small, large = sorted((one, other))
    few, many = (train(listing, share=share) for share in (small, large))
    assert set(few) <= set(many)
    counts = Counter(video.label for video in few)
    assert all(counts[label] == max(1, round(small * sum(groups))) for label, groups in enumerate(sizes))
    assert train(listing, share=1.0) == listing.subsets["train"]


def test_draws_differ_by_their_number_alone():
    listing = listing_of([[2] * 10] * 3)
    shuffled = Listing(listing.classes, {**listing.subsets, "train": listing.subsets["train"][::-1]})
    draws = [frozenset(train(listing, shots=4, draw=number)) for number in range(10)]
    assert len(set(draws)) == 10
    assert draws == [frozenset(train(shuffled, shots=4, draw=number)) for number in range(10)]
    assert all(len({video.group for video in draw}) == 6 for draw in draws), "two whole groups of each class"


def test_without_groups_every_video_is_drawn_alone():
    listing = listing_of([[5, 5], [5, 5]], grouped=False)
    sources = {frozenset(video.id[:4] for video in train(listing, shots=5, draw=number)) for number in range(10)}
    assert frozenset({"c0g0", "c0g1", "c1g0", "c1g1"}) in sources


def test_the_test_videos_stay_and_the_order_is_that_of_the_lists():
    listing = listing_of([[1] * 8] * 2)
    few = drawn(listing, shots=3, share=0.0, draw=1)
    assert few.subsets["test"] == listing.subsets["test"]
    assert list(few.subsets["train"]) == sorted(few.subsets["train"], key=listing.subsets["train"].index)


def test_a_class_with_fewer_videos_is_named():
    listing = listing_of([[3, 2], [1]])
    with pytest.raises(HarnessError, match="--shots 3: the class 'class 1' has only 1 training video; pass --shots 1"):
        train(listing, shots=3)
    empty = Listing((*listing.classes, "nothing"), listing.subsets)
    for draw, words in ({"shots": 1}, "--shots 1"), ({"share": 0.1}, "--share 0.1"):
        with pytest.raises(HarnessError, match=f"{words}: the class 'nothing' has no training video"):
            train(empty, **draw)
