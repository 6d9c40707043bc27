"""Ways to train that are asked for by a setting, each through the command line on toy videos."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.records.stored import read_scores
from tests.commands import FLOW, QUICK, SOURCE_STEPS, command, record_of, run, source_of, weights_of
from tests.registered import EXAMPLES

# One worker: others would wait for what these start from.
pytestmark = pytest.mark.xdist_group("transferred")

ORIGINAL = ("--dataset", "toy-hmdb51", "--protocol", "original", "--modality", "flow", "--init", "scratch")
SHARED_SOURCE = ("--modality", "flow", "--set", f"source.steps={SOURCE_STEPS}")
"""Transfers from what the fixture `transferred` has trained."""
SHORT = ("--set", "train.steps=6", "--set", "train.batch=4", "--set", "scale.dropout=0")


def test_a_found_schedule_is_replayed_on_all_training_videos(house):
    plateau = (
        "train.policy=plateau",
        "train.held_out=0.25",
        "train.eval_every=2",
        "train.patience=1",
        "train.retrain_on_all=true",
    )
    settings = [word for setting in plateau for word in ("--set", setting)]
    (cell,) = run(*ORIGINAL, *SHORT, *settings, "--set", "train.base_lr=0.0", workspace=house)
    record = record_of(house, cell["jobs"][0])
    found = record_of(house, record["upstream"]["schedule"])
    # At a rate of zero nothing improves after the first look, so every later look drops it.
    assert found["chosen"]["drops"] == [4, 6]
    assert found["chosen"]["held_out"] and not record["chosen"]["held_out"]
    assert (record["chosen"]["drops"], record["chosen"]["steps"]) == ([4, 6], 6)
    assert "as an earlier job found them" in record["chosen"]["rule"]
    trained_on = [_trained_on(house, job) for job in (record["upstream"]["schedule"], cell["jobs"][0])]
    assert trained_on[0] == trained_on[1]


@pytest.mark.slow
def test_replicas_and_recomputing_leave_the_batch_what_it_is(house):
    (halves,) = run(*ORIGINAL, *SHORT, "--set", "train.bn_batch=2", workspace=house)
    (again,) = run(
        *ORIGINAL, *SHORT, "--set", "train.bn_batch=2", "--set", "scale.activation_checkpointing=true", workspace=house
    )
    curves = [record_of(house, cell["jobs"][0])["curves"] for cell in (halves, again)]
    assert halves["jobs"] != again["jobs"]
    assert [point["name"] for point in curves[0]] == [point["name"] for point in curves[1]]
    for one, other in zip(*curves, strict=True):
        assert abs(one["value"] - other["value"]) < 1e-5


def test_another_decoder_makes_the_record_and_no_other_one_stands_in(house, monkeypatch):
    words = (*ORIGINAL[:4], "--modality", "rgb", "--init", "scratch", *SHORT, "--set", "scale.width=0.04")
    monkeypatch.setenv("HARNESS_PLUGINS", str(EXAMPLES))
    monkeypatch.setenv("HARNESS_DECODER", "threaded")
    (cell,) = run(*words, workspace=house)
    record = record_of(house, cell["jobs"][0])
    assert record["spec"]["decoder"]["decoder"].startswith("threaded ")
    assert (cell["counts"]["n"], cell["counts"]["undecodable"]) == (40, 0)
    monkeypatch.setenv("HARNESS_DECODER", "nonesuch")
    done = command("plan", *words, workspace=house, check=2)
    assert all(word in done.stderr for word in ("nonesuch", "HARNESS_DECODER", "pyav", "threaded", "torchcodec"))


def test_every_probe_reads_the_same_features(house, transferred):
    words = ("--dataset", "toy-hmdb51", "--protocol", "knn,logreg,svm", "--split", "all", *FLOW[:4])
    cells = run(*words, workspace=house)
    records = [record_of(house, cell["jobs"][0]) for cell in cells]
    assert len(records) == 9 and len({record["upstream"]["features"] for record in records}) == 1
    for name in ("knn", "logreg", "svm"):
        of_probe = [cell["counts"] for cell in cells if cell["cell"]["protocol"] == name]
        right, n = (sum(counts[key] for counts in of_probe) for key in ("correct", "n"))
        assert right / n > 0.4, f"{name}: chance is a quarter"
    for record in records:
        tested = set(record["chosen"]["held_out"]) & _scored(house, record["job_id"])
        assert not tested
        if record["spec"]["head"]["name"] != "knn":
            assert record["chosen"]["held_out"] and "chosen on held-out videos" in record["chosen"]["rule"]
    (cell,) = run(*words[:2], "--protocol", "logreg", *FLOW[:4], "--set", "head.c=0.1", workspace=house)
    assert record_of(house, cell["jobs"][0])["chosen"]["rule"] == "logistic regression, c = 0.1"


@pytest.mark.slow
def test_features_that_are_not_stored_are_computed_when_they_are_needed(house, transferred):
    """The same views: nearest neighbours and logistic regression have the scores they have on stored features.

    Up to the solver's tolerance: the views come in another order.
    """
    words = ("--dataset", "toy-hmdb51", "--protocol", "knn,logreg", *FLOW[:4])
    computed = ("--set", "scale.features=computed")
    planned = command("plan", *words, *QUICK, *computed, workspace=house).stdout
    assert "computed when they are needed, not stored: i3d flow on toy-hmdb51 (about 0.0 GB)." in planned, planned
    for stored, anew in zip(run(*words, workspace=house), run(*words, *computed, workspace=house), strict=True):
        record = record_of(house, anew["jobs"][0])
        assert anew["jobs"] != stored["jobs"] and "features" not in record["upstream"]
        one, other = (
            read_scores(house / "results" / "runs" / cell["jobs"][0] / "scores.npz") for cell in (stored, anew)
        )
        tolerance = 1e-3 if record["spec"]["head"]["name"] == "knn" else 0.1
        assert one.ids == other.ids and np.allclose(one.logits, other.logits, atol=tolerance)
    short = ("--set", "fixed.steps=6", "--set", "attentive.steps=2", "--set", "attentive.batch=8")
    in_steps = ("--dataset", "toy-hmdb51", "--protocol", "fixed,attentive", *FLOW[:4], *short, *computed)
    for cell in run(*in_steps, workspace=house):
        assert cell["counts"]["n"] == 40 and "features" not in record_of(house, cell["jobs"][0])["upstream"]
    video = next((house / "data" / "toy-hmdb51").rglob("*.avi"))
    command("predict", str(video), "--job", cell["jobs"][0], workspace=house)


def test_draws_of_few_training_videos(house, transferred):
    words = ("--dataset", "toy-hmdb51", "--protocol", "knn,logreg", *FLOW[:4])
    cells = run(*words, "--shots", "1,4", "--share", "0.5,1", "--seed", "0,1", workspace=house)
    assert len(cells) == 16 and len({cell["jobs"][0] for cell in cells}) == 16
    trained_on: dict[tuple[int, int], set[str]] = {}
    for cell in cells:
        record = record_of(house, cell["jobs"][0])
        shots, share, seed = (cell["cell"][axis] for axis in ("shots", "share", "seed"))
        words_in_title = {(1, 0.0): "1 shot", (4, 0.0): "4 shots", (0, 0.5): "50% of the training videos"}
        if (shots, share) not in words_in_title:
            assert "drawn" not in record["chosen"]
            continue
        videos = 4 * (shots or 3)
        assert f" · {words_in_title[shots, share]}" in record["title"]
        assert (record["chosen"]["drawn"]["videos"], record["chosen"]["drawn"]["draw"]) == (videos, seed)
        ids = {name for name in _trained_on(house, cell["jobs"][0])["toy-hmdb51"] if not name.startswith("group:")}
        assert len(ids) == videos
        trained_on[shots or 3, seed] = ids
    assert trained_on[1, 0] < trained_on[3, 0] < trained_on[4, 0] and trained_on[4, 0] != trained_on[4, 1]
    knn = ("--dataset", "toy-hmdb51", "--protocol", "knn", *FLOW[:4], *QUICK)
    few = command("run", *knn, "--shots", "2", "--set", "head.k=3", workspace=house, check=2)
    assert "--set head.k=3: the class 'close_book' has only 2 training videos; pass 2 or less" in few.stderr


def test_a_probe_predicts_what_its_job_scored(house, transferred):
    """Its weights are read again: the attentive probe's, and the training videos that nearest neighbours have stored."""
    small = ("--set", "attentive.steps=3", "--set", "attentive.batch=8")
    (attentive,) = run(
        "--dataset",
        "toy-hmdb51",
        "--protocol",
        "attentive",
        *FLOW[:4],
        *small,
        "--set",
        "head.blocks=0",
        workspace=house,
    )
    (knn,) = run("--dataset", "toy-hmdb51", "--protocol", "knn", *FLOW[:4], workspace=house)
    record = record_of(house, attentive["jobs"][0])
    assert "the best of 20 on held-out videos" in record["chosen"]["rule"] and record["chosen"]["held_out"]
    video = sorted(_scored(house, record["job_id"]))[0]
    path = next((house / "data" / "toy-hmdb51").rglob(f"{Path(video).name}.avi"))
    for cell in (attentive, knn):
        record = record_of(house, cell["jobs"][0])
        done = command("predict", str(path), "--job", record["job_id"], "--json", workspace=house)
        scores = read_scores(house / "results" / "runs" / record["job_id"] / "scores.npz")
        best = int(scores.logits[scores.ids.index(video)].argmax())
        assert json.loads(done.stdout)["top"][0]["class"] == record["classes"][best]


