"""Files of stored flow: what goes in comes out, any frame of it, any square; a file that is not whole is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from harness.core.errors import HarnessError
from harness.video.flow.file import TRAILER, FlowFile, write


def noise(frames: int, height: int, width: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (frames, height, width, 2), np.uint8)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(1, 20), st.integers(1, 20), st.integers(0, 9))
def test_every_frame_comes_back_bit_for_bit(tmp_path_factory, frames, height, width, seed):
    path = tmp_path_factory.mktemp("flow") / "v.flow"
    codes = noise(frames, height, width, seed=seed)
    write(path, iter(codes))
    file = FlowFile(path)
    assert file.shape == codes.shape and len(file) == frames
    assert (file.read() == codes).all()


def test_frames_are_read_in_any_order_and_squares_are_cut(tmp_path):
    codes = noise(7, 20, 30)
    write(tmp_path / "v.flow", codes)
    wanted = [6, 0, 3, 3]
    found = FlowFile(tmp_path / "v.flow").read(wanted, (5, 11, 13))
    assert found.dtype == np.uint8 and (found == codes[wanted, 5:18, 11:24]).all()


def test_smooth_flow_takes_a_fraction_of_its_bytes(tmp_path):
    y, x = np.mgrid[:96, :128]
    smooth = np.stack([128 + x // 16, 128 + y // 12], -1).astype(np.uint8)
    write(tmp_path / "v.flow", [smooth] * 10)
    assert (tmp_path / "v.flow").stat().st_size < 0.05 * 10 * smooth.nbytes


@pytest.mark.parametrize("keep", [0, 10, 19, 200, -1, -TRAILER.size])
def test_a_file_without_its_end_is_refused(tmp_path, keep):
    path = tmp_path / "v.flow"
    write(path, noise(3, 20, 30))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(HarnessError, match=r"v\.flow is damaged .*delete it"):
        FlowFile(path)


def test_damage_inside_is_named_when_it_is_met(tmp_path):
    path = tmp_path / "v.flow"
    write(path, noise(3, 20, 30))
    stored = bytearray(path.read_bytes())
    stored[:8] = b"\0" * 8
    path.write_bytes(stored)
    with pytest.raises(HarnessError, match="frame 0"):
        FlowFile(path).read([0])
    assert FlowFile(path).read([2]).shape == (1, 20, 30, 2)
