"""Specs are values: equal ones hash equally on any machine, and whatever cannot be written as JSON is refused."""

import pytest

from harness.core.contract import Clip
from harness.core.plain import canonical, digest
from harness.core.spec import Job


def test_canonical_json_does_not_depend_on_order_or_container():
    assert canonical({"b": (1, 2), "a": {"y": 1.5, "x": None}}) == canonical({"a": {"x": None, "y": 1.5}, "b": [1, 2]})


def test_dataclasses_are_written_as_their_fields():
    assert '"strides":{"rgb":5}' in canonical({"clip": Clip(window=125, side_px=224, strides={"rgb": 5})})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(value):
    with pytest.raises(ValueError):
        canonical({"base_lr": value})


def test_known_digest():
    """Ids name folders that outlive this version: if this changes, every ledger is orphaned."""
    assert digest({"kind": "train", "spec": {"seed": 0}, "upstream": {}}) == "7ee0eea1a7fd"
    job = Job(kind="train", title="one", spec={"seed": 0})
    assert job.id == digest({"kind": "train", "spec": {"seed": 0}, "upstream": {}})


def test_title_and_provisional_do_not_change_the_id_but_everything_else_does():
    job = Job(kind="train", title="one", spec={"seed": 0}, upstream={"source": "a"})
    assert job.id == Job(kind="train", title="two", spec={"seed": 0}, upstream={"source": "a"}, provisional=True).id
    others = [
        Job(kind="head", title="one", spec={"seed": 0}, upstream={"source": "a"}),
        Job(kind="train", title="one", spec={"seed": 1}, upstream={"source": "a"}),
        Job(kind="train", title="one", spec={"seed": 0}, upstream={"source": "b"}),
    ]
    assert len({job.id, *(other.id for other in others)}) == 4


def test_where_a_folder_of_videos_lies_is_no_part_of_an_id():
    def named(name: str, fingerprint: str = "f") -> str:
        spec = {"dataset": {"name": name, "fingerprint": fingerprint}, "seed": 0}
        return Job(kind="train", title="", spec=spec).id

    assert named("folder:/here/my set") == named("folder:/over/there/my set") == named("folder:my set")
    assert len({named("folder:/here/a"), named("folder:/here/b"), named("ucf101"), named("folder:/here/a", "g")}) == 4
    assert named("ucf101") == digest(
        {"kind": "train", "spec": {"dataset": {"name": "ucf101", "fingerprint": "f"}, "seed": 0}, "upstream": {}}
    )