def _scored(house, job_id):
    return set(read_scores(house / "results" / "runs" / job_id / "scores.npz").ids)


def _trained_on(house, job_id):
    return json.loads((house / "results" / "runs" / job_id / "trained_on.json").read_text())


@pytest.mark.slow
def test_frames_from_the_store_which_is_made_first(house):
    rgb = ("--dataset", "toy-hmdb51", "--protocol", "original", "--modality", "rgb", "--init", "scratch", *SHORT)
    (cell,) = run(*rgb, "--set", "scale.video_source=store", workspace=house)
    record = record_of(house, cell["jobs"][0])
    store = record_of(house, record["upstream"]["store"])
    assert store["kind"] == "store" and store["fingerprint"] == record["fingerprint"]
    (folder,) = (house / "data" / ".prepared" / "toy-hmdb51").glob("frames-*")
    recoded = sorted(folder.rglob("*.mp4"))
    assert len(recoded) > record["counts"]["n"] > 0
    # Reading the originals is another job, with other pixels.
    (other,) = run(*rgb, workspace=house)
    assert other["jobs"] != cell["jobs"] and "store" not in record_of(house, other["jobs"][0])["upstream"]
    # What was deleted since is made again.
    recoded[0].unlink()
    run(*rgb, "--set", "scale.video_source=store", "--seed", "1", workspace=house)
    assert recoded[0].is_file()


