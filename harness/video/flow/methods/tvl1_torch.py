"""TV-L1 on tensors, many pairs at once: for a GPU, or for a CPU without Numba."""

from __future__ import annotations

from harness.core.environment import package_version
from harness.core.parameters import Parameter, one_of
from harness.core.plugins import FlowAlgorithm, FlowEstimator, Params
from harness.video.decoder import opencv_version
from harness.video.flow.tvl1_settings import PARAMETERS

VERSION = 1
"""Raised when `harness.video.flow.tvl1_torch` changes its numbers. Defined here since keys are made without torch."""
DEVICE = Parameter("cpu", one_of("cpu", "cuda"))
"""A parameter, hence a part of keys: a GPU's last digits differ from a CPU's."""
BATCH_PAIRS = {"cpu": 4, "cuda": 64}
"""On a CPU, as many as the cache holds; on a GPU, as many as fill it: half a gigabyte at 256x340."""
GPU_WORKERS = 4
"""Each process takes half a gigabyte of the GPU before it computes anything, and four keep one busy."""


def device_of(params: Params) -> str:
    return str(params.get("device", DEVICE.default))


def load(params: Params) -> FlowEstimator:
    from harness.video.flow import tvl1_torch

    device = device_of(params)
    settings = {name: value for name, value in params.items() if name != "device"}
    return FlowEstimator(tvl1_torch.function(settings, device=device), BATCH_PAIRS[device])


ALGORITHM = FlowAlgorithm(
    name="tvl1-torch",
    parameters=PARAMETERS | {"device": DEVICE},
    # OpenCV makes the grey pictures.
    library=lambda params: (
        f"own tensors {VERSION}, torch {package_version('torch') or 'missing'}, opencv {opencv_version()}"
    ),
    load=load,
    max_workers=lambda params: GPU_WORKERS if device_of(params) == "cuda" else None,
)
