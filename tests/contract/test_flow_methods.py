"""What every registered flow method must keep: known motions, no motion, the same flow each time, keys made cheaply.

pytest tests/contract/test_flow_methods.py --plugins FOLDER         on yours as well
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from harness.core.contract import FlowMethod
from harness.core.errors import HarnessError, UnknownName
from harness.core.plugins import FlowAlgorithm
from harness.planning.overrides import apply_overrides
from harness.protocols.scales.micro import SCALE as MICRO
from harness.video import numba_cache
from harness.video.flow import estimation
from tests.motion import cut, moved, texture
from tests.registered import registered

METHODS: dict[str, FlowAlgorithm] = registered("flow-method")
SHIFTS_PX = [(2.0, 0.0), (0.0, -1.5), (-1.0, 1.0)]


@pytest.fixture(params=METHODS)
def method(request, example_plugins) -> FlowMethod:
    if request.param == "tvl1-own" and not numba_cache.numba_works():
        pytest.skip("tvl1-own needs Numba")
    return FlowMethod(request.param, 20.0, 48)


def colored(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=-1)


def shifted(x_px: float, y_px: float, *, count: int = 2) -> np.ndarray:
    """uint8 (count, 60, 80, 3): a texture that moves by so much from frame to frame."""
    picture = texture()
    return np.stack([colored(cut(moved(picture, x_px=x_px * i, y_px=y_px * i))) for i in range(count)])


def test_the_built_in_methods_and_the_example_are_registered():
    assert set(METHODS) >= {"tvl1", "tvl1-own", "tvl1-torch", "tvl1-auto", "dis", "global-shift"}


@pytest.mark.parametrize("x_px, y_px", SHIFTS_PX)
def test_a_known_translation_is_found(method, x_px, y_px):
    """Its size, and its sign: right and down are positive, x is first."""
    flows = estimation.compute(shifted(x_px, y_px), method)
    assert flows.shape == (2, 60, 80, 2) and flows.dtype == np.float32
    inside = flows[0, 10:-10, 10:-10].reshape(-1, 2)
    assert np.median(inside, axis=0) == pytest.approx((x_px, y_px), abs=0.2)
    assert (flows[1] == flows[0]).all(), "the last frame repeats the flow before it"


def test_a_still_video_and_a_single_frame_have_no_motion(method):
    frames = np.repeat(shifted(0, 0, count=1), 3, axis=0)
    assert np.abs(estimation.compute(frames, method)).max() < 1e-3
    assert (estimation.compute(frames[:1], method) == 0).all()


def test_flow_is_the_same_each_time_and_for_any_length(method):
    frames = shifted(1.5, -0.5, count=4)
    flows = estimation.compute(frames, method)
    assert (estimation.compute(frames, method) == flows).all()
    for count in (2, 3):
        assert (estimation.compute(frames[:count], method)[:-1] == flows[: count - 1]).all()


def test_every_parameter_can_be_set_and_enters_the_key(method):
    known = estimation.algorithm(method.name)
    for name, parameter in known.parameters.items():
        pairs = (("flow.name", method.name), (f"flow.{name}", str(parameter.default)))
        changed = apply_overrides(MICRO, "original", pairs).flow
        assert changed.params == {name: parameter.default}
        assert type(changed.params[name]) is type(parameter.default)
        key = estimation.method_key(changed)
        assert key["params"][name] == parameter.default and key["library"]
    with pytest.raises(UnknownName, match="of flow method"):
        estimation.method_key(FlowMethod(method.name, 20.0, 48, params={"no_such_parameter": 1}))
    for name in known.parameters:
        with pytest.raises(HarnessError, match=f"for parameter '{name}' of flow method '{method.name}'"):
            estimation.checked(FlowMethod(method.name, 20.0, 48, params={name: "no such value"}))


def test_a_name_that_stands_for_others_is_resolved_once(method):
    resolved = estimation.resolved(method)
    assert estimation.algorithm(resolved.name).resolve is None
    assert estimation.resolved(resolved) == resolved
    assert estimation.method_key(method) == estimation.method_key(resolved)
    workers = estimation.max_workers(resolved)
    assert workers is None or workers >= 1


def test_keys_are_made_without_large_libraries(example_plugins):
    code = (
        "import sys; from harness.core import registry; from harness.core.contract import FlowMethod\n"
        "from harness.video.flow import estimation\n"
        "for name in registry.names('flow-method'):\n"
        "    estimation.method_key(FlowMethod(name, 20.0, 48))\n"
        "print([name for name in ('av', 'cv2', 'torch', 'pandas', 'pyarrow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
