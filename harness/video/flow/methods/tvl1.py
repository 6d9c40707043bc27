"""OpenCV's Dual TV-L1: the reference, and what both built-in scales use."""

from __future__ import annotations

from harness.core.errors import HarnessError
from harness.core.parameters import ONE_OR_MORE, Parameter, Range
from harness.core.plugins import FlowAlgorithm, FlowEstimator, Params
from harness.video.decoder import opencv_version
from harness.video.flow.tvl1_settings import PARAMETERS

SETTERS = {
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
"""Our name of a parameter -> OpenCV's setter."""


def load(params: Params) -> FlowEstimator:
    import cv2

    if not hasattr(cv2, "optflow"):
        raise HarnessError(
            "the installed OpenCV has no TV-L1: another build overwrote the contrib build. Uninstall every opencv-* "
            "package, then install opencv-contrib-python-headless"
        )
    solver = cv2.optflow.createOptFlow_DualTVL1()
    for name, value in params.items():
        getattr(solver, SETTERS[name])(value)
    return FlowEstimator.of_pairs(lambda grey, after: solver.calc(grey, after, None))


ALGORITHM = FlowAlgorithm(
    name="tvl1",
    # As those of our own TV-L1, except for two: more median filters by default, and any pyramid that shrinks.
    parameters={name: PARAMETERS[name] for name in SETTERS}
    | {
        "outer": Parameter(10, ONE_OR_MORE),
        "scale_step": Parameter(0.8, Range("more than 0, and below 1", lambda value: 0 < value < 1)),
    },
    library=lambda params: f"opencv {opencv_version()}",
    load=load,
)
