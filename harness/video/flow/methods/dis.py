"""OpenCV's Dense Inverse Search: a different flow, for a quick look."""

from __future__ import annotations

from harness.core.parameters import Parameter, Range
from harness.core.plugins import FlowAlgorithm, FlowEstimator, Params
from harness.video.decoder import opencv_version

PRESET = Parameter(1, Range("one of 0 (ultrafast), 1 (fast), 2 (medium)", lambda value: value in (0, 1, 2)))


def load(params: Params) -> FlowEstimator:
    import cv2

    solver = cv2.DISOpticalFlow.create(int(params.get("preset", PRESET.default)))
    return FlowEstimator.of_pairs(lambda grey, after: solver.calc(grey, after, None))


ALGORITHM = FlowAlgorithm(
    name="dis", parameters={"preset": PRESET}, library=lambda params: f"opencv {opencv_version()}", load=load
)
