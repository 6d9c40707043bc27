"""Batches: the same for any number of workers, any cache and any point of resuming; every test view exactly once."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.core.contract import Clip, FlowMethod, Scale, Schedule
from harness.core.errors import BrokenVideo, HarnessError
from harness.data import derived, loader, prepare
from harness.data.columns import Columns
from harness.data.flow_store import flow_store
from harness.jobs import context
from harness.jobs.context import Data
from harness.video import decode, sampling
from harness.video.flow import codec
from harness.video.flow.file import FlowFile
from tests import videos
from tests.motion import mirrored
from tests.toy_set import CARD, everything, read

METHOD = FlowMethod("dis", 6.0, 48, params={"preset": 0})
SCALE = Scale("toy", 1, 1.0, 25.0, 48, 0.1, 0.0, METHOD, {})
CLIP = Clip(window=6, side_px=40, strides={"rgb": 2})
LENGTHS = (4, 30, 9, 6, 17)


def render(root, progress=None) -> None:
    for number, length in enumerate(LENGTHS):
        videos.write(root / f"v{number}.avi", videos.numbered(length, first=40 * number), codec="mpeg4")
    (root / "list.txt").write_text("".join(f"v{n}.avi {n % 2}\n" for n in range(len(LENGTHS))))


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> prepare.Prepared:
    return prepare.open_prepared(replace(CARD, render=render, read=read), tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def store(toy) -> derived.Store:
    return flow_store(toy, METHOD, videos=everything(toy), fps=25.0)


@pytest.fixture
def reader(toy, store) -> loader.VideoReader:
    return loader.VideoReader(toy, streams=("rgb", "flow"), scale=SCALE, flow_store=store, cache_bytes=2**20)


def train(reader, **how) -> list[loader.Batch]:
    settings = {"clip": CLIP, "batch": 3, "seed": 7, "steps": 9, "flip": True, **how}
    return list(loader.train_batches(reader, everything(reader.prepared), **settings))


def assert_same(one: list[loader.Batch], other: list[loader.Batch]) -> None:
    assert len(one) == len(other) > 0
    for here, there in zip(one, other):
        assert here.ids == there.ids
        assert (here.flips == there.flips).all() and (here.labels == there.labels).all()
        assert here.clips.keys() == there.clips.keys()
        for stream in here.clips:
            assert np.array_equal(np.asarray(here.clips[stream]), np.asarray(there.clips[stream])), stream


# ---------------------------------------------------------------------------------------------------- training


def test_training_batches_have_the_promised_shapes(reader):
    first = train(reader)[0]
    assert {stream: clip.shape for stream, clip in first.clips.items()} == {
        "rgb": (3, 3, 40, 40, 3),
        "flow": (3, 6, 40, 40, 2),
    }
    assert all(clip.dtype == np.uint8 for clip in first.clips.values())
    assert first.labels.dtype == np.int64 and first.flips.dtype == bool and len(first.ids) == 3
    truth = {video.id: video.label for video in everything(reader.prepared)}
    assert [truth[video] for video in first.ids] == first.labels.tolist()


def test_every_epoch_visits_every_video_once_in_a_new_order(reader):
    ids = [video for batch in train(reader, steps=10) for video in batch.ids]
    epochs = [ids[start : start + 5] for start in range(0, 30, 5)]
    assert all(set(epoch) == {f"v{n}" for n in range(5)} for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1
    assert [batch.ids for batch in train(reader, seed=8)] != [batch.ids for batch in train(reader)]


def test_frames_are_consecutive_and_shared_by_both_streams(reader, toy, store):
    """Both streams show the same frames of the same square: found again in the whole video."""
    for batch in train(reader, steps=6):
        for row, video_id in enumerate(batch.ids):
            video = next(video for video in everything(toy) if video.id == video_id)
            number = everything(toy).index(video)
            whole = decode.read_video(toy.path(video), short_side_px=48)
            codes = FlowFile(store.path(video)).read()
            places = [
                (start, top, left)
                for start in range(len(whole))
                for top in range(9)
                for left in range(25)
                if (whole[start, top : top + 40, left : left + 40] == batch.clips["rgb"][row, 0]).all()
            ]
            assert len(places) == 1
            start, top, left = places[0]
            assert start <= max(0, LENGTHS[number] - CLIP.window)
            frames = (start + np.arange(6)) % LENGTHS[number]
            assert (batch.clips["rgb"][row] == whole[frames[::2], top : top + 40, left : left + 40]).all()
            assert (batch.clips["flow"][row] == codes[frames, top : top + 40, left : left + 40]).all()


def test_starts_crops_and_flips_vary_between_epochs(reader):
    seen = [
        (batch.clips["rgb"][row].tobytes(), bool(batch.flips[row]))
        for batch in train(reader, steps=20)
        for row, video_id in enumerate(batch.ids)
        if video_id == "v1"
    ]
    assert len({clip for clip, _ in seen}) > 8
    assert {flip for _, flip in seen} == {True, False}


def test_switching_flips_off_changes_nothing_else(reader):
    without = train(reader, flip=False)
    assert not any(batch.flips.any() for batch in without)
    assert_same([replace(batch, flips=batch.flips & False) for batch in train(reader)], without)


def test_resumed_uncached_and_worked_ahead_batches_are_the_same(toy, store, reader):
    unbroken = train(reader)
    assert_same(unbroken[4:], train(reader, numbers=range(4, 9)))
    seeking = loader.VideoReader(toy, streams=("rgb", "flow"), scale=SCALE, flow_store=store, cache_bytes=0)
    assert_same(unbroken, train(seeking))
    assert not len(seeking.cache) and len(reader.cache) == 10
    assert_same(unbroken[5:], train(reader, numbers=range(5, 9), workers=1))


def test_videos_are_packed_once_for_all_processes(reader, toy, monkeypatch):
    sent = []
    monkeypatch.setattr(loader, "ordered_map", lambda make, *_, **__: iter(sent.append(make) or ()))
    assert train(reader, workers=4) == []
    (step,) = sent
    copies = [pickle.loads(pickle.dumps(step)) for _ in range(2)]
    assert isinstance(step.videos, Columns) and list(step.videos) == everything(toy) == list(copies[1].videos)


def test_the_cache_keeps_to_its_budget(toy):
    two_videos = 3 * 48 * 64 * (4 + 9)
    small = loader.VideoReader(toy, streams=("rgb",), scale=SCALE, cache_bytes=two_videos)
    train(small, steps=20)
    assert 0 < small.cache.bytes <= two_videos


def test_a_broken_video_stops_training_or_is_skipped(tmp_path):
    toy = prepare.open_prepared(replace(CARD, render=render, read=read), tmp_path)
    half = toy.path(everything(toy)[1]).read_bytes()
    toy.path(everything(toy)[1]).write_bytes(half[: len(half) // 2] + b"\0" * (len(half) - len(half) // 2))
    reader = loader.VideoReader(toy, streams=("rgb",), scale=SCALE, cache_bytes=2**20)
    with pytest.raises(BrokenVideo, match=r"v1\.avi"):
        train(reader)
    skipped: set[str] = set()
    batches = train(reader, skipped=skipped)
    assert skipped == {"v1"}
    assert all(len(batch.ids) == 3 and "v1" not in batch.ids for batch in batches)
    assert_same(batches[3:], train(reader, skipped=set(), numbers=range(3, 9)))
    seen: list[str] = []
    tested = list(loader.test_batches(reader, everything(toy), clip=CLIP, batch=3, broken=seen))
    assert seen == ["v1"]
    assert [batch.ids for batch in tested] == [("v0", "v2", "v3"), ("v4",)]
    with pytest.raises(BrokenVideo, match=r"v1\.avi"):
        list(loader.test_batches(reader, everything(toy), clip=CLIP, batch=2))

    strict, tolerant = (Data(toy, toy.listing(1), reader, SCALE.flow, "cpu", 0, how) for how in ("stop", "skip"))
    with pytest.raises(BrokenVideo, match=r"v1\.avi.*--on-bad-video skip; `harness data verify toy --thorough`"):
        list(strict.held_out_views(everything(toy), CLIP))
    assert sum(len(ids) for _, ids in tolerant.held_out_views(everything(toy), CLIP)) == 4
    assert tolerant.skipped == {"v1"}


def test_flow_without_its_store_is_refused(toy):
    with pytest.raises(HarnessError, match="pass flow_store"):
        loader.VideoReader(toy, streams=("flow",), scale=SCALE)


def test_flow_computed_at_another_size_is_resized_with_its_vectors(toy, store):
    half = replace(METHOD, short_side_px=24)
    small = flow_store(toy, half, videos=everything(toy), fps=25.0)
    reader = loader.VideoReader(toy, streams=("rgb", "flow"), scale=replace(SCALE, flow=half), flow_store=small)
    (batch,) = train(reader, steps=1)
    assert batch.clips["flow"].shape == (3, 6, 40, 40, 2)
    video = everything(toy)[1]
    frames = {"rgb": np.arange(6), "flow": np.arange(6)}
    (clip,) = reader.clips(video, [frames], 48, lambda height, width: (0, 8))
    px = codec.decode(clip["flow"], half) * half.bound_px
    expected = codec.resize_flow(codec.decode(FlowFile(small.path(video)).read()[:6], half) * half.bound_px, 48, 64)[
        :, :, 8:56
    ]
    assert np.abs(px - np.clip(expected, -6, 6)).max() <= 6 / 127


# ---------------------------------------------------------------------------------------------------- testing


@pytest.mark.parametrize(
    "clip", [replace(CLIP, dense=True), replace(CLIP, count=4), CLIP], ids=["dense", "four", "one"]
)
def test_every_view_of_every_video_exactly_once_in_order(reader, toy, clip):
    batches = list(loader.test_batches(reader, everything(toy), clip=clip, batch=4, broken=[]))
    got = [(video, int(view)) for batch in batches for video, view in zip(batch.ids, batch.views)]
    wanted = [
        (f"v{n}", view)
        for n, length in enumerate(LENGTHS)
        for view in range(len(sampling.test_positions(length, clip)))
    ]
    assert got == wanted
    assert all(len(batch.ids) == 4 for batch in batches[:-1])
    assert not any(batch.flips.any() for batch in batches)


def test_processes_give_the_same_views(reader, toy):
    clip = replace(CLIP, count=2)
    alone, helped = (
        list(loader.test_batches(reader, everything(toy), clip=clip, batch=3, broken=[], workers=workers))
        for workers in (0, 1)
    )
    assert_same(alone, helped)


@pytest.mark.parametrize(("device", "pinned"), [("cpu", False), ("cuda:1", True)])
def test_a_job_decodes_in_its_processes_and_pins_memory_only_for_a_gpu(reader, toy, monkeypatch, device, pinned):
    calls = {}

    def recorded(name):
        return lambda *_, **given: calls.update({name: given}) or iter(())

    for name in ("train_batches", "test_batches"):
        monkeypatch.setattr(loader, name, recorded(name))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(context, "prefetch_to_device", lambda batches, *_: batches)
    data = Data(toy, toy.listing(1), reader, SCALE.flow, device, 3, "stop")
    assert not list(data.steps(everything(toy), CLIP, Schedule(4, 2, 0.1), seed=0, flip=False)(0))
    assert not list(data.held_out_views(everything(toy)[:2], CLIP))
    assert (calls["train_batches"]["workers"], calls["train_batches"]["pinned"]) == (3, pinned)
    assert calls["test_batches"]["workers"] == 2, "not more processes than videos"


def test_a_long_video_is_read_in_parts_wherever_it_was_checked(reader, toy, monkeypatch):
    expected = list(loader.test_batches(reader, everything(toy), clip=CLIP, batch=3, broken=[]))
    monkeypatch.setattr(loader, "WHOLE_VIEWS_BYTES", 0)
    views_of = loader._TestVideo(reader, CLIP, tolerant=True)
    assert {views_of(video) for video in everything(toy)} == {loader.LONG}, "nothing to send to another process"
    assert_same(expected, list(loader.test_batches(reader, everything(toy), clip=CLIP, batch=3, broken=[])))


def test_test_views_are_the_centre_of_the_right_frames(reader, toy, store):
    clip = replace(CLIP, dense=True)
    batches = list(loader.test_batches(reader, everything(toy), clip=clip, batch=3, broken=[]))
    for batch in batches:
        for row, (video_id, view) in enumerate(zip(batch.ids, batch.views)):
            video = everything(toy)[int(video_id[1:])]
            frames = sampling.test_positions(LENGTHS[int(video_id[1:])], clip)[view]
            whole = decode.read_video(toy.path(video), short_side_px=48)
            assert (batch.clips["rgb"][row] == whole[frames["rgb"], 4:44, 12:52]).all()
            assert (batch.clips["flow"][row] == FlowFile(store.path(video)).read()[frames["flow"], 4:44, 12:52]).all()


def test_views_too_large_to_hold_together_are_the_same(reader, toy, monkeypatch):
    clip = replace(CLIP, dense=True)
    together = list(loader.test_batches(reader, everything(toy), clip=clip, batch=3, broken=[]))
    monkeypatch.setattr(loader, "WHOLE_VIEWS_BYTES", 2 * 6 * 40 * 40 * 3)
    uncached = loader.VideoReader(
        toy, streams=("rgb", "flow"), scale=SCALE, flow_store=reader.flow_store, cache_bytes=0
    )
    assert_same(together, list(loader.test_batches(uncached, everything(toy), clip=clip, batch=3, broken=[])))


# ---------------------------------------------------------------------------------------------------- to the network


@pytest.mark.parametrize("code", ["zero-exact", "released-256"])
def test_the_network_gets_the_contract_layout_and_flips(reader, code):
    method = replace(METHOD, quantization=code)
    batch = next(batch for batch in train(reader) if 0 < batch.flips.sum() < 3)
    tensors = loader.to_network(batch, "cpu", method)
    assert tensors["rgb"].shape == (3, 3, 3, 40, 40) and tensors["flow"].shape == (3, 2, 6, 40, 40)
    for stream, tensor in tensors.items():
        assert tensor.dtype == torch.float32
        assert tensor.is_contiguous(memory_format=torch.channels_last_3d)
        assert -1 <= tensor.min() < 0 < tensor.max() <= 1
        for row, flipped in enumerate(batch.flips):
            expected = batch.clips[stream][row]
            plain = codec.decode(expected, method) if stream == "flow" else expected.astype(np.float32) / 127.5 - 1
            if flipped:
                plain = mirrored(plain) if stream == "flow" else plain[:, :, ::-1]
            assert np.allclose(tensor[row].permute(1, 2, 3, 0).numpy(), plain, atol=1e-6)


def test_stills_go_the_same_way(tmp_path):
    import cv2

    (tmp_path / "toy").mkdir()
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"toy/v{number}.png"), videos.numbered(1, first=number)[0, :, :, ::-1])
    (tmp_path / "toy/list.txt").write_text("v0.png 0\nv1.png 1\nv2.png 0\n")
    toy = prepare.open_prepared(replace(CARD, kind="images", render=None), tmp_path)
    reader = loader.VideoReader(toy, streams=("rgb",), scale=SCALE, cache_bytes=2**20)
    still = Clip(window=1, side_px=40)
    (batch,) = loader.train_batches(reader, everything(toy), clip=still, batch=3, seed=0, steps=1, flip=True)
    assert batch.clips["rgb"].shape == (3, 1, 40, 40, 3)
    assert loader.to_network(batch, "cpu", METHOD)["rgb"].shape == (3, 3, 1, 40, 40)
    frugal = loader.VideoReader(toy, streams=("rgb",), scale=SCALE, cache_bytes=0)
    again = loader.train_batches(frugal, everything(toy), clip=still, batch=3, seed=0, steps=1, flip=True)
    assert_same([batch], list(again))
    assert len(reader.cache) == 3 and not len(frugal.cache)
    found = [batch.ids for batch in loader.test_batches(reader, everything(toy), clip=still, batch=2, broken=[])]
    assert Counter(id_ for ids in found for id_ in ids) == Counter(["v0", "v1", "v2"])


def test_a_training_that_ends_early_ends_its_process_quietly(capfd):
    """A plateau or an error leaves the loader while its process is in the middle of a batch."""
    batches = loader.ordered_map(videos.large_batch, range(1000), 1)
    assert len(next(batches).ids) == 12
    batches.close()
    assert capfd.readouterr().err == ""
