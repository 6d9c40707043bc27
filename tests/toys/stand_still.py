"""The 3D-ConvNet without a temporal axis: it is shown the middle frame of each clip, over and over.

The middle one, because the first tells how far the action has gone when the clip begins, and with it the direction.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from baselines import c3d
from harness.core.contract import BuildSpec


def build(spec: BuildSpec) -> Any:
    network = c3d.BASELINE.build(spec)
    seeing = network.features

    def features(clips: Mapping[str, Any]) -> Any:
        frames = clips["rgb"]
        middle = frames.shape[2] // 2
        return seeing({"rgb": frames[:, :, middle : middle + 1].expand_as(frames).contiguous()})

    network.features = features
    return network


BASELINE = dataclasses.replace(c3d.BASELINE, name="stand-still", title="3D-ConvNet of one frame", build=build)