@pytest.mark.slow
def test_raw_frames_give_every_number_that_the_originals_give(house):
    """Another job, on the same pixels, where the scale wants pictures no smaller than they are."""
    rgb = ("--dataset", "toy-hmdb51", "--protocol", "original", "--modality", "rgb", "--init", "scratch", *SHORT)
    whole = ("--set", "scale.short_side_px=96")
    (direct,) = run(*rgb, *whole, workspace=house)
    (raw,) = run(*rgb, *whole, "--set", "scale.video_source=raw-store", workspace=house)
    one, other = (record_of(house, cell["jobs"][0]) for cell in (direct, raw))
    assert one["job_id"] != other["job_id"] and "store" in other["upstream"]
    assert one["metrics"] == other["metrics"]
    assert [point for point in one["curves"] if point["name"] == "train/loss"] == [
        point for point in other["curves"] if point["name"] == "train/loss"
    ]


def test_a_third_party_protocol_brings_its_schedule_and_trains_the_last_block_alone(house, transferred, monkeypatch):
    monkeypatch.setenv("HARNESS_PLUGINS", str(EXAMPLES))
    words = ("--dataset", "toy-hmdb51", "--protocol", "last-block", *SHARED_SOURCE)
    (cell,) = run(*words, workspace=house)
    record = record_of(house, cell["jobs"][0])
    assert record["spec"]["schedule"]["steps"] == 8 and record["spec"]["protocol"]["trained"] == "last-1"
    before = weights_of(house, source_of(house, cell["jobs"][0])["job_id"])
    after = weights_of(house, cell["jobs"][0])
    changed = {name.rpartition(".")[0] for name in before if not torch.equal(before[name], after[name])}
    blocks = {name.split(".")[1] for name in changed if name.startswith("trunk.")}
    assert blocks == {"mixed5c"} and any(name.startswith("head.") for name in changed)
    assert any(name.endswith("bn") for name in changed), "the statistics of the block that is trained move, too"


