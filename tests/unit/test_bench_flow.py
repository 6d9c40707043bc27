"""The flow benchmarks: processes share a round's pairs, and methods that computed something else are not compared."""

from __future__ import annotations

import dataclasses
import importlib.util

import numpy as np
import pytest

from benchmarks.ratios import flow, videos
from benchmarks.ratios.case import Case, Machine, Parallel
from harness.core.errors import HarnessError
from tests.motion import moved, texture

WHOLE = Case("flow", reader="tvl1", size=3, side_px=32)


@pytest.fixture(autouse=True)
def small_scene(monkeypatch):
    pytest.importorskip("cv2")
    picture = texture(16, 24)
    frames = [moved(picture, x_px=0.5 * k) for k in range(6)]
    monkeypatch.setattr(videos, "scene", lambda number: np.repeat(np.stack(frames)[..., None], 3, axis=-1))


@pytest.mark.parametrize("reader", ["tvl1", "tvl1-torch"])
def test_shares_are_the_whole(reader):
    whole = flow.flow(WHOLE)
    assert whole.facts["pairs"] == 3 and whole.step() == whole.facts["length_px"] > 0.3
    shares = [flow.flow(part) for part in Parallel(dataclasses.replace(WHOLE, reader=reader, batch=2)).parts]
    assert [share.facts["pairs"] for share in shares] == [2, 1]
    together = {"parts": [share.facts for share in shares]}
    assert flow.facts_of(together, whole.facts, [0.5, 0.25, 0.5], [1.0]) == {"note": "6.0 pairs/s"}


def test_what_was_left_out_or_is_another_flow_is_told():
    whole = {"pairs": 3, "length_px": 1.0}
    with pytest.raises(HarnessError, match=r"2 pairs of 1\.00 px on average, and 3"):
        flow.facts_of({"pairs": 2, "length_px": 1.0}, whole, [1.0], [1.0])
    with pytest.raises(HarnessError, match=r"3 pairs of 0\.50 px"):
        flow.facts_of({"pairs": 3, "length_px": 0.5}, whole, [1.0], [1.0])


def test_each_back_end_that_is_here_is_timed(monkeypatch):
    def names(device: str) -> list[str]:
        return [pair.name for pair in flow.pairs(Machine(device, threads=2, quick=False))]

    both = ["tvl1-own 224x224", "tvl1-torch 224x224"]
    assert names("cpu") == both and names("cuda") == [*both, "tvl1-torch 224x224 cuda"]
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "numba" else real(name))
    assert names("cpu") == both[1:]
