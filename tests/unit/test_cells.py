"""Specs are values: equal ones hash equally on any machine, are read back as they were, and whatever is not one is refused."""

import dataclasses
import json

import pytest

from harness.core.cells import Job, Selection
from harness.core.contract import Clip, FlowMethod, Schedule
from harness.core.job_specs import DataSpec, HeadSpec, ImagesSpec, JobSpec, from_plain, job_id, to_plain
from harness.core.serialization import canonical, digest
from harness.core.workspace import Workspace
from harness.planning.plan import make_plan
from harness.planning.selection import cells
from tests.specs import flow_spec, train_spec


def test_canonical_json_does_not_depend_on_order_or_container():
    assert canonical({"b": (1, 2), "a": {"y": 1.5, "x": None}}) == canonical({"a": {"x": None, "y": 1.5}, "b": [1, 2]})


def test_dataclasses_are_written_as_their_fields():
    assert '"strides":{"rgb":5}' in canonical({"clip": Clip(window=125, side_px=224, strides={"rgb": 5})})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(value):
    with pytest.raises(ValueError):
        canonical({"base_lr": value})


def test_known_digest():
    """Ids name folders that outlive this version: if this changes, no result of an earlier version is found."""
    assert digest({"kind": "train", "spec": {"seed": 0}, "upstream": {}}) == "7ee0eea1a7fd"
    method = {"name": "tvl1", "bound_px": 20.0, "short_side_px": 256}
    spec = {
        "dataset": {"name": "hmdb51", "version": 1, "fingerprint": "aa"}, "code_version": 1, "split": 1, "subset": "test",
        "fps": 25.0, "flow": {"method": method, "library": "opencv 5"}, "decoder": {"decoder": "pyav 18.1.0"},
    }  # fmt: skip
    assert job_id(flow_spec(), {"a": "b"}) == digest({"kind": "flow", "spec": spec, "upstream": {"a": "b"}})


def test_title_cell_and_provisional_do_not_change_the_id_but_everything_else_does():
    job = Job(train_spec(), "one", {"source": "a"})
    assert job.id == Job(train_spec(), "two", {"source": "a"}, provisional=True).id
    others = [
        Job(flow_spec(), "one", {"source": "a"}),
        Job(train_spec(seed=1), "one", {"source": "a"}),
        Job(train_spec(), "one", {"source": "b"}),
    ]
    assert len({job.id, *(other.id for other in others)}) == 4


def test_every_field_of_every_spec_is_part_of_the_id_unless_marked():
    assert len(JobSpec.kinds) >= 6
    unmarked = {
        (kind.kind, field.name)
        for kind in JobSpec.kinds.values()
        for field in dataclasses.fields(kind)
        if field.metadata.get("in_id") is False
    }
    assert unmarked == {("images", "baseline")}, "baselines that share a 2D network share its training"


def test_a_field_that_is_added_with_a_default_leaves_ids_unchanged():
    @dataclasses.dataclass(frozen=True)
    class Later(Clip):
        later: int = 1

    spec = train_spec()
    assert job_id(dataclasses.replace(spec, test_clip=Later(64, 224)), {}) == job_id(spec, {})
    assert job_id(dataclasses.replace(spec, test_clip=Later(64, 224, later=3)), {}) != job_id(spec, {})


def test_defaults_of_what_specs_hold_do_not_change():
    """Ids leave out fields that have their default: whoever changes one must raise planning.spec_builder.CODE_VERSION as well."""
    kinds = (Clip, FlowMethod, Schedule, HeadSpec, *JobSpec.kinds.values())
    defaults = {
        kind.__name__: {
            field.name: field.default for field in dataclasses.fields(kind) if field.default is not dataclasses.MISSING
        }
        for kind in kinds
        if kind.__module__.startswith("harness")
    }
    assert digest(defaults) == "ac2516e32db8", defaults


def test_the_builder_of_the_images_is_recorded_and_not_part_of_the_id():
    spec = train_spec("micro")
    images = ImagesSpec(
        dataset=spec.dataset, code_version=1, backbone="", scale=spec.scale, seed=0, decoder={}, precision="float32",
        threads=1, network="inception", baseline="i3d", schedule=Schedule(1, 1, 0.1), clip=Clip(1, 48),
    )  # fmt: skip
    other = dataclasses.replace(images, baseline="two-stream")
    assert job_id(images, {}) == job_id(other, {}) and from_plain(to_plain(other)) == other


def test_every_spec_of_a_plan_is_read_back_as_it_was(tmp_path):
    protocols = ("original", "fixed", "full-ft", "logreg")
    asked = Selection(baselines=("i3d",), modalities=("rgb+flow",), datasets=("micro-hmdb51",), protocols=protocols)
    jobs = make_plan(cells(asked), Workspace(tmp_path, tmp_path)).jobs
    assert {job.kind for job in jobs} >= {"flow", "images", "train", "features", "head"}
    for job in jobs:
        stored = json.loads(json.dumps(to_plain(job.spec)))
        assert from_plain(stored) == job.spec and job_id(from_plain(stored), job.upstream) == job.id


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "dance"}, "the kind of job 'dance' is not one of"),
        ({"seed": "three"}, "spec.seed is 'three', not a value of type int"),
        ({"seed": True}, "spec.seed is True"),
        ({"more": 1}, "unknown field 'more'"),
        ({"schedule": {"steps": 1, "batch": 1}}, "spec.schedule lacks the field 'base_lr'"),
        ({"streams": "rgb"}, "spec.streams is 'rgb', not a list"),
        ({"dataset": None}, "spec.dataset is None, not an object"),
    ],
)
def test_what_is_no_spec_is_refused_by_field(change, message):
    with pytest.raises(ValueError, match=message):
        from_plain(to_plain(train_spec()) | change)


def test_a_folder_of_videos_counts_by_its_content():
    def named(name: str, fingerprint: str = "f") -> str:
        return job_id(train_spec(dataset=DataSpec(name, 1, fingerprint)), {})

    assert named("folder:/here/my set") == named("folder:/over/there/renamed")
    assert len({named("folder:/here/a"), named("ucf101"), named("folder:/here/a", "g")}) == 3
    assert named("folder:/here/a", "") != named("folder:/here/b", ""), "as long as their content is not known"
