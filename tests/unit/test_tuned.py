"""What 'tuned' means: which number, for which training, and where there is none."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from harness.core.cells import Job, Selection
from harness.core.contract import Listing, Video
from harness.core.errors import HarnessError, RecordError
from harness.core.workspace import Workspace
from harness.data.splits import HELD_OUT, validation_listing
from harness.planning import tuned
from harness.planning.plan import Planner, make_plan
from harness.planning.selection import cells

CHOSEN = ((tuned.RATE, tuned.TUNED),)


def selection(**more) -> Selection:
    said = {"datasets": ("micro-hmdb51",), "protocols": ("full-ft",), "modalities": ("rgb",), "inits": ("scratch",)}
    return Selection(**(said | more))


@pytest.fixture
def where(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "data", tmp_path / "results")


def job_of(workspace: Workspace, **more) -> Job:
    planner = Planner(workspace)
    (cell,) = cells(selection(**more))
    return planner.jobs[planner.jobs_of(cell)[-1]]


def found(workspace: Workspace, job: Job, rate: str) -> None:
    tuned.write(tuned.path_of(workspace.results, job), {"choice": {tuned.RATE: rate}})


def test_without_a_search_the_command_that_would_make_one_is_named(where):
    with pytest.raises(HarnessError, match="harness tune"):
        make_plan(cells(selection(overrides=CHOSEN)), where)
    assert not where.results.exists()


def test_the_number_that_was_found_is_planned_as_if_it_had_been_given(where):
    found(where, job_of(where), "0.0123")
    given = job_of(where, overrides=((tuned.RATE, "0.0123"),))
    assert job_of(where, overrides=CHOSEN).id == given.id != job_of(where).id
    assert job_of(where, overrides=CHOSEN, seeds=(3,)).spec.schedule.base_lr == given.spec.schedule.base_lr


def test_a_number_holds_for_its_own_training_alone(where):
    found(where, job_of(where), "0.0123")
    for other in ({"splits": (2,)}, {"modalities": ("flow",)}, {"overrides": (("train.steps", "7"), *CHOSEN)}):
        with pytest.raises(HarnessError, match="no rate has been chosen"):
            job_of(where, **({"overrides": CHOSEN} | other))


def test_each_stream_has_its_own_number(where):
    for modality, rate in (("rgb", "0.5"), ("flow", "0.25")):
        found(where, job_of(where, modalities=(modality,)), rate)
    planner = Planner(where)
    (cell,) = cells(selection(modalities=("rgb+flow",), overrides=CHOSEN))
    rates = [planner.jobs[job_id].spec.schedule.base_lr for job_id in planner.jobs_of(cell)]
    assert rates[0] == pytest.approx(2 * rates[1])


def test_the_plan_has_no_job_of_the_rate_that_was_replaced(where):
    found(where, job_of(where), "0.0123")
    tuned_plan, given = (make_plan(cells(selection(overrides=o)), where) for o in (CHOSEN, ((tuned.RATE, "0.0123"),)))
    assert [job.id for job in tuned_plan.jobs] == [job.id for job in given.jobs]


def test_only_the_rate_is_tuned(where):
    with pytest.raises(HarnessError, match="train.momentum=tuned.*only train.base_lr"):
        cells(selection(overrides=(("train.momentum", "tuned"),)))


def test_a_choice_that_was_edited_is_refused_by_name(where):
    job = job_of(where)
    found(where, job, "soon")
    with pytest.raises(RecordError, match=tuned.key_of(job)):
        job_of(where, overrides=CHOSEN)


@pytest.mark.parametrize(("trials", "rates"), [(1, ["0.01"]), (3, ["0.001", "0.01", "0.1"]), (2, ["0.001", "0.1"])])
def test_rates_lie_evenly_around_the_scales(trials, rates):
    assert tuned.candidates(0.01, trials) == rates


def test_a_trial_is_another_job_that_never_scores_a_test_video(where):
    job = job_of(where)
    trial = tuned.trial(job, "0.1", 0.2)
    assert trial.id != job.id and trial.spec.subset == HELD_OUT and trial.upstream == job.upstream
    videos = [Video(f"v{n}", f"v{n}", label=n % 2, group=f"g{n // 2}") for n in range(10)]
    listing = Listing(("a", "b"), {"train": tuple(videos), "test": (Video("t", "t", 0, "h"),)}, missing=("gone",))
    seen = validation_listing(listing, 0.2)
    assert set(seen.subsets) == {"train", HELD_OUT} and not seen.missing
    kept, held = seen.subsets["train"], seen.subsets[HELD_OUT]
    assert {v.id for v in kept} | {v.id for v in held} == {v.id for v in videos}
    assert held and not {v.group for v in kept} & {v.group for v in held}
    alone = dataclasses.replace(listing, subsets={"train": tuple(videos[:2])})
    with pytest.raises(HarnessError, match="no videos can be held out"):
        validation_listing(alone, 0.2)


def test_the_choice_is_the_best_on_the_held_out_part():
    rows = [
        {"job": "a", "top1": 50.0, "loss": 0.5},
        {"job": "b", "top1": 75.0, "loss": 0.9},
        {"job": "c", "top1": 75.0, "loss": 0.8},
    ]
    assert tuned.best(rows)["job"] == "c"
    assert json.dumps(rows)
