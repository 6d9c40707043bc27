"""The methods of optical flow by name: what parameters they take, what computes them, and how they are made ready.

======================  ==============================================================================================
``tvl1``                OpenCV's Dual TV-L1, the reference
``tvl1-own``            the same definition compiled by Numba, on the CPU
``tvl1-torch``          the same on tensors; parameter ``device``: 'cpu' (the default) or 'cuda'
``tvl1-auto``           the quickest of our two that works here: tensors on a GPU, Numba, tensors on the CPU
``dis``                 OpenCV's Dense Inverse Search, for a quick look
``raft``                torchvision's RAFT, with weights that lie on this machine (`harness.video.flow.raft`)
======================  ==============================================================================================

A method never turns into another one while it computes: where what it needs is missing, it says so. Only `tvl1-auto`
chooses, once, when a job is planned; keys and jobs then hold the method it chose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from harness.core import environment
from harness.core.contract import FlowMethod
from harness.core.errors import HarnessError, unknown
from harness.planning.ranges import ONE_OR_MORE, Parameter, Range, one_of, read
from harness.video import numba_cache
from harness.video.decoder import opencv_version
from harness.video.flow import raft, tvl1_numba

Params = Mapping[str, float | str]
AUTO = "tvl1-auto"


@dataclass(frozen=True)
class Loaded:
    """A method that is ready to compute."""

    flows: Callable[[Sequence[np.ndarray]], Iterable[np.ndarray]]
    """N + 1 pictures in a row, uint8, one size -> N flows, float32 (H, W, 2) px, x then y."""
    at_once: int = 1
    """Pairs that it is best given at once. Flows do not depend on it."""
    colour: bool = False
    """Whether it takes RGB (H, W, 3), not grey (H, W)."""


@dataclass(frozen=True)
class _Kind:
    """What is known of a method before anything is loaded."""

    parameters: Mapping[str, Parameter]
    """By name."""
    library: Callable[[Params], str]
    load: Callable[[Params], Loaded]


# ---------------------------------------------------------------------------------------------------- asking


def chosen(method: FlowMethod) -> FlowMethod:
    """'tvl1-auto' as the method that this machine computes it by; any other as it is. Raises UnknownName, also for parameters."""
    if checked(method).name != AUTO:
        return method
    if environment.device().startswith("cuda"):
        return replace(method, name="tvl1-torch", params={**method.params, "device": "cuda"})
    return replace(method, name="tvl1-own" if numba_cache.numba_works() else "tvl1-torch")


def library(method: FlowMethod) -> str:
    """What computes it, with versions: all that could change its numbers and is not a parameter."""
    method = chosen(method)
    return _KINDS[method.name].library(method.params)


def key_params(method: FlowMethod) -> dict[str, float | str]:
    """Its parameters as keys hold them: without where weights lie, for whose hash `library` stands."""
    return {name: value for name, value in method.params.items() if name != raft.PATH}


def load(method: FlowMethod) -> Loaded:
    """Ready to compute. Raises HarnessError where something it needs is missing."""
    method = chosen(method)
    return _KINDS[method.name].load(method.params)


def most_workers(method: FlowMethod) -> int | None:
    """Processes that may compute it at once; None: as many as there are cores."""
    # Each has half a gigabyte of the GPU for itself before it computes anything, and four keep one busy.
    return 4 if str(method.params.get("device", "cpu")).startswith("cuda") else None


def checked(method: FlowMethod) -> FlowMethod:
    """The method as it is. Raises UnknownName where there is none of this name, or it has no parameter of that one, and
    HarnessError for a parameter that makes no sense."""
    for name in method.params:
        parameter(method.name, name)
    read(method.params, parameters(method.name), method.name)
    return method


def parameter(method: str, name: str) -> Parameter:
    """What is known of a parameter. Raises UnknownName where the method has none of this name."""
    known = parameters(method)
    if name not in known:
        raise unknown(f"parameter of flow method '{method}'", name, known)
    return known[name]


def parameters(method: str) -> Mapping[str, Parameter]:
    """By name, every parameter of the method called `method`. Raises UnknownName where there is none."""
    if method == AUTO:
        return tvl1_numba.PARAMETERS
    if method not in _KINDS:
        raise unknown("flow method", method, (*_KINDS, AUTO))
    return _KINDS[method].parameters


# ---------------------------------------------------------------------------------------------------- OpenCV's

# Our names -> OpenCV's setters.
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
# Ours are OpenCV's too, but for two: how often it stops to filter, and any pyramid that shrinks.
_TVL1 = {name: tvl1_numba.PARAMETERS[name] for name in _TVL1_SETTERS} | {
    "outer": Parameter(10, ONE_OR_MORE),
    "scale_step": Parameter(0.8, Range("more than 0, and below 1", lambda value: 0 < value < 1)),
}


def _opencv(params: Params) -> str:
    return f"opencv {opencv_version()}"


def _one_by_one(between: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Loaded:
    return Loaded(lambda row: (between(grey, after) for grey, after in pairwise(row)))


def _tvl1(params: Params) -> Loaded:
    import cv2

    if not hasattr(cv2, "optflow"):
        raise HarnessError(
            "the installed OpenCV has no TV-L1: another build lies over the contrib build. Uninstall every opencv-* "
            "package, then install opencv-contrib-python-headless"
        )
    solver = cv2.optflow.createOptFlow_DualTVL1()
    for name, value in read(params, _TVL1, "tvl1").items():
        getattr(solver, _TVL1_SETTERS[name])(value)
    return _one_by_one(lambda grey, after: solver.calc(grey, after, None))


_PRESET = Parameter(1, Range("one of 0 (ultrafast), 1 (fast), 2 (medium)", lambda value: value in (0, 1, 2)))


def _dis(params: Params) -> Loaded:
    import cv2

    solver = cv2.DISOpticalFlow.create(int(params.get("preset", _PRESET.default)))
    return _one_by_one(lambda grey, after: solver.calc(grey, after, None))


# ---------------------------------------------------------------------------------------------------- others

_DEVICE = Parameter("cpu", one_of("cpu", "cuda"))
"""A parameter, hence in keys: a GPU's last digits are other ones."""
PAIRS_AT_ONCE = {"cpu": 4, "cuda": 64}
"""Of `tvl1-torch`: as long as a batch stays in the cache; as it takes to fill a GPU, half a gigabyte at 256x340."""


def _tvl1_torch(params: Params) -> Loaded:
    from harness.video.flow import tvl1_torch

    given = dict(params)
    device = str(given.pop("device", _DEVICE.default))
    return Loaded(tvl1_torch.function(given, device=device), PAIRS_AT_ONCE[device.partition(":")[0]])


def _raft(params: Params) -> Loaded:
    given = dict(params)
    device = str(given.pop("device", _DEVICE.default))
    return Loaded(raft.function(given, device=device), colour=True)


_KINDS: Mapping[str, _Kind] = {
    "tvl1": _Kind(_TVL1, _opencv, _tvl1),
    "tvl1-own": _Kind(
        tvl1_numba.PARAMETERS,
        lambda params: tvl1_numba.library(),
        lambda params: _one_by_one(tvl1_numba.function(params)),
    ),
    "tvl1-torch": _Kind(
        tvl1_numba.PARAMETERS | {"device": _DEVICE}, lambda params: tvl1_numba.tensors_library(), _tvl1_torch
    ),
    "dis": _Kind({"preset": _PRESET}, _opencv, _dis),
    "raft": _Kind(raft.PARAMETERS | {"device": _DEVICE}, raft.library, _raft),
}
