"""Frames as a card wants them: rate, size, pixel values and views reach the network, and the job id holds them."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
import torch

from harness.core import registry
from harness.core.cells import Selection
from harness.core.contract import Clip, FlowMethod, Frames, Pixels
from harness.core.errors import HarnessError
from harness.core.job_specs import ScaleSpec, TrainSpec
from harness.core.serialization import plain, read
from harness.core.workspace import Workspace
from harness.data import loader, prepare
from harness.data.batch import Batch, to_network
from harness.data.reader import VideoReader
from harness.planning.plan import Planner
from harness.planning.selection import cells
from harness.protocols.scales.micro import SCALE as MICRO
from harness.video import decode
from harness.video.encode import write_video
from harness.video.sampling import test_crops as crops_of
from tests.toy_set import CARD, everything

NO_FLOW = FlowMethod("none", 1.0, 0)


@pytest.fixture
def adapted(monkeypatch):
    """Function fields of Frames -> C3D with them at micro scale, registered under its own name."""
    real = registry.load

    def adapt(**fields):
        card = dataclasses.replace(real("baseline", "c3d"), frames={"micro": Frames(**fields)})
        monkeypatch.setattr(
            registry, "load", lambda kind, name: card if (kind, name) == ("baseline", "c3d") else real(kind, name)
        )
        return card

    return adapt


def spec_of(tmp_path, *overrides) -> TrainSpec:
    planner = Planner(Workspace(data=tmp_path / "data", results=tmp_path / "results"), dry_run=True)
    selection = Selection(("c3d",), datasets=("micro-hmdb51",), protocols=("original",), overrides=overrides)
    (cell,) = cells(selection)
    (job_id,) = planner.jobs_of(cell)
    return planner.jobs[job_id]


# ------------------------------------------------------------------------------------------------ rate


def test_two_rates_see_other_frames_and_have_other_ids(adapted, tmp_path):
    path = tmp_path / "v.mp4"
    ramp = np.arange(50, dtype=np.uint8).repeat(64 * 64 * 3).reshape(50, 64, 64, 3) * 5
    write_video(path, ramp, codec="h264")
    jobs, seen = [], []
    for fps in (25.0, 12.5):
        card = adapted(fps=fps)
        jobs.append(spec_of(tmp_path))
        scale = card.adapted(MICRO)
        assert jobs[-1].spec.scale.fps == scale.fps == fps
        seen.append(decode.read_window(path, [0, 1, 2, 3], fps=scale.fps, short_side_px=scale.resize)[:, 0, 0, 0])
    assert jobs[0].id != jobs[1].id
    assert not np.array_equal(*seen) and np.abs(np.diff(seen[1].astype(int))).mean() > 8
    assert not jobs[1].cell.overrides, "the card's own rate is no change of a setting"


def test_a_card_that_names_nothing_keeps_its_id(adapted, tmp_path):
    before = spec_of(tmp_path).id
    adapted()
    assert spec_of(tmp_path).id == before


def test_set_still_changes_the_rate(adapted, tmp_path):
    adapted(fps=12.5)
    job = spec_of(tmp_path, ("scale.fps", "20"))
    assert job.spec.scale.fps == 20 and job.cell.overrides == (("scale.fps", "20.0"),)


@pytest.mark.parametrize("fields", [{"fps": 0.0}, {"fps": -1.0}, {"short_side_px": 0}, {"frame_px": (0, 171)}])
def test_sizes_and_rates_that_make_no_sense_are_refused(fields, tmp_path):
    plugin = "from harness import Frames\nfrom dataclasses import replace\nfrom baselines.c3d import BASELINE as C3D\n"
    plugin += f"BASELINE = replace(C3D, name='odd', frames={{'micro': Frames(**{fields!r})}})\ndel C3D\n"
    (tmp_path / "odd.py").write_text(plugin)
    registry.use_plugins(str(tmp_path))
    try:
        with pytest.raises(HarnessError, match=f"{next(iter(fields))} must be"):
            registry.load("baseline", "odd")
    finally:
        registry.use_plugins(None)


# ------------------------------------------------------------------------------------------------ size


def test_frames_of_a_fixed_size_lose_their_aspect_as_opencv_resizes(tmp_path):
    path = tmp_path / "v.mp4"
    noise = np.random.default_rng(0).integers(0, 256, (3, 90, 200, 3), np.uint8)
    write_video(path, noise, codec="h264")
    original = decode.read_video(path, short_side_px=90)
    squashed = decode.read_video(path, short_side_px=(64, 80))
    assert squashed.shape[1:] == (64, 80, 3)
    for frame, small in zip(original, squashed, strict=True):
        assert np.array_equal(cv2.resize(frame, (80, 64), interpolation=cv2.INTER_LINEAR), small)
    window = decode.read_window(
        path, [1], short_side_px=(64, 80), crop=lambda height, width: (height - 50, width - 50, 50)
    )
    assert np.array_equal(window[0], squashed[1][-50:, -50:])


def test_bilinear_without_antialiasing_as_torchvision_resizes():
    from torchvision.transforms import functional as F

    frame = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    ours = cv2.resize(frame, (171, 128), interpolation=cv2.INTER_LINEAR).astype(int)
    theirs = F.resize(torch.from_numpy(frame).permute(2, 0, 1), [128, 171], antialias=False).permute(1, 2, 0).numpy()
    assert np.abs(ours - theirs).max() <= 1


def test_a_scale_spec_with_a_fixed_size_is_read_back_as_it_was():
    spec = ScaleSpec(
        "s", 1, 1.0, 15.0, 128, 0.1, 1e-3, True, 0.5, True, "originals", False, False, 0, frame_px=(128, 171)
    )
    assert read(ScaleSpec, plain(spec)) == spec and "frame_px" in plain(spec, for_id=True)
    assert "frame_px" not in plain(dataclasses.replace(spec, frame_px=None), for_id=True)


@pytest.mark.parametrize("override", [("scale.short_side_px", "90"), ("scale.video_source", "store")])
def test_settings_that_a_fixed_size_ignores_are_refused(adapted, tmp_path, override):
    adapted(frame_px=(54, 72))
    assert spec_of(tmp_path).spec.scale.frame_px == (54, 72)
    with pytest.raises(HarnessError, match="72x54 px whatever their aspect"):
        spec_of(tmp_path, override)


def test_a_clip_that_the_network_does_not_take_is_refused(adapted, tmp_path):
    adapted(only=(12, 48))
    with pytest.raises(HarnessError, match=r"clips of 12 frames of 48 px and no others"):
        spec_of(tmp_path)


# ------------------------------------------------------------------------------------------------ pixels


def test_pixels_are_scaled_ordered_and_normalised(adapted, tmp_path):
    codes = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 8, 3), np.uint8)
    batch = Batch({"rgb": codes}, np.zeros(2, bool), np.zeros(2, np.int64), ("a", "b"), np.zeros(2, np.int64))
    caffe = Pixels(mean=(104.0, 117.0, 123.0), std=(1.0, 1.0, 1.0), maximum=255.0, order="bgr")
    values = to_network(batch, "cpu", NO_FLOW, caffe)["rgb"]
    expected = codes[..., ::-1].astype(np.float32) - np.array([104, 117, 123], np.float32)
    np.testing.assert_allclose(values.permute(0, 2, 3, 4, 1).numpy(), expected, atol=1e-4)
    plain_values = to_network(batch, "cpu", NO_FLOW)["rgb"]
    half = Pixels(mean=(0.5,) * 3, std=(0.5,) * 3)
    torch.testing.assert_close(to_network(batch, "cpu", NO_FLOW, half)["rgb"], plain_values, atol=1e-6, rtol=0)
    before = spec_of(tmp_path)
    adapted(pixels=caffe)
    after = spec_of(tmp_path)
    assert after.spec.pixels == caffe and after.id != before.id and read(TrainSpec, plain(after.spec)) == after.spec


# ------------------------------------------------------------------------------------------------ views


def test_three_crops_lie_along_the_longer_side_and_five_in_the_corners():
    assert crops_of(100, 180, Clip(1, 100, crops=3)) == [(0, 40), (0, 0), (0, 80)]
    assert crops_of(180, 100, Clip(1, 90, crops=3)) == [(45, 5), (0, 5), (90, 5)]
    assert crops_of(100, 120, Clip(1, 90, crops=5))[1:] == [(0, 0), (0, 30), (10, 0), (10, 30)]
    assert crops_of(128, 171, Clip(1, 112)) == [(8, 29)]
    assert crops_of(128, 171, Clip(1, 112, centre="round")) == [(8, 30)]


@pytest.mark.parametrize("limit", [None, 1])
def test_ten_by_three_views_are_thirty_and_the_first_of_three_is_the_centre(tmp_path, monkeypatch, limit):
    """Also where a video's views are cut in parts."""
    if limit is not None:
        monkeypatch.setattr(loader, "WHOLE_VIEWS_BYTES", limit)
        monkeypatch.setattr(loader, "BATCH_BYTES", limit)
    prepared = prepare.open_prepared(CARD, tmp_path)
    videos = everything(prepared)
    reader = VideoReader(prepared, streams=("rgb",), scale=MICRO)
    clip = Clip(window=4, side_px=40, count=10)

    def views(crops):
        cut = dataclasses.replace(clip, crops=crops)
        batches = list(loader.test_batches(reader, videos[:2], clip=cut, batch=7))
        numbers = np.concatenate([batch.views for batch in batches])
        assert [id_ for batch in batches for id_ in batch.ids] == [v.id for v in videos[:2] for _ in range(10 * crops)]
        assert numbers.tolist() == [*range(10 * crops)] * 2
        return np.concatenate([batch.clips["rgb"] for batch in batches])

    assert np.array_equal(views(3)[::3], views(1))


