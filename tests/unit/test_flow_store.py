"""Stored optical flow: the computed flow, bit for bit, also after kills and full disks."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.core.contract import FlowMethod
from harness.core.errors import BrokenVideo, DataMissing, HarnessError
from harness.data import derived, prepare
from harness.data.derived import open_store
from harness.data.flow_store import FlowRecipe, flow_store
from harness.video import decode
from harness.video.flow import codec, estimation, file
from tests import videos
from tests.toy_set import CARD, LENGTHS, contents, everything, kill_at_random_moments

METHOD = FlowMethod("dis", 20.0, 24, params={"preset": 0})


@pytest.fixture
def toy(tmp_path) -> prepare.Prepared:
    return prepare.open_prepared(CARD, tmp_path)


def store_of(toy: prepare.Prepared, method: FlowMethod = METHOD, **how) -> derived.Store:
    return flow_store(toy, method, videos=everything(toy), fps=25.0, **how)


def test_stored_flow_is_the_computed_flow_of_every_frame(toy):
    told = []
    store = store_of(toy, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    for video, length in zip(everything(toy), LENGTHS):
        frames = decode.read_video(toy.path(video), short_side_px=24)
        codes = file.FlowFile(store.path(video)).read()
        assert codes.shape == (length, 24, 32, 2) and codes.dtype == np.uint8
        assert (codes == codec.encode(estimation.compute(frames, METHOD), METHOD)).all()


def test_processes_store_the_same_bytes_and_a_second_call_computes_nothing(toy, tmp_path, monkeypatch):
    alone = store_of(toy)
    other = prepare.open_prepared(CARD, tmp_path / "other")
    shared = store_of(other, workers=2)
    assert contents(alone.folder) == contents(shared.folder)
    monkeypatch.setattr(derived, "_make", None)
    assert store_of(toy).folder == alone.folder


def test_two_methods_never_mix(toy):
    folders = {store_of(toy).folder, store_of(toy, replace(METHOD, bound_px=6.0)).folder}
    folders.add(flow_store(toy, METHOD, videos=everything(toy), fps=12.5).folder)
    assert len(folders) == 3


def test_a_replaced_video_gets_new_flow(toy, tmp_path):
    store_of(toy)
    first = everything(toy)[0]
    videos.write(toy.path(first), videos.numbered(12), codec="mpeg4")
    os.utime(toy.root / "class0")
    again = prepare.open_prepared(CARD, tmp_path)
    assert file.FlowFile(store_of(again).path(first)).shape[0] == 12


def test_broken_videos_are_named_and_the_rest_is_computed(toy):
    whole = toy.path(everything(toy)[2]).read_bytes()
    toy.path(everything(toy)[2]).write_bytes(b"\0" * len(whole))
    store = store_of(toy)
    assert list(store.broken) == [everything(toy)[2].id]
    assert len(file.FlowFile(store.path(everything(toy)[3])).read()) == 4
    with pytest.raises(BrokenVideo, match=r"v2\.avi"):
        store.path(everything(toy)[2])


def test_too_little_space_is_told_before_anything_is_computed(toy, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(HarnessError, match=r"GB free.*--data"):
        store_of(toy)
    assert not list(toy.store.glob("flow-*"))


def test_a_disk_that_fills_leaves_nothing_half_written(toy, monkeypatch):
    def full(path, codes):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    really = file.write
    monkeypatch.setattr(file, "write", full)
    with pytest.raises(HarnessError, match=r"No space left on device.*to resume"):
        store_of(toy)
    assert not list(toy.store.rglob(".*.half")), "a half-written file is left"
    monkeypatch.setattr(file, "write", really)
    store = store_of(toy)
    assert len(contents(store.folder)) == 5, "four videos and the key"


@pytest.mark.faults
def test_killed_at_random_moments_the_store_ends_the_same(tmp_path):
    """20 kills between start-up and the end; the last run finishes. Bit for bit as an undisturbed store."""
    here = prepare.open_prepared(CARD, tmp_path / "whole")
    whole = contents(store_of(here, SLOW).folder)

    def same(folder: Path) -> None:
        ready = prepare.open_prepared(CARD, folder)
        assert ready.fingerprint == here.fingerprint
        found = [path for path in ready.store.iterdir() if path.name.startswith("flow-")]
        assert [contents(path) for path in found] == [whole]

    sys.stdout.write(kill_at_random_moments(PREPARE, tmp_path, same) + "\n")


SLOW = FlowMethod("tvl1", 20.0, 48)
PREPARE = (
    "import sys; from pathlib import Path; from tests.unit import test_flow_store as t; from harness.data import prepare\n"
    "toy = prepare.open_prepared(t.CARD, Path(sys.argv[1])); t.store_of(toy, t.SLOW)"
)


def test_a_store_is_opened_as_it_was_made_and_names_what_is_gone(toy):
    made = store_of(toy)
    recipe = FlowRecipe(METHOD, 25.0)
    opened = open_store(toy, recipe, everything(toy))
    assert (opened.folder, opened.broken) == (made.folder, made.broken)
    first = everything(toy)[0]
    opened.path(first).unlink()
    with pytest.raises(
        DataMissing, match=rf"optical flow of 1 of \d+ videos of toy is not in .*\({first.id}, for one\)"
    ):
        open_store(toy, recipe, everything(toy))
