"""The held-out part: about the share asked for of every class, and never half a group."""

from hypothesis import given, strategies as st

from harness.core.contract import Video
from harness.data.splits import hold_out

GROUPS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(1, 5)), min_size=1, max_size=30)


def videos(groups):
    return [
        Video(id=f"{label}-{group}-{n}-{i}", path="", label=label, group=f"{label}/g{group}")
        for i, (label, group, size) in enumerate(groups)
        for n in range(size)
    ]


@given(GROUPS, st.floats(0.05, 0.5))
def test_no_group_is_on_both_sides_and_nothing_is_lost(groups, share):
    everything = videos(groups)
    kept, held = hold_out(everything, share)
    assert sorted(v.id for v in kept + held) == sorted(v.id for v in everything)
    assert not {v.group for v in kept} & {v.group for v in held}
    assert {v.label for v in kept} == {v.label for v in everything}


def test_about_the_share_of_each_class():
    everything = videos([(label, group, 4) for label in range(3) for group in range(20)])
    _, held = hold_out(everything, 0.1)
    assert [sum(v.label == label for v in held) for label in range(3)] == [8, 8, 8]


def test_the_same_every_time_whatever_the_order():
    everything = videos([(0, group, 2) for group in range(10)])
    first = {v.id for v in hold_out(everything, 0.2)[1]}
    assert first == {v.id for v in hold_out(everything[::-1], 0.2)[1]} and first


def test_nothing_is_held_out_unless_asked():
    everything = videos([(0, 0, 3)])
    assert hold_out(everything, 0.0) == (everything, [])


def test_a_group_that_is_all_a_class_has_is_not_held_out_for_another_class():
    """Movies have clips of several actions: without this, a class would have no training video left."""
    shared = [Video(f"{label}{group}", "", label, group) for label, group in ((0, "a"), (0, "b"), (0, "c"), (1, "b"))]
    for groups in ("abc", "bca", "cab"):
        renamed = [Video(v.id, "", v.label, "abc"[groups.index(v.group)]) for v in shared]
        kept, held = hold_out(renamed, 0.4)
        assert {video.label for video in kept} == {0, 1} and held
