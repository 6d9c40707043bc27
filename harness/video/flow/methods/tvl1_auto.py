"""The faster of our two TV-L1s on this machine: tensors on a GPU, else Numba, else, without Numba, tensors on the CPU."""

from __future__ import annotations

from harness.core import environment, registry
from harness.core.plugins import FlowAlgorithm, FlowEstimator, Params
from harness.video import numba_cache
from harness.video.flow.tvl1_settings import PARAMETERS


def resolve(params: Params) -> tuple[str, Params]:
    if environment.device().startswith("cuda"):
        return "tvl1-torch", {**params, "device": "cuda"}
    return ("tvl1-own" if numba_cache.numba_works() else "tvl1-torch"), params


def _resolved(params: Params) -> tuple[FlowAlgorithm, Params]:
    name, params = resolve(params)
    return registry.load("flow-method", name), params


def _library(params: Params) -> str:
    algorithm, params = _resolved(params)
    return algorithm.library(params)


def _load(params: Params) -> FlowEstimator:
    algorithm, params = _resolved(params)
    return algorithm.load(params)


ALGORITHM = FlowAlgorithm(name="tvl1-auto", parameters=PARAMETERS, library=_library, load=_load, resolve=resolve)
