"""Optical flow: its sign and size, its codes, its geometry, its key."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from harness.core.contract import FlowMethod
from harness.core.errors import HarnessError, UnknownName
from harness.planning import keys
from harness.planning.selection import apply_overrides
from harness.scales.micro import SCALE as MICRO
from harness.video.flow import codec, methods
from tests import videos

FAST = FlowMethod("tvl1", 20.0, 48, params={"nscales": 3, "scale_step": 0.5, "warps": 2, "inner": 30, "outer": 1})
DIS = FlowMethod("dis", 20.0, 48)
CODES = [replace(FAST, quantization="zero-exact"), replace(FAST, quantization="released-256")]


def inside(flows: np.ndarray) -> np.ndarray:
    """Away from borders and from the still number blocks."""
    return flows[:, 22:-6, 10:-10]


@pytest.mark.parametrize("method", [FAST, DIS], ids=["tvl1", "dis"])
def test_a_texture_moving_right_has_positive_x(method):
    frames = videos.numbered(4, speed_px=1.5)
    flows = codec.compute(frames, method)
    assert flows.shape == (4, 48, 64, 2) and flows.dtype == np.float32
    assert inside(flows)[..., 0].mean() == pytest.approx(1.5, abs=0.25)
    assert abs(inside(flows)[..., 1].mean()) < 0.15
    assert (flows[-1] == flows[-2]).all(), "the last frame repeats the flow before it"
    assert not (flows[0] == flows[1]).all()


def test_y_is_the_second_component():
    frames = videos.numbered(3, speed_px=1.5)[:, 16:].transpose(0, 2, 1, 3).copy()
    flows = codec.compute(frames, FAST)[:, 10:-10, 6:-6]
    assert flows[..., 1].mean() == pytest.approx(1.5, abs=0.25) and abs(flows[..., 0].mean()) < 0.15


def test_one_frame_has_no_motion_and_a_still_video_none_either():
    frame = videos.numbered(1)
    assert (codec.compute(frame, FAST) == 0).all()
    assert np.abs(codec.compute(np.repeat(frame, 3, axis=0), FAST)).max() < 1e-3


def test_flow_of_the_mirrored_video_is_the_mirrored_flow():
    frames = videos.numbered(3)
    there = codec.compute(frames[:, :, ::-1].copy(), FAST)
    here = codec.flip_flow(codec.compute(frames, FAST))
    assert np.abs(inside(there) - inside(here)).mean() < 0.03
    assert (codec.flip_flow(here)[..., 1] == here[..., ::-1, 1]).all()


def test_grey_is_luma_red_first():
    frames = np.random.default_rng(0).integers(0, 256, (2, 48, 64, 3), np.uint8)
    frames[1] = np.roll(frames[0], 1, axis=1)
    luma = np.rint(frames @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
    expected = codec.compute(np.repeat(luma[..., None], 3, axis=-1), DIS)
    swapped = codec.compute(frames[..., ::-1].copy(), DIS)
    assert np.abs(codec.compute(frames, DIS) - expected).mean() < 0.2 * np.abs(swapped - expected).mean()


def test_parameters_reach_the_method():
    frames = videos.numbered(3)
    assert np.abs(codec.compute(frames, FAST) - codec.compute(frames, replace(FAST, params={"warps": 1}))).max() > 1e-3


@pytest.mark.parametrize("colour", [True, False])
def test_frames_may_come_in_the_same_memory_and_a_method_gets_each_pair_once(colour, monkeypatch):
    frames = np.random.default_rng(0).integers(0, 256, (8, 4, 6, 3), np.uint8)
    pairs = []

    def flows(row):
        pairs.extend(pairwise(row))
        return [np.full((4, 6, 2), len(pairs), np.float32)] * (len(row) - 1)

    def reused():
        memory = np.empty_like(frames[0])
        for frame in frames:
            memory[...] = frame
            yield memory

    monkeypatch.setattr(methods, "load", lambda method: methods.Loaded(flows, at_once=3, colour=colour))
    found = [one[0, 0, 0] for one in codec.pairwise(reused(), FAST)]
    assert found == [3, 3, 3, 6, 6, 6, 7, 7]
    assert len(pairs) == 7 and all((a == b).all() for (_, a), (b, _) in pairwise(pairs))
    assert [np.abs(a - b.astype(int)).max() > 0 for a, b in pairs] == [True] * 7
    if colour:
        assert (np.stack([pair[0] for pair in pairs]) == frames[:-1]).all()


def test_unknown_methods_and_parameters_are_named():
    with pytest.raises(UnknownName, match=r"flow method 'tvl'.*did you mean 'tvl1'"):
        codec.method_key(replace(FAST, name="tvl"))
    with pytest.raises(UnknownName, match=r"parameter of flow method 'tvl1' 'warp'.*did you mean 'warps'"):
        codec.compute(videos.numbered(2), replace(FAST, params={"warp": 1}))
    with pytest.raises(HarnessError, match="preset 7"):
        codec.compute(videos.numbered(2), replace(DIS, params={"preset": 7}))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-60, 60, width=32), min_size=1, max_size=20), st.sampled_from(CODES), st.floats(1, 40))
def test_codes_come_back_within_half_a_step(values, method, bound):
    method = replace(method, bound_px=bound)
    px = np.array(values, np.float32)
    codes = codec.encode(px, method)
    assert codes.dtype == np.uint8
    back = codec.decode(codes, method)
    assert back.dtype == np.float32 and np.abs(back).max() <= 1
    step = 1 / 127 if method.quantization == "zero-exact" else 1 / 127.5
    assert np.abs(back - np.clip(px / bound, -1, 1)).max() <= step / 2 + 1e-5
    mirrored = codec.decode(codec.encode(-px, method), method)
    assert np.abs(mirrored + back).max() <= step + 1e-5


def test_the_codes_are_the_documented_ones():
    px = np.array([-25, -20, -10, 0, 10, 20, 25], np.float32)
    zero_exact, released = CODES
    assert codec.encode(px, zero_exact).tolist() == [1, 1, 64, 128, 192, 255, 255]
    assert codec.encode(px, released).tolist() == [0, 0, 64, 128, 191, 255, 255]
    assert codec.decode(np.array([128], np.uint8), zero_exact)[0] == 0
    assert codec.decode(np.array([127, 128], np.uint8), released).tolist() == pytest.approx([-1 / 255, 1 / 255])
    for method in CODES:
        assert (
            codec.encode(codec.decode(np.arange(1, 256, dtype=np.uint8), method) * 20, method) == range(1, 256)
        ).all()


def test_resizing_scales_the_vectors():
    flows = np.tile(np.array([2.0, 3.0], np.float32), (2, 12, 16, 1))
    resized = codec.resize_flow(flows, 36, 32)
    assert resized.shape == (2, 36, 32, 2)
    assert np.allclose(resized, [4.0, 9.0])


def test_the_key_holds_everything_that_could_change_a_number():
    key = codec.method_key(FAST)
    for other in (
        replace(FAST, params={**FAST.params, "warps": 3}),
        replace(FAST, quantization="released-256"),
        replace(FAST, bound_px=6.0),
        replace(FAST, short_side_px=72),
        replace(FAST, version=2),
        DIS,
    ):
        assert codec.method_key(other) != key
    assert key["library"].startswith("opencv ")


def changed(*overrides: str) -> FlowMethod:
    pairs = tuple((key, value) for key, _, value in (one.partition("=") for one in overrides))
    return apply_overrides(MICRO, "source", pairs).flow


def test_a_selection_may_name_the_method_its_parameters_and_its_code():
    assert changed("flow.inner=20") == replace(MICRO.flow, params={**MICRO.flow.params, "inner": 20})
    assert changed("flow.quantization=released-256", "flow.bound_px=20") == replace(
        MICRO.flow, quantization="released-256", bound_px=20.0
    )
    named = changed("flow.name=tvl1-torch", "flow.warps=3", "flow.epsilon=0.1", "flow.device=cuda")
    assert named == replace(MICRO.flow, name="tvl1-torch", params={"warps": 3, "epsilon": 0.1, "device": "cuda"})
    with pytest.raises(UnknownName, match=r"flow method 'tvl'.*did you mean 'tvl1'"):
        changed("flow.name=tvl")
    with pytest.raises(UnknownName, match=r"parameter of flow method 'tvl1' 'iner'.*did you mean 'inner'"):
        changed("flow.iner=20")
    with pytest.raises(HarnessError, match="flow.quantization=8bit: expected one of zero-exact, released-256"):
        changed("flow.quantization=8bit")


def test_jobs_hold_the_method_that_was_chosen_never_the_choice(monkeypatch):
    monkeypatch.setenv("HARNESS_DEVICE", "cuda")
    key = keys.flow_key(replace(MICRO, flow=changed("flow.name=tvl1-auto")))
    assert key["method"]["name"] == key["by"]["name"] == "tvl1-torch"
    assert key["method"]["params"] == key["by"]["params"] == {"device": "cuda"}
    assert keys.flow_key(MICRO)["method"]["name"] == "tvl1"


def test_keys_are_made_without_loading_anything_heavy():
    code = (
        "import sys; from harness.core.contract import FlowMethod; from harness.data import loader, prepare; "
        "from harness.video import decode; from harness.video.flow import codec; "
        "codec.method_key(FlowMethod('dis', 20.0, 48)); decode.decoder_key(); "
        "print([name for name in ('av', 'cv2', 'torch', 'pandas', 'pyarrow', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
