"""The graph: shared work appears once, ids cover what changes numbers, and nothing is read but names and hashes."""

import pytest

from harness.core import environment
from harness.core.cells import Selection
from harness.core.contract import Scale
from harness.core.errors import HarnessError
from harness.core.workspace import Workspace
from harness.planning import spec_builder
from harness.planning.plan import make_plan
from harness.planning.selection import cells


@pytest.fixture
def where(tmp_path):
    return Workspace(data=tmp_path / "data", results=tmp_path / "results")


def planned(where, **said):
    said = {"datasets": ("micro-hmdb51",), "protocols": ("full-ft",)} | said
    return make_plan(cells(Selection(**said)), where)


def kinds(plan):
    return [job.kind for job in plan.jobs]


def test_full_ft_of_both_streams(where):
    plan = planned(where)
    assert sorted(kinds(plan)) == ["flow", "flow", "images", "train", "train", "train", "train"]
    ((cell, job_ids),) = plan.cells.items()
    assert cell.modality == "rgb+flow" and len(job_ids) == 2
    place = {job.id: number for number, job in enumerate(plan.jobs)}
    assert all(place[need] < place[job.id] for job in plan.jobs for need in job.upstream.values())


def test_joint_baselines_are_one_network(where):
    ((_, job_ids),) = planned(where, baselines=("two-stream",)).cells.items()
    assert len(job_ids) == 1


def test_pre_training_is_shared_by_protocols_splits_and_seeds(where):
    plan = planned(where, protocols=("full-ft", "fixed"), splits=(1, 2, 3), seeds=(0, 1), modalities=("rgb",))
    assert len(plan.cells) == 12
    sources = [job for job in plan.jobs if job.kind == "train" and job.spec.dataset.name == "micro-kinetics"]
    assert len(sources) == 1 and kinds(plan).count("images") == 1
    assert kinds(plan).count("features") == 1 and kinds(plan).count("head") == 6


def test_baselines_share_the_picture_network(where):
    plan = planned(where, baselines=("i3d", "convnet-lstm", "two-stream"), modalities=("rgb",))
    assert kinds(plan).count("images") == 1


def test_original_needs_no_source(where):
    plan = planned(where, protocols=("original",), inits=("scratch",), modalities=("rgb",))
    assert kinds(plan) == ["train"] and not plan.jobs[0].upstream


def ids(plan):
    return {job.id for job in plan.jobs}


@pytest.mark.parametrize(
    "said",
    [
        {"seeds": (1,)},
        {"splits": (2,)},
        {"inits": ("scratch",)},
        {"protocols": ("original",)},
        {"overrides": (("train.base_lr", "0.5"),)},
        {"overrides": (("scale.width", "0.125"),)},
        {"datasets": ("micro-ucf101",)},
        {"baselines": ("c3d",), "inits": ("scratch",)},
    ],
)
def test_what_changes_the_numbers_changes_the_id(where, said):
    one = planned(where, modalities=("rgb",)).jobs[-1].id
    assert one != planned(where, modalities=("rgb",), **said).jobs[-1].id


def test_overriding_the_fine_tuning_leaves_the_pre_training_alone(where):
    before, after = planned(where), planned(where, overrides=(("train.steps", "7"),))
    assert len(ids(before) & ids(after)) == len(before.jobs) - 2


def test_other_versions_and_thread_counts_are_other_jobs(where, monkeypatch):
    before = ids(planned(where, modalities=("rgb",)))
    monkeypatch.setattr(spec_builder.decode, "decoder_key", lambda: {"name": "another decoder"})
    assert not before & ids(planned(where, modalities=("rgb",)))


def test_micro_jobs_are_the_same_on_any_number_of_cores(where, monkeypatch):
    before = ids(planned(where))
    monkeypatch.setenv("HARNESS_THREADS", "64")
    assert before == ids(planned(where))
    assert "cpu_threads" in Scale.__dataclass_fields__


@pytest.mark.parametrize(
    ("variable", "text"), [("HARNESS_DEVICE", "tpu"), ("HARNESS_THREADS", "a"), ("HARNESS_THREADS", "0")]
)
def test_a_machine_setting_that_means_nothing_is_refused(monkeypatch, variable, text):
    monkeypatch.setenv(variable, text)
    with pytest.raises(HarnessError, match=f"{variable}={text}: expected"):
        environment.device() if variable == "HARNESS_DEVICE" else environment.cpu_threads()


def test_ids_are_provisional_until_the_data_is_there(where):
    assert all(job.provisional for job in planned(where).jobs)


def test_published_weights_that_are_not_here_are_asked_for(where):
    with pytest.raises(HarnessError, match="weights fetch googlenet"):
        planned(where, datasets=("hmdb51",), protocols=("original",))
    with pytest.raises(HarnessError, match="weights fetch pytorch-i3d"):
        planned(where, datasets=("hmdb51",), source="published:pytorch-i3d")


def test_jobs_done_are_not_to_do_and_what_only_they_needed_neither(where):
    plan = planned(where, modalities=("rgb",))
    images, source, target = plan.jobs
    (folder := where.runs / source.id).mkdir(parents=True)
    (folder / "record.json").write_text("{}")
    assert [job.id for job in planned(where, modalities=("rgb",)).to_do] == [target.id]
    assert images.kind == "images"


def test_the_frame_store_is_a_job_that_all_who_read_it_share(where):
    said = {"overrides": (("scale.video_source", "store"),), "inits": ("scratch",)}
    plan = planned(where, baselines=("i3d", "c3d"), modalities=("rgb",), **said)
    stores = [job for job in plan.jobs if job.kind == "store"]
    assert sorted(job.spec.dataset.name for job in stores) == ["micro-hmdb51", "micro-kinetics"]
    for job in plan.jobs:
        if job.kind == "train":
            (store,) = [one for one in stores if one.id == job.upstream["store"]]
            assert store.spec.dataset == job.spec.dataset
            assert job.spec.decoder == store.spec.decoder
    flow_alone = planned(where, modalities=("flow",), protocols=("original",), **said)
    assert "store" not in kinds(flow_alone), "flow is computed from the originals"
