"""The frame store: the same frames recoded, the same whoever makes it, read instead of the originals where that is asked for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.core import registry
from harness.core.cells import Selection
from harness.core.contract import Clip
from harness.core.errors import BrokenVideo, HarnessError
from harness.core.workspace import resolve_workspace
from harness.data import derived, frame_store, loader, prepare
from harness.planning.plan import make_plan
from harness.planning.selection import cells
from harness.video import decode, encode
from tests import videos
from tests.toy_set import CARD, contents, everything, kill_at_random_moments

SCALE = replace(registry.load("scale", "micro"), video_source="store", short_side_px=48)
CLIP = Clip(window=3, side_px=32)


@pytest.fixture
def toy(tmp_path) -> prepare.Prepared:
    return prepare.open_prepared(CARD, tmp_path)


def build(toy: prepare.Prepared, **how) -> derived.Store:
    return frame_store.build_store(toy, SCALE, videos=everything(toy), **how)


def test_stored_frames_are_the_originals_but_for_the_recoding(toy):
    built = build(toy)
    for video in everything(toy):
        original = decode.read_video(toy.path(video), short_side_px=48)
        stored = decode.read_video(built.path(video), short_side_px=48)
        assert stored.shape == original.shape
        assert 0 < np.abs(stored.astype(int) - original).mean() < 4
        assert videos.numbers(stored) == videos.numbers(original)


@pytest.mark.parametrize("height, width", [(48, 64), (49, 65), (48, 85), (50, 51)])
def test_any_size_is_kept_to_the_pixel_and_any_square_is_cut(tmp_path, height, width):
    noise = np.random.default_rng(0).integers(0, 256, (30, height // 4 + 1, width // 4 + 1, 3), np.uint8)
    frames = noise.repeat(4, 1).repeat(4, 2)[:, :height, :width]
    with (tmp_path / "v.mp4").open("wb") as file:
        comment = f"{frame_store.STORED} {width}x{height}"
        assert encode.write_stream(file, iter(frames), codec="mpeg4-store", fps=25.0, comment=comment) == 30
    whole = decode.read_video(tmp_path / "v.mp4", short_side_px=999)
    assert whole.shape == frames.shape and np.abs(whole.astype(int) - frames).mean() < 30
    wanted = [20, 3, 29, 29]
    for square in ((0, 0, 48), (1, 3, 40), (height - 31, width - 33, 31)):
        window = decode.read_window(tmp_path / "v.mp4", wanted, crop=lambda *_, square=square: square)
        top, left, side = square
        assert (window == whole[wanted, top : top + side, left : left + side]).all()


def test_frames_that_need_no_resizing_are_opencvs_conversion_of_the_whole_frame(tmp_path):
    """What a crop leaves out is not converted; what it holds is what it would have been."""
    import av
    import cv2

    path = tmp_path / "v.mp4"
    videos.write(path, videos.numbered(6), codec="mpeg4")
    with av.open(str(path)) as container:
        whole = [cv2.cvtColor(frame.to_ndarray(), cv2.COLOR_YUV2RGB_I420) for frame in container.decode(video=0)]
    assert (decode.read_video(path, short_side_px=48) == np.stack(whole)).all()
    for square in ((0, 0, 31), (1, 0, 32), (5, 7, 33), (17, 33, 31)):
        window = decode.read_window(path, [1, 4], short_side_px=48, crop=lambda *_, square=square: square)
        top, left, side = square
        assert (window == np.stack(whole)[[1, 4], top : top + side, left : left + side]).all()


def test_processes_make_the_same_bytes_and_a_second_call_does_nothing(toy, tmp_path, monkeypatch):
    told: list[derived.Estimate] = []
    alone = build(toy)
    other = prepare.open_prepared(CARD, tmp_path / "other")
    shared = build(other, workers=2, announce=told.append)
    assert contents(alone.folder) == contents(shared.folder)
    assert [(one.videos, one.there, one.workers, one.sampled) for one in told] == [(4, 0, 2, 3)]
    assert told[0].seconds > 0
    monkeypatch.setattr(derived, "_make", None)
    assert build(toy, announce=told.append).folder == alone.folder and len(told) == 1


def test_the_estimate_is_what_it_comes_to(toy):
    told: list[derived.Estimate] = []
    built = build(toy, announce=told.append)
    taken = sum(path.stat().st_size for path in built.folder.rglob("*.mp4"))
    assert told[0].bytes == pytest.approx(taken, rel=0.5)


def test_readers_decode_the_store_and_flow_and_stills_never_do(toy, monkeypatch):
    built = build(toy)
    reader = loader.VideoReader(toy, streams=("rgb",), scale=SCALE, frame_store=built, cache_bytes=0)
    (batch,) = loader.train_batches(reader, everything(toy)[:2], clip=CLIP, batch=2, seed=0, steps=1)
    plain = replace(SCALE, video_source="originals")
    direct = loader.VideoReader(toy, streams=("rgb",), scale=plain, cache_bytes=0)
    (expected,) = loader.train_batches(direct, everything(toy)[:2], clip=CLIP, batch=2, seed=0, steps=1)
    away = np.abs(batch.clips["rgb"].astype(int) - expected.clips["rgb"]).mean()
    assert batch.ids == expected.ids and 0 < away < 5
    with pytest.raises(HarnessError, match="pass frame_store"):
        loader.VideoReader(toy, streams=("rgb",), scale=SCALE)
    loader.VideoReader(replace(toy, dataset=replace(CARD, kind="images")), streams=("rgb",), scale=SCALE)


RAW = replace(SCALE, video_source="raw-store")


def build_raw(toy: prepare.Prepared, scale=RAW, **how) -> derived.Store:
    return frame_store.build_store(toy, scale, videos=everything(toy), **how)


@pytest.mark.parametrize("short_side_px", [48, 56])
def test_raw_frames_no_larger_than_asked_for_are_the_originals_bit_for_bit(toy, short_side_px):
    built = build_raw(toy, replace(RAW, short_side_px=short_side_px))
    for video in everything(toy):
        how = {"short_side_px": short_side_px}
        original = decode.read_video(toy.path(video), **how)
        assert built.path(video).suffix == ".avi"
        assert np.array_equal(decode.read_video(built.path(video), **how), original)
        last = len(original) - 1
        for wanted in ([0, 1, 2], [last, 0, last // 2], [last + 3]):
            window = decode.read_window(built.path(video), wanted, crop=lambda *_: (3, 5, 32), **how)
            assert np.array_equal(window, original[np.minimum(wanted, last), 3:35, 5:37])


def test_larger_ones_are_made_smaller_and_turned_ones_set_upright(toy, tmp_path):
    for video in everything(toy):
        smaller = decode.read_video(build_raw(toy, replace(RAW, short_side_px=30)).path(video), short_side_px=30)
        original = decode.read_video(toy.path(video), short_side_px=30)
        # Blocks of pure colours: halved chroma of so small pictures is a few grey levels.
        assert smaller.shape == original.shape and np.abs(smaller.astype(int) - original).mean() < 6
    videos.write(tmp_path / "turned.mp4", videos.numbered(8), codec="mpeg4", rotation=90)
    with pytest.raises(decode.NotStorable):
        list(decode.iter_planes(tmp_path / "turned.mp4", short_side_px=99))
    recipe = frame_store.StoreRecipe(25.0, 64, "raw", "pyav")
    assert recipe.make(tmp_path / "turned.mp4", tmp_path / "made.avi") == 8
    upright = decode.read_video(tmp_path / "turned.mp4", short_side_px=64)
    made = decode.read_video(tmp_path / "made.avi", short_side_px=64)
    assert made.shape == upright.shape and np.abs(made.astype(int) - upright).mean() < 6


@pytest.mark.parametrize("height, width", [(48, 64), (50, 86), (34, 50)])
def test_planes_of_any_even_size_come_back_as_they_were(tmp_path, height, width):
    noise = np.random.default_rng(0).integers(0, 256, (12, height * 3 // 2, width), np.uint8)
    with (tmp_path / "v.avi").open("wb") as file:
        assert encode.write_stream(file, iter(noise), codec="raw", fps=25.0, comment="") == 12
    assert np.array_equal(np.stack(list(decode.iter_planes(tmp_path / "v.avi"))), noise)
    with pytest.raises(decode.NotStorable):
        list(decode.iter_planes(tmp_path / "v.avi", short_side_px=height - 1))


def test_raw_frames_take_what_was_foretold_and_are_another_store(toy):
    told: list[derived.Estimate] = []
    built, recoded = build_raw(toy, announce=told.append), build(toy)
    assert built.folder != recoded.folder and frame_store.store_key(RAW) != frame_store.store_key(SCALE)
    assert told[0].bytes == pytest.approx(sum(path.stat().st_size for path in built.folder.rglob("*.avi")), rel=0.2)


def test_broken_originals_stay_broken_and_damaged_files_of_ours_are_not_their_fault(toy):
    third, fourth = everything(toy)[2:]
    toy.path(third).write_bytes(b"\0" * toy.path(third).stat().st_size)
    built = build(toy)
    assert list(built.broken) == list(build(toy).broken) == [third.id]
    with pytest.raises(BrokenVideo, match=r"v2\.avi"):
        built.path(third)
    built.path(fourth).write_bytes(b"damaged")
    reader = loader.VideoReader(toy, streams=("rgb",), scale=SCALE, frame_store=built)
    with pytest.raises(HarnessError, match="delete it, then run harness data prepare toy --store") as raised:
        reader.check(fourth)
    assert not isinstance(raised.value, BrokenVideo)


def test_jobs_that_read_the_store_have_other_ids_and_others_keep_theirs():
    def decoder_of(**said):
        asked = Selection(("c3d",), ("rgb",), ("micro-hmdb51",), protocols=("original",), overrides=tuple(said.items()))
        return make_plan(cells(asked), resolve_workspace("/nowhere", "/nowhere")).jobs[-1].spec.decoder

    assert decoder_of() == decode.decoder_key()
    key = decoder_of(**{"scale.video_source": "store"})
    assert key["from"] == decode.decoder_key() and key["options"]["g"] == "12"
    assert decoder_of(**{"scale.video_source": "store", "scale.short_side_px": "60"}) != key


# ------------------------------------------------------------------------------------------------ faults


PREPARE = (
    "import sys; from pathlib import Path; from tests.unit import test_frame_store as t; from harness.data import prepare\n"
    "t.build(prepare.open_prepared(t.CARD, Path(sys.argv[1])), announce=lambda estimate: None)"
)


def kill_and_finish(tmp_path: Path, moments_s: list[float]) -> None:
    """Killed at each of these moments after its start; then left alone: bit for bit as an undisturbed store."""
    whole = contents(build(prepare.open_prepared(CARD, tmp_path / "whole")).folder)
    command = [sys.executable, "-c", PREPARE, str(tmp_path / "killed")]
    for moment_s in moments_s:
        process = subprocess.Popen(command, start_new_session=True)
        time.sleep(moment_s)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    ready = prepare.open_prepared(CARD, tmp_path / "killed")
    assert contents(build(ready).folder) == whole


def test_killed_twice_the_store_ends_the_same(tmp_path):
    prepare.open_prepared(CARD, tmp_path / "killed")
    kill_and_finish(tmp_path, [0.9, 1.2])


@pytest.mark.faults
def test_killed_at_random_moments_the_store_ends_the_same(tmp_path):
    """20 kills between start-up and the end."""
    whole = contents(build(prepare.open_prepared(CARD, tmp_path / "whole")).folder)

    def same(folder: Path) -> None:
        ready = prepare.open_prepared(CARD, folder)
        found = [path for path in ready.store.iterdir() if path.name.startswith("frames-")]
        assert [contents(path) for path in found] == [whole]

    sys.stdout.write(kill_at_random_moments(PREPARE, tmp_path, same) + "\n")


FILLS = (
    "import resource, sys; from pathlib import Path; from harness.core.errors import HarnessError\n"
    "from tests.unit import test_frame_store as t; from harness.data import prepare\n"
    "toy = prepare.open_prepared(t.CARD, Path(sys.argv[1]))\n"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
    "try:\n    t.build(toy)\n"
    "except HarnessError as error:\n    print(error)\n"
)


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file sizes to set")
def test_a_disk_that_fills_leaves_nothing_half_written(tmp_path):
    """The system refuses to let a file grow. What is there is whole; the next run makes the rest."""
    done = subprocess.run([sys.executable, "-c", FILLS, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "File too large" in done.stdout and "to resume" in done.stdout, done.stdout + done.stderr
    toy = prepare.open_prepared(CARD, tmp_path)
    there = list(toy.store.rglob("*.mp4"))
    assert len(there) < 4 and not list(toy.store.rglob(".*.half"))
    assert contents(build(toy).folder) == contents(build(prepare.open_prepared(CARD, tmp_path / "whole")).folder)
