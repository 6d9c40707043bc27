"""Our own TV-L1: held against OpenCV's, against known motions, and against its own arithmetic done plainly."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from harness.core.contract import FlowMethod
from harness.core.errors import HarnessError, UnknownName
from harness.video.flow import estimation, tvl1_numba
from tests import motion
from tests.motion import CLIPS, cut, distance, moved, opencv, texture

pytestmark = pytest.mark.usefixtures("one_thread")

OWN = FlowMethod("tvl1-own", 20.0, 48)


def own(grey: np.ndarray, after: np.ndarray, **params: float) -> np.ndarray:
    return tvl1_numba.function(params)(grey, after)


# ------------------------------------------------------------------------------------------------ known motions


@pytest.mark.parametrize("x_px, y_px", [(1, 0), (0, 1), (-2, 1), (0.5, -0.25), (3, 2)])
def test_a_known_shift_is_found(x_px, y_px):
    picture = texture()
    found = own(cut(picture), cut(moved(picture, x_px=x_px, y_px=y_px)))
    assert found.shape == (60, 80, 2) and found.dtype == np.float32
    assert distance(found, np.array([x_px, y_px], np.float32))[6:-6, 6:-6].mean() < 0.1


def test_a_turn_is_found():
    picture = texture()
    found = own(cut(picture), cut(moved(picture, degrees=2)))[6:-6, 6:-6]
    y, x = np.mgrid[6:54, 6:74].astype(np.float32)
    # OpenCV's angle is counter-clockwise on a y axis that points down: (x, y) moves by angle x (y, -x).
    expected = np.deg2rad(2) * np.stack([y - 30, 40 - x], -1)
    assert distance(found, expected).mean() < 0.1


@pytest.mark.parametrize("grey", [0, 90, 255])
def test_a_picture_without_texture_has_no_motion(grey):
    blank = np.full((40, 56), grey, np.uint8)
    assert (own(blank, blank) == 0).all()


def test_a_still_picture_has_no_motion():
    picture = cut(texture())
    assert np.abs(own(picture, picture)).max() < 1e-3


@pytest.mark.parametrize("height, width", [(16, 16), (17, 90), (61, 33), (5, 7)])
def test_any_size_is_taken(height, width):
    picture = texture(height, width)
    found = own(cut(picture), cut(moved(picture, x_px=1)))
    assert found.shape == (height, width, 2) and np.isfinite(found).all()


# ------------------------------------------------------------------------------------------------ against OpenCV


@pytest.mark.parametrize("motion", [{"x_px": 1.5, "y_px": -0.5}, {"degrees": 3}, {"x_px": 4}], ids=str)
def test_it_is_opencvs_flow_on_synthetic_motion(motion):
    picture = texture(seed=3)
    pair = cut(picture), cut(moved(picture, **motion))
    away = distance(own(*pair), opencv(*pair))
    assert away.mean() < 0.1 and np.percentile(away, 95) < 0.3
    assert away[5:-5, 5:-5].mean() < 0.03


OPENCVS = {"outer": 10, "check_every": 1}
"""OpenCV's defaults, where ours differ."""


def test_with_opencvs_parameters_it_is_opencvs_arithmetic():
    """A shift by whole pixels: nothing is ambiguous, so nothing but rounding differs."""
    picture = texture(seed=3)
    pair = cut(picture), cut(moved(picture, x_px=4))
    assert distance(own(*pair, **OPENCVS), opencv(*pair)).max() < 0.01


@pytest.mark.parametrize("motion", [{"x_px": 1.5, "y_px": -0.5}, {"degrees": 3}], ids=str)
def test_with_opencvs_parameters_only_pixels_that_leave_the_picture_differ(motion):
    picture = texture(seed=3)
    pair = cut(picture), cut(moved(picture, **motion))
    away = distance(own(*pair, **OPENCVS), opencv(*pair))
    assert away[5:-5, 5:-5].mean() < 0.01 and away.mean() < 0.03


@pytest.fixture(scope="module")
def real_pairs(test_data) -> list[tuple[np.ndarray, np.ndarray]]:
    return motion.real_pairs(test_data)


def test_it_is_opencvs_flow_on_real_clips(real_pairs):
    assert len(real_pairs) == 2 * len(CLIPS)
    expected = [opencv(*pair) for pair in real_pairs]
    away = np.concatenate([distance(own(*pair), there).ravel() for pair, there in zip(real_pairs, expected)])
    motion.assert_near(away)
    assert np.mean([np.abs(there).mean() for there in expected]) > 0.2, "clips that move too little to tell"

    exact = [distance(own(*pair, **OPENCVS), there).mean() for pair, there in zip(real_pairs, expected)]
    assert max(exact) < 0.03


# ------------------------------------------------------------------------------------------------ its arithmetic


