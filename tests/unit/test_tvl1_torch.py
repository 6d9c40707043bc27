"""TV-L1 on tensors: held against the compiled one and OpenCV's, against known motions, and where neither Numba nor a GPU is."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from harness.core.cells import Job
from harness.core.contract import FlowMethod
from harness.core.errors import HarnessError, UnknownName
from harness.launch.resources import needs_of
from harness.video import numba_cache
from harness.video.flow import estimation, tvl1_numba, tvl1_torch
from harness.video.flow.methods import tvl1_torch as tvl1_torch_method
from harness.video.flow.tvl1_settings import Settings
from tests import motion, videos
from tests.motion import cut, distance, mirrored, moved, opencv, texture
from tests.specs import flow_spec, train_spec

pytestmark = pytest.mark.usefixtures("one_thread")

METHOD = FlowMethod("tvl1-torch", 20.0, 48)
AUTO = FlowMethod("tvl1-auto", 20.0, 48)
QUICK = {"nscales": 3, "warps": 2}
NEAR_PX = 0.01
"""Of the compiled flow, on average. One definition, other roundings: most pairs lie within a thousandth, but where the
iterations happen to end one look earlier, a pair is a few thousandths off."""


def tensors(*pictures: np.ndarray, **params: float) -> np.ndarray:
    """Pictures in a row -> their flows."""
    return tvl1_torch.function(params, device="cpu")(pictures)


def shifted(*shifts_px: float, seed: int = 0) -> list[np.ndarray]:
    """Cut-outs of one texture, so far to the right."""
    picture = texture(seed=seed)
    return [cut(moved(picture, x_px=x)) for x in shifts_px]


# ------------------------------------------------------------------------------------------------ known motions


@pytest.mark.parametrize("x_px, y_px", [(1, 0), (0, 1), (-2, 1), (0.5, -0.25), (3, 2)])
def test_a_known_shift_is_found(x_px, y_px):
    picture = texture()
    (found,) = tensors(cut(picture), cut(moved(picture, x_px=x_px, y_px=y_px)))
    assert found.shape == (60, 80, 2) and found.dtype == np.float32
    assert distance(found, np.array([x_px, y_px], np.float32))[6:-6, 6:-6].mean() < 0.1


@pytest.mark.parametrize("picture", [cut(texture()), np.full((40, 56), 90, np.uint8)], ids=["texture", "blank"])
def test_what_does_not_move_has_no_motion_at_all(picture):
    assert (tensors(picture, picture) == 0).all()


@pytest.mark.parametrize("height, width", [(16, 16), (17, 90), (5, 7), (1, 30)])
def test_any_size_is_taken(height, width):
    picture = texture(height, width)
    (found,) = tensors(cut(picture), cut(moved(picture, x_px=1)), **QUICK)
    assert found.shape == (height, width, 2) and np.isfinite(found).all()


def test_flow_of_the_mirrored_video_is_the_mirrored_flow():
    frames = videos.numbered(3)
    there = estimation.compute(frames[:, :, ::-1].copy(), METHOD)
    here = mirrored(estimation.compute(frames, METHOD))
    assert np.abs(there - here)[:, 22:-6, 10:-10].mean() < 0.03
    assert here[:, 22:-6, 10:-10, 0].mean() < -0.5, "the texture moves right, and mirrored left"


# ------------------------------------------------------------------------------------------------ against the others


MOTIONS = [{"x_px": 1.5, "y_px": -0.5}, {"degrees": 3}, {"x_px": 4}, {"x_px": -2.3, "y_px": 3.1}]


@pytest.mark.parametrize("how", MOTIONS, ids=str)
def test_it_is_the_compiled_flow(how):
    picture = texture(seed=3)
    pair = cut(picture), cut(moved(picture, **how))
    away = distance(tensors(*pair)[0], tvl1_numba.function({})(*pair))
    # Where a pixel leaves the picture anything goes: there the two differ as each does from OpenCV's.
    assert away[5:-5, 5:-5].mean() < NEAR_PX and np.percentile(away[5:-5, 5:-5], 99) < 0.1


def test_it_is_the_compiled_flow_on_rendered_videos():
    frames = videos.numbered(5)
    both = [estimation.compute(frames, FlowMethod(name, 20.0, 48)) for name in ("tvl1-torch", "tvl1-own")]
    # The blocks of the frame's number turn on and off: nothing corresponds there, and roundings decide.
    ours, compiled = (flows[:, 22:-6, 10:-10] for flows in both)
    assert distance(ours, compiled).mean() < NEAR_PX < 0.1 < np.abs(compiled).mean()


def test_it_is_opencvs_flow_and_the_compiled_one_on_real_clips(test_data):
    pairs = motion.real_pairs(test_data)[::2]
    assert len(pairs) == len(motion.CLIPS)
    ours, compiled = [tensors(*pair)[0] for pair in pairs], [tvl1_numba.function({})(*pair) for pair in pairs]
    motion.assert_near(np.concatenate([distance(one, opencv(*pair)).ravel() for one, pair in zip(ours, pairs)]))
    assert np.concatenate([distance(*both).ravel() for both in zip(ours, compiled)]).mean() < NEAR_PX


# ------------------------------------------------------------------------------------------------ its arithmetic


@pytest.mark.parametrize("side", [1, 3, 5])
def test_the_median_is_opencvs(side):
    import cv2

    planes = np.random.default_rng(side).normal(size=(2, 3, 20, 31)).astype(np.float32)
    expected = [[cv2.medianBlur(plane, side) for plane in pair] for pair in planes]
    assert (tvl1_torch.median(torch.from_numpy(planes), side).numpy() == np.array(expected)).all()


@pytest.mark.parametrize("factor", [0.8, 0.5, 0.65])
def test_sizes_change_as_opencv_changes_them(factor):
    import cv2

    picture = np.random.default_rng(0).uniform(0, 255, (49, 66)).astype(np.float32)
    small = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    ours = tvl1_torch.resized(torch.from_numpy(picture), *small.shape, factor=1 / factor)
    assert np.abs(ours.numpy() - small).max() < 1e-3
    large = cv2.resize(small, (66, 49), interpolation=cv2.INTER_LINEAR)
    assert np.abs(tvl1_torch.resized(torch.from_numpy(small), 49, 66).numpy() - large).max() < 1e-3


def test_pictures_are_sampled_as_opencv_samples_them():
    import cv2

    if int(cv2.__version__.split(".")[0]) < 5:
        pytest.skip("before OpenCV 5, places were rounded to 32nds of a px")
    picture = texture(30, 40).astype(np.float32)
    height, width = picture.shape
    flows = np.random.default_rng(0).normal(0, 5, (2, height, width)).astype(np.float32)
    flows[:, :4] = 0
    y, x = np.mgrid[:height, :width].astype(np.float32)
    expected = cv2.remap(picture, x + flows[0], y + flows[1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT)
    channels = tvl1_torch.with_gradients(torch.from_numpy(picture)[None])
    assert channels.shape == (1, 3, 64, 128)
    ours = tvl1_torch.sample(channels, torch.from_numpy(flows)[:, None])[0, 0].numpy()
    assert np.abs(ours - expected).max() < 0.02
    assert (ours[:4] == picture[:4]).all(), "whole places are met exactly"


@pytest.mark.parametrize("shape, count", [((12, 17), 7), ((1, 20), 4)])
def test_iterations_are_the_papers(shape, count):
    data = np.random.default_rng(1).normal(0, 5, (4, *shape))
    data[3] = 1 / (data[0] ** 2 + data[1] ** 2)
    settings = Settings()
    weights = settings.lambda_ * settings.theta, settings.theta, settings.tau / settings.theta
    expected, expected_change = motion.plain_iterations(data, shape, count, *weights)

    gradient, residual, inverse = torch.from_numpy(data).float().split([2, 1, 1])
    term = tvl1_torch.Term(gradient[:, None], (gradient * inverse)[:, None], residual * inverse)
    found, dual = torch.zeros(2, 1, *shape), torch.zeros(2, 2, 1, *shape)
    change = tvl1_torch.iterate(term, found, dual, count, settings, tvl1_torch.advance)
    assert np.abs(found[:, 0].numpy() - expected).max() < 1e-4
    assert change.item() == pytest.approx(expected_change, rel=1e-3)


def test_a_compiler_takes_an_iteration_whole():
    """It is traced into a single graph, which is run without compiling: the compiler itself is not tested here."""
    traced = torch.compile(tvl1_torch.advance, backend="eager", fullgraph=True, dynamic=False)
    torch.manual_seed(0)
    gradient, offset, start = torch.randn(2, 1, 9, 11), torch.randn(1, 9, 11), torch.randn(2, 1, 9, 11)
    flows = []
    for step in (traced, tvl1_torch.advance):
        found, dual, ahead = start.clone(), torch.zeros(2, 2, 1, 9, 11), torch.zeros(2, 2, 1, 9, 11)
        for _ in range(3):
            step(tvl1_torch.Term(gradient, 0.1 * gradient, offset), found, dual, ahead, 0.045, 0.3, 0.8)
        flows.append(found)
    assert (flows[0] - flows[1]).abs().max() < 1e-5 < (flows[1] - start).abs().mean()


# ------------------------------------------------------------------------------------------------ batches


def test_a_batch_is_its_pairs_one_by_one_whatever_their_neighbours():
    row = [*shifted(0, 0.4, 3, 3), *shifted(0, 2.5, seed=8)]
    together = tensors(*row, **QUICK)
    assert together.shape == (5, 60, 80, 2) and (together[2] == 0).all()
    for pair, found in zip(pairwise(row), together):
        assert (tensors(*pair, **QUICK)[0] == found).all()


def test_long_videos_come_in_batches_and_in_order():
    frames = np.repeat(np.stack(shifted(0, 1, 1, 3, 2, 4))[..., None], 3, axis=-1)
    quick = replace(METHOD, params=QUICK)
    assert estimation.load(quick).batch_pairs < len(frames) - 1
    flows = estimation.compute(frames, quick)
    expected = [tensors(one[..., 0], other[..., 0], **QUICK)[0] for one, other in pairwise(frames)]
    assert (flows[:-1] == np.stack(expected)).all() and (flows[-1] == flows[-2]).all()
    assert (estimation.compute(frames[:1], METHOD) == 0).all()


def test_a_cpu_computes_it_with_one_thread_and_has_the_others_back(monkeypatch):
    seen = []

    def noted(grey: torch.Tensor, *rest: object) -> torch.Tensor:
        seen.append(torch.get_num_threads())
        return torch.zeros(*grey.shape, 2)

    monkeypatch.setattr(tvl1_torch, "flows_between", noted)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        tensors(*shifted(0, 1))
        assert seen == [1] and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_pictures_may_lie_in_memory_as_they_like():
    one, other = shifted(0, 1.5)
    askew = [np.asfortranarray(one), np.repeat(other, 2, axis=1)[:, ::2]]
    assert not any(picture.flags["C_CONTIGUOUS"] for picture in askew)
    assert (tensors(*askew, **QUICK) == tensors(one, other, **QUICK)).all()
    mirrored = one[:, ::-1], other[:, ::-1]
    assert (tensors(*mirrored, **QUICK) == tensors(*(picture.copy() for picture in mirrored), **QUICK)).all()
    upright = [torch.from_numpy(picture)[None] for picture in (one, other)]
    turned = [picture.mT.contiguous().mT for picture in upright]
    settings = Settings(nscales=2, warps=1)
    assert torch.equal(*(tvl1_torch.flows_between(*pair, settings) for pair in (upright, turned)))


@pytest.mark.parametrize(
    "grey, after, what",
    [
        (torch.zeros(1, 20, 20), torch.zeros(1, 20, 20), "'grey' is torch.float32"),
        (torch.zeros(20, 20, dtype=torch.uint8), torch.zeros(20, 20, dtype=torch.uint8), r"\(20, 20\)"),
        (
            torch.zeros(1, 20, 20, dtype=torch.uint8),
            torch.zeros(1, 20, 20, dtype=torch.int16),
            "'after' is torch.int16",
        ),
        (torch.zeros(1, 20, 20, dtype=torch.uint8), torch.zeros(1, 20, 21, dtype=torch.uint8), "differ in size"),
    ],
)
def test_other_types_and_shapes_are_refused(grey, after, what):
    with pytest.raises(HarnessError, match=what):
        tvl1_torch.flows_between(grey, after, Settings())


# ------------------------------------------------------------------------------------------------ as a flow method


def test_its_key_says_what_computes_it_and_where():
    key = estimation.method_key(METHOD)
    assert f"own tensors {tvl1_torch_method.VERSION}, torch {torch.__version__.partition('+')[0]}" in key["library"]
    keys = [
        estimation.method_key(FlowMethod(name, 20.0, 48, params=params))
        for name, params in (("tvl1-torch", {}), ("tvl1-torch", {"device": "cuda"}), ("tvl1-own", {}), ("tvl1", {}))
    ]
    assert all(one != other for number, one in enumerate(keys) for other in keys[:number])


def test_parameters_reach_it_and_wrong_ones_are_named():
    pair = shifted(0, 2)
    assert np.abs(tensors(*pair) - tensors(*pair, **{"lambda": 0.05})).max() > 1e-3
    with pytest.raises(UnknownName, match=r"parameter 'warp' of flow method 'tvl1-torch'.*did you mean 'warps'"):
        estimation.method_key(FlowMethod("tvl1-torch", 20.0, 48, params={"warp": 1}))
    with pytest.raises(HarnessError, match="value 4 for parameter 'median' of flow method 'tvl1-torch'"):
        estimation.load(FlowMethod("tvl1-torch", 20.0, 48, params={"median": 4}))
    with pytest.raises(HarnessError, match="value 'gpu' for parameter 'device' of flow method 'tvl1-torch'"):
        estimation.load(FlowMethod("tvl1-torch", 20.0, 48, params={"device": "gpu"}))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_named():
    with pytest.raises(HarnessError, match="'tvl1-torch' has device 'cuda', but torch finds no GPU"):
        estimation.load(FlowMethod("tvl1-torch", 20.0, 48, params={"device": "cuda"}))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_computes_the_same_flow():
    row = shifted(0, 1.5, 4, 4)
    on_gpu = tvl1_torch.function({}, device="cuda")(row)
    assert distance(on_gpu, tensors(*row))[:, 5:-5, 5:-5].mean() < NEAR_PX


# ------------------------------------------------------------------------------------------------ the machine chooses


def test_the_machine_chooses_when_a_job_is_planned(monkeypatch):
    monkeypatch.setenv("HARNESS_DEVICE", "cpu")
    assert estimation.method_key(AUTO) == estimation.method_key(FlowMethod("tvl1-own", 20.0, 48))
    monkeypatch.setattr(numba_cache, "numba_works", lambda: False)
    assert estimation.resolved(AUTO) == METHOD
    monkeypatch.setenv("HARNESS_DEVICE", "cuda")
    on_gpu = FlowMethod("tvl1-torch", 20.0, 48, params={"warps": 3, "device": "cuda"})
    assert estimation.resolved(FlowMethod("tvl1-auto", 20.0, 48, params={"warps": 3})) == on_gpu
    assert estimation.max_workers(on_gpu) and estimation.max_workers(METHOD) is None
    with pytest.raises(UnknownName, match="parameter 'device' of flow method 'tvl1-auto'"):
        estimation.resolved(FlowMethod("tvl1-auto", 20.0, 48, params={"device": "cpu"}))


def test_a_job_whose_flow_is_computed_on_a_gpu_asks_for_one():
    def gpus(kind: str, params: dict[str, str]) -> int:
        job = Job(flow_spec(**params) if kind == "flow" else train_spec(flow=flow_spec(**params).flow), "")
        return needs_of(job, workers=0, most_cpus=4, peaks={}).gpus

    assert gpus("flow", {"device": "cuda"}) == 1
    assert gpus("flow", {}) == gpus("train", {"device": "cuda"}) == 0


WITHOUT_NUMBA = """
import sys
sys.modules["numba"] = None
import numpy as np
from harness.core.contract import FlowMethod
from harness.video.flow import estimation
frames = np.random.default_rng(0).integers(0, 255, (3, 24, 24, 3), np.uint8)
flows, same = (estimation.compute(frames, FlowMethod(name, 20.0, 24, params={"warps": 1})) for name in ("tvl1-auto", "tvl1-torch"))
print((flows == same).all(), np.abs(flows).max() > 0, estimation.method_key(FlowMethod("tvl1-auto", 20.0, 24))["name"])
"""


def test_it_runs_where_there_is_no_numba():
    done = subprocess.run([sys.executable, "-c", WITHOUT_NUMBA], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "tvl1-torch"]