def test_views_are_settings_of_the_test_alone(tmp_path):
    job = spec_of(tmp_path, ("views.count", "10"), ("views.crops", "3"))
    assert (job.spec.test_clip.count, job.spec.test_clip.crops) == (10, 3)
    assert job.cell.overrides == (("views.count", "10"), ("views.crops", "3"))
    for key, value, message in (
        ("views.crops", "4", "expected one of 1, 3, 5"),
        ("views.window", "9", "have: count, crops"),
        ("views.count", "0", "expected 1 or more"),
    ):
        with pytest.raises(HarnessError, match=message):
            spec_of(tmp_path, (key, value))


def test_the_source_of_transfer_is_not_trained_again_for_other_views(tmp_path):
    def sources(*overrides):
        planner = Planner(Workspace(data=tmp_path / "d", results=tmp_path / "r"), dry_run=True)
        asked = Selection(("c3d",), datasets=("micro-hmdb51",), protocols=("full-ft",), overrides=overrides)
        (cell,) = cells(asked)
        (job_id,) = planner.jobs_of(cell)
        return planner.jobs[job_id].upstream["source"], job_id

    plain_source, plain_job = sources()
    source, job = sources(("views.count", "3"))
    assert source == plain_source and job != plain_job


def test_a_network_applied_to_the_whole_video_takes_no_views(tmp_path):
    asked = Selection(("i3d",), datasets=("micro-hmdb51",), protocols=("original",), overrides=(("views.crops", "3"),))
    with pytest.raises(HarnessError, match="takes no views"):
        cells(asked)
