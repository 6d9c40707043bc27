"""Flow methods by name: parameters, keys, `--set flow.*`, and frames in pairs. Their flow: tests/contract/test_flow_methods.py."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from harness.core.contract import FlowMethod
from harness.core.errors import HarnessError, UnknownName
from harness.core.plugins import FlowEstimator
from harness.planning.overrides import apply_overrides
from harness.planning.spec_builder import flow_spec
from harness.protocols.scales.micro import SCALE as MICRO
from harness.video.flow import estimation
from tests import videos

FAST = FlowMethod("tvl1", 20.0, 48, params={"nscales": 3, "scale_step": 0.5, "warps": 2, "inner": 30, "outer": 1})
DIS = FlowMethod("dis", 20.0, 48)


def test_grey_is_luma_red_first():
    frames = np.random.default_rng(0).integers(0, 256, (2, 48, 64, 3), np.uint8)
    frames[1] = np.roll(frames[0], 1, axis=1)
    luma = np.rint(frames @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
    expected = estimation.compute(np.repeat(luma[..., None], 3, axis=-1), DIS)
    swapped = estimation.compute(frames[..., ::-1].copy(), DIS)
    assert np.abs(estimation.compute(frames, DIS) - expected).mean() < 0.2 * np.abs(swapped - expected).mean()


def test_parameters_reach_the_method():
    frames = videos.numbered(3)
    assert (
        np.abs(estimation.compute(frames, FAST) - estimation.compute(frames, replace(FAST, params={"warps": 1}))).max()
        > 1e-3
    )


@pytest.mark.parametrize("rgb", [True, False])
def test_frames_may_come_in_the_same_memory_and_a_method_gets_each_pair_once(rgb, monkeypatch):
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

    monkeypatch.setattr(estimation, "load", lambda method: FlowEstimator(flows, batch_pairs=3, rgb=rgb))
    found = [one[0, 0, 0] for one in estimation.iter_flow(reused(), FAST)]
    assert found == [3, 3, 3, 6, 6, 6, 7, 7]
    assert len(pairs) == 7 and all((a == b).all() for (_, a), (b, _) in pairwise(pairs))
    assert [np.abs(a - b.astype(int)).max() > 0 for a, b in pairs] == [True] * 7
    if rgb:
        assert (np.stack([pair[0] for pair in pairs]) == frames[:-1]).all()


def test_unknown_methods_and_parameters_are_named():
    with pytest.raises(UnknownName, match=r"flow method 'tvl'.*did you mean 'tvl1'"):
        estimation.method_key(replace(FAST, name="tvl"))
    with pytest.raises(UnknownName, match=r"parameter 'warp' of flow method 'tvl1'.*did you mean 'warps'"):
        estimation.compute(videos.numbered(2), replace(FAST, params={"warp": 1}))
    with pytest.raises(
        HarnessError, match="invalid value 7 for parameter 'preset' of flow method 'dis': expected one of 0"
    ):
        estimation.compute(videos.numbered(2), replace(DIS, params={"preset": 7}))


def test_the_key_holds_everything_that_could_change_a_number():
    key = estimation.method_key(FAST)
    for other in (
        replace(FAST, params={**FAST.params, "warps": 3}),
        replace(FAST, quantization="released-256"),
        replace(FAST, bound_px=6.0),
        replace(FAST, short_side_px=72),
        replace(FAST, version=2),
        DIS,
    ):
        assert estimation.method_key(other) != key
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
    with pytest.raises(UnknownName, match=r"parameter 'iner' of flow method 'tvl1'.*did you mean 'inner'"):
        changed("flow.iner=20")
    with pytest.raises(HarnessError, match="flow.quantization=8bit: expected one of zero-exact, released-256"):
        changed("flow.quantization=8bit")


def test_jobs_hold_the_method_that_was_chosen_never_the_choice(monkeypatch):
    monkeypatch.setenv("HARNESS_DEVICE", "cuda")
    spec = flow_spec(changed("flow.name=tvl1-auto"))
    assert (spec.method.name, spec.method.params) == ("tvl1-torch", {"device": "cuda"})
    assert flow_spec(MICRO.flow).method == MICRO.flow


def test_keys_are_made_without_loading_anything_heavy():
    code = (
        "import sys; from harness.core.contract import FlowMethod; from harness.data import loader, prepare; "
        "from harness.video import decode; from harness.video.flow import estimation; "
        "estimation.method_key(FlowMethod('dis', 20.0, 48)); decode.decoder_key(); "
        "print([name for name in ('av', 'cv2', 'torch', 'pandas', 'pyarrow', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