@pytest.mark.parametrize("shape, count", [((40, 70), 7), ((7, 300), 3), ((90, 17), 10), ((1, 20), 4), ((3, 1500), 2)])
def test_the_wave_of_rows_computes_plain_iterations(shape, count):
    height, width = shape
    data = np.random.default_rng(1).normal(0, 5, (4, *shape))
    data[3] = 1 / (data[0] ** 2 + data[1] ** 2)
    expected, expected_change = motion.plain_iterations(data, shape, count, 0.045, 0.3, 0.8)

    padded = np.pad(data, ((0, 0), (1, 1), (0, 1))).astype(np.float32).reshape(4, -1)
    flow = np.zeros((2, padded.shape[1]), np.float32)
    dual = np.zeros((4, padded.shape[1]), np.float32)
    numbers = (np.float32(0.045), np.float32(0.3), np.float32(0.8))
    change = tvl1_numba._kernels().iterate(*padded, *flow, *dual, shape, count, *numbers)
    inside = flow.reshape(2, height + 2, width + 1)[:, 1:-1, :-1]
    assert np.abs(inside - expected).max() < 1e-4
    assert change == pytest.approx(expected_change, rel=1e-3)


def test_two_threads_and_two_calls_give_the_same_bits():
    picture = texture(seed=5)
    pairs = [(cut(picture), cut(moved(picture, x_px=x))) for x in (0.5, 1, 1.5, 2)]
    between = tvl1_numba.function({})
    alone = [between(*pair) for pair in pairs]
    with ThreadPoolExecutor(2) as threads:
        together = list(threads.map(lambda pair: between(*pair), pairs * 2))
    assert all((one == other).all() for one, other in zip(alone * 2, together))


# ------------------------------------------------------------------------------------------------ as a flow method


def test_the_store_reaches_it_by_name():
    picture = texture()
    frames = np.stack([cut(picture), cut(moved(picture, x_px=1)), cut(moved(picture, x_px=2))])
    flows = estimation.compute(np.repeat(frames[..., None], 3, axis=-1), OWN)
    assert (flows[0] == own(frames[0], frames[1])).all() and (flows[2] == flows[1]).all()


def test_its_key_says_what_computed_it():
    key = estimation.method_key(OWN)
    assert f"own {tvl1_numba.VERSION}" in key["library"] and "numba" in key["library"] and "opencv" in key["library"]
    assert key != estimation.method_key(FlowMethod("tvl1", 20.0, 48))


def test_parameters_reach_it_and_unknown_ones_are_named():
    picture = texture()
    pair = cut(picture), cut(moved(picture, x_px=2))
    assert np.abs(own(*pair) - own(*pair, **{"lambda": 0.05})).max() > 1e-3
    with pytest.raises(UnknownName, match=r"parameter 'warp' of flow method 'tvl1-own'.*did you mean 'warps'"):
        estimation.method_key(FlowMethod("tvl1-own", 20.0, 48, params={"warp": 1}))


@pytest.mark.parametrize(
    "params",
    [{"warps": 0}, {"inner": 0}, {"nscales": 0}, {"check_every": 0}, {"median": 4}, {"scale_step": 1}, {"theta": 0}],
    ids=str,
)
def test_parameters_that_make_no_sense_are_refused(params):
    with pytest.raises(HarnessError, match=f"'{next(iter(params))}' of flow method 'tvl1-own'"):
        tvl1_numba.function(params)


def test_a_word_for_a_number_is_refused():
    with pytest.raises(
        HarnessError,
        match="value 'many' for parameter 'warps' of flow method 'tvl1-own': expected a whole number, 1 or more",
    ):
        tvl1_numba.function({"warps": "many"})


KERNEL = (
    "import sys; from pathlib import Path; import numpy as np; from harness.video import numba_cache; from harness.video.flow import tvl1_numba\n"
    "numba_cache.keep_compiled(Path(sys.argv[1]))\n"
    "kernel = tvl1_numba._kernels().where_to\n"
    "kernel(np.zeros((2, 16), np.float32), *np.zeros((2, 2, 3), np.float32))\n"
    "print(sum(kernel.stats.cache_hits.values()), sum(kernel.stats.cache_misses.values()))\n"
)


def test_compiled_kernels_are_kept_where_they_are_told_to_be(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    command = [sys.executable, "-c", KERNEL, str(tmp_path / "numba")]
    said = [
        subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.split()
        for _ in range(2)
    ]
    assert said == [["0", "1"], ["1", "0"]]
    assert list((tmp_path / "numba").rglob("*.nbc"))


def test_a_damaged_file_among_what_numba_keeps_is_told_with_the_remedy(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    command = [sys.executable, "-c", KERNEL, str(tmp_path / "numba")]
    subprocess.run(command, capture_output=True, check=True, env=environment)
    for path in (tmp_path / "numba").rglob("*.nbi"):
        path.write_bytes(path.read_bytes()[:20])
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode and "HarnessError: flow method 'tvl1-own' could not be compiled" in done.stderr
    assert f"{tmp_path / 'numba'}: delete that folder" in done.stderr


def test_without_numba_the_remedy_is_named():
    code = (
        "import sys; sys.modules['numba'] = None\n"
        "from harness.core.errors import HarnessError\n"
        "from harness.video.flow import tvl1_numba\n"
        "try:\n    tvl1_numba.function({})\n"
        "except HarnessError as error:\n    print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "pip install numba" in said
    assert "--set flow.name=tvl1-torch (PyTorch) or tvl1 (OpenCV)" in said