def test_a_third_party_head_is_a_protocol_of_its_own(house, transferred, monkeypatch):
    monkeypatch.setenv("HARNESS_PLUGINS", str(EXAMPLES))
    words = ("--dataset", "toy-hmdb51", "--protocol", "nearest-mean-protocol,logreg", *SHARED_SOURCE)
    for cell in run(*words, workspace=house):
        record = record_of(house, cell["jobs"][0])
        assert record["spec"]["head"]["name"] in ("nearest-mean", "logreg") and record["spec"]["schedule"] is None
        assert record["chosen"]["rule"].startswith(
            ("nearest class mean, temperature = 1.0", "logistic regression, c = ")
        )
    video = next((house / "data" / "toy-hmdb51").rglob("*.avi"))
    command("predict", str(video), "--job", cell["jobs"][0], "--out", str(house / "seen"), workspace=house)


def test_a_training_whose_flow_was_deleted_names_the_job_that_made_it(house, transferred):
    words = ("--dataset", "toy-hmdb51", "--protocol", "full-ft", *FLOW)
    flow_job = record_of(house, transferred["jobs"][0])["upstream"]["flow"]
    for deleted in (house / "data" / ".prepared" / "toy-hmdb51").rglob("*.flow"):
        deleted.rename(deleted.with_suffix(".away"))
    try:
        done = command(
            "run",
            *words,
            "--seed",
            "7",
            "--set",
            "images.steps=12",
            "--set",
            "images.batch=8",
            workspace=house,
            check=2,
        )
    finally:
        for moved in (house / "data" / ".prepared" / "toy-hmdb51").rglob("*.away"):
            moved.rename(moved.with_suffix(".flow"))
    assert f"Job {flow_job} had made it" in done.stderr and str(house / "results" / "runs" / flow_job) in done.stderr


def test_a_short_training_with_the_released_decay_scores_with_statistics_of_its_weights(house):
    """So do the evaluations of the held-out videos, which lower the learning rate; they change no weight."""
    settings = (
        "scale.bn_momentum=0.001",
        "scale.width=0.06",
        "train.steps=5",
        "train.batch=4",
        "train.optimizer=sgd",
        "train.policy=plateau",
        "train.base_lr=0.1",
        "train.held_out=0.25",
    )
    words = (*ORIGINAL[:4], "--baseline", "c3d", "--modality", "rgb", "--init", "scratch")
    words += tuple(word for setting in settings for word in ("--set", setting))
    (without,) = run(*words, workspace=house)
    (evaluated,) = run(*words, "--set", "train.eval_every=5", workspace=house)
    records = [record_of(house, cell["jobs"][0]) for cell in (without, evaluated)]
    assert {record["chosen"]["batch_norm"] for record in records} == {"re-estimated on 20 clips"}
    (loss,) = (point["value"] for point in records[1]["curves"] if point["name"] == "held_out/loss")
    assert loss < 100, "with the moving statistics it is above 1,000"
    one, other = (weights_of(house, cell["jobs"][0]) for cell in (without, evaluated))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_the_one_crop_number_comes_from_the_pass_over_three_crops(house):
    """The same training, scored on one crop and on three: the record of three has the numbers of one."""
    words = (*ORIGINAL[:4], "--baseline", "c3d", "--modality", "rgb", "--init", "scratch", *SHORT)
    (one,) = run(*words, "--set", "views.count=2", workspace=house)
    (three,) = run(*words, "--set", "views.count=2", "--set", "views.crops=3", workspace=house)
    alone, both = (record_of(house, cell["jobs"][0]) for cell in (one, three))
    assert both["one_crop"] == alone["metrics"] and not alone["one_crop"]
    assert "scores-one-crop.npz" in both["files"] and "scores-one-crop.npz" not in alone["files"]
    folders = [house / "results" / "runs" / cell["jobs"][0] for cell in (one, three)]
    scored, centre, all_three = (
        read_scores(path)
        for path in (folders[0] / "scores.npz", folders[1] / "scores-one-crop.npz", folders[1] / "scores.npz")
    )
    assert np.allclose(scored.logits, centre.logits, atol=1e-5) and not np.allclose(centre.logits, all_three.logits)
