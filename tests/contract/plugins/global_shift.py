"""A third-party flow method in one file: the whole picture moves by one displacement, found by OpenCV's image alignment (ECC)."""

from __future__ import annotations

from itertools import pairwise

from harness.core.parameters import Parameter, one_of
from harness.core.plugins import FlowAlgorithm, FlowEstimator

CHANNELS = {"red": 0, "green": 1, "blue": 2}


def load(params):
    import cv2
    import numpy as np

    channel = CHANNELS[params.get("channel", "green")]

    def flows(row):
        for picture, after in pairwise(row):
            here, there = picture[..., channel], after[..., channel]
            _, matrix = cv2.findTransformECC(here, there, np.eye(2, 3, dtype=np.float32), cv2.MOTION_TRANSLATION)
            yield np.full((*here.shape, 2), matrix[:, 2], np.float32)

    return FlowEstimator(flows, batch_pairs=3, rgb=True)


ALGORITHM = FlowAlgorithm(
    name="global-shift",
    parameters={"channel": Parameter("green", one_of(*CHANNELS))},
    library=lambda params: "global shift 1",
    load=load,
)
