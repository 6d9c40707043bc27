"""Optical flow: frames -> displacements in px -> the 8-bit codes that are stored -> what a network sees.

The paper (section 2.5) says TV-L1 and nothing more; the authors' code resizes first, goes to grey, computes forward
flow, clips it to +-20 px and divides by that. Here every frame has one flow, to the next frame; the last is repeated,
so that both streams have the same frames. Everything that a number could depend on stands in `method_key`: two methods
never mix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import lru_cache
from typing import Any

import numpy as np

from harness.contract import FlowMethod
from harness.errors import HarnessError, unknown
from harness.video import tvl1
from harness.video.decode import opencv_version

FlowFunction = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(grey, next grey), uint8 (H, W) each -> float32 (H, W, 2) px, x then y."""


# ---------------------------------------------------------------------------------------------------- computing


def compute(frames: np.ndarray, method: FlowMethod) -> np.ndarray:
    """Frames (T, H, W, 3) uint8 RGB -> (T, H, W, 2) float32 px, x then y, forward; the last is repeated.

    A single frame has no motion: zeros. Raises UnknownName for a method, or a parameter of it, that does not exist.
    """
    flows = list(pairwise(iter(frames), method))
    return np.stack(flows) if flows else np.zeros((*frames.shape[:3], 2), np.float32)


def pairwise(frames: Iterator[np.ndarray], method: FlowMethod) -> Iterator[np.ndarray]:
    """`compute`, frame by frame, so that a long video never has to fit into memory."""
    import cv2

    # One thread, whatever the process: the pool below this has a process a core, and results must not depend on it.
    cv2.setNumThreads(1)
    between = _function(method)
    previous: np.ndarray | None = None
    flow: np.ndarray | None = None
    for frame in frames:
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        if previous is not None:
            flow = between(previous, grey)
            yield flow
        previous = grey
    if flow is not None:
        yield flow
    elif previous is not None:
        yield np.zeros((*previous.shape, 2), np.float32)


def method_key(method: FlowMethod) -> dict[str, Any]:
    """All that decides the stored codes: the method, its parameters and code, and the library's version."""
    _check(method)
    library = tvl1.library() if method.name == "tvl1-own" else f"opencv {opencv_version()}"
    return {**asdict(method), "params": dict(method.params), "library": library}


# Our names -> OpenCV's setters. Its defaults: tau .25, lambda .15, theta .3, 5 scales, 5 warps, epsilon .01, inner 30,
# outer 10, scale step .8, median 5.
_TVL1_SETTERS = {
    "tau": "setTau",
    "lambda": "setLambda",
    "theta": "setTheta",
    "nscales": "setScalesNumber",
    "warps": "setWarpingsNumber",
    "epsilon": "setEpsilon",
    "inner": "setInnerIterations",
    "outer": "setOuterIterations",
    "scale_step": "setScaleStep",
    "median": "setMedianFiltering",
}
_WHOLE = frozenset({"nscales", "warps", "inner", "outer", "median"})
_PARAMS = {"tvl1": frozenset(_TVL1_SETTERS), "tvl1-own": tvl1.NAMES, "dis": frozenset({"preset"})}


def _check(method: FlowMethod) -> None:
    if method.name not in _PARAMS:
        raise unknown("flow method", method.name, _PARAMS)
    for name in method.params:
        if name not in _PARAMS[method.name]:
            raise unknown(f"parameter of flow method '{method.name}'", name, _PARAMS[method.name])


def _function(method: FlowMethod) -> FlowFunction:
    _check(method)
    if method.name == "tvl1-own":
        return tvl1.function(method.params)
    return _tvl1(method) if method.name == "tvl1" else _dis(method)


def _tvl1(method: FlowMethod) -> FlowFunction:
    import cv2

    if not hasattr(cv2, "optflow"):
        raise HarnessError(
            "the installed OpenCV has no TV-L1: another build lies over the contrib build. Uninstall every opencv-* "
            "package, then install opencv-contrib-python-headless"
        )
    solver = cv2.optflow.createOptFlow_DualTVL1()
    for name, value in method.params.items():
        getattr(solver, _TVL1_SETTERS[name])(int(value) if name in _WHOLE else float(value))
    return lambda grey, after: solver.calc(grey, after, None)


def _dis(method: FlowMethod) -> FlowFunction:
    import cv2

    preset = int(method.params.get("preset", cv2.DISOPTICAL_FLOW_PRESET_FAST))
    if preset not in (0, 1, 2):
        raise HarnessError(f"preset {preset} of flow method 'dis' does not exist; 0 ultrafast, 1 fast, 2 medium")
    solver = cv2.DISOpticalFlow.create(preset)
    return lambda grey, after: solver.calc(grey, after, None)


# ---------------------------------------------------------------------------------------------------- codes


def encode(flow: np.ndarray, method: FlowMethod) -> np.ndarray:
    """Displacements in px, float, any shape -> uint8 codes of the same shape, clipped to +-`method.bound_px`."""
    bound = np.float32(method.bound_px)
    clipped = np.clip(np.asarray(flow, np.float32), -bound, bound)
    if method.code == "zero-exact":
        return (np.rint(clipped * (127 / bound)) + 128).astype(np.uint8)
    return np.rint((clipped + bound) * (255 / (2 * bound))).astype(np.uint8)


def decode(codes: np.ndarray, method: FlowMethod) -> np.ndarray:
    """uint8 codes -> float32 of the same shape in [-1, 1]: displacement / `method.bound_px`."""
    return decode_table(method.code)[codes]


@lru_cache
def decode_table(code: str) -> np.ndarray:
    """float32 (256,): what each code means, in bounds. 'zero-exact' never writes 0; read, it is -1."""
    codes = np.arange(256, dtype=np.float32)
    if code == "zero-exact":
        table = np.maximum((codes - 128) / 127, np.float32(-1))
    elif code == "released-256":
        table = (2 * codes - 255) / 255
    else:
        raise unknown("flow code", code, ("zero-exact", "released-256"))
    table.setflags(write=False)
    return table


# ---------------------------------------------------------------------------------------------------- geometry


def resize_flow(flow: np.ndarray, height: int, width: int) -> np.ndarray:
    """(T, H, W, 2) px -> (T, height, width, 2) px: resized bilinearly, its vectors scaled with the picture."""
    import cv2

    scale = np.array([width / flow.shape[2], height / flow.shape[1]], np.float32)
    resized = [cv2.resize(one, (width, height), interpolation=cv2.INTER_LINEAR) for one in flow]
    return np.stack(resized) * scale


def flip_flow(flow: np.ndarray) -> np.ndarray:
    """(..., H, W, 2), the left-right mirror image: columns reversed, x negated."""
    return flow[..., ::-1, :] * np.array([-1, 1], flow.dtype)
