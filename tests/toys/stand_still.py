"""The 3D-ConvNet without a temporal axis: it is shown the first frame of each clip, over and over."""

import dataclasses
from typing import Any

from baselines import c3d
from harness.contract import BuildSpec


def build(spec: BuildSpec) -> Any:
    network = c3d.BASELINE.build(spec)
    seeing = network.features
    network.features = lambda clips: seeing({"rgb": clips["rgb"][:, :, :1].expand_as(clips["rgb"]).contiguous()})
    return network


BASELINE = dataclasses.replace(c3d.BASELINE, name="stand-still", title="3D-ConvNet of one frame", build=build)
