"""The 8-bit codes of optical flow, and flow resized."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from harness.core.contract import FlowMethod
from harness.video.flow import codec

METHOD = FlowMethod("dis", 20.0, 48)
CODES = [replace(METHOD, quantization="zero-exact"), replace(METHOD, quantization="released-256")]


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
