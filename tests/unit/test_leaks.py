"""Weights that have seen a test video, or its group, may not be scored on it."""

import json

import pytest

from harness.core.contract import Video
from harness.core.errors import HarnessError
from harness.data.splits import merge_trained_on, refuse_leaks, write_trained_on

TRAIN = [Video("a", "a", 0, "g1"), Video("b", "b", 1, "")]


def test_an_honest_split_passes_and_is_remembered(tmp_path):
    seen = refuse_leaks("set", TRAIN, [Video("c", "c", 0, "g2"), Video("d", "d", 1, "")], before={"other": ["x"]})
    write_trained_on(tmp_path / "ids", seen)
    assert json.loads((tmp_path / "ids").read_text()) == {"other": ["x"], "set": ["a", "b", "group:0:g1"]}


@pytest.mark.parametrize("scored", [Video("b", "b", 1, ""), Video("new", "new", 0, "g1")])
def test_a_seen_video_or_group_is_refused(scored):
    with pytest.raises(HarnessError, match="1 of the 1 test videos"):
        refuse_leaks("set", TRAIN, [scored], before={})


def test_what_came_before_counts():
    with pytest.raises(HarnessError, match="training data of these weights"):
        refuse_leaks("set", [], [Video("z", "z", 0, "")], before={"set": ["z"]})


def test_a_group_name_of_another_class_is_another_group():
    refuse_leaks("set", TRAIN, [Video("new", "new", 1, "g1")], before={})


def test_merging_several_upstreams(tmp_path):
    for name, seen in (("one", {"s": ["a"]}), ("two", {"s": ["b"], "t": ["c"]})):
        (tmp_path / name).write_text(json.dumps(seen))
    assert merge_trained_on([tmp_path / "one", tmp_path / "two"]) == {"s": ["a", "b"], "t": ["c"]}
