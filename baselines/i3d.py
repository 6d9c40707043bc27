"""Two-Stream I3D (paper section 2.4): Inception-v1 inflated to three dimensions, one network a stream, logits summed.

harness run --baseline i3d --dataset micro-hmdb51 --protocol full-ft     minutes on two cores
harness run --baseline i3d --dataset hmdb51 --protocol full-ft           paper: 66.4 / 79.7 / 81.2 (Table 4)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.core.contract import Baseline, BuildSpec, Clip
from harness.models.catalog import I3D as PUBLISHED


def build(spec: BuildSpec) -> Any:
    """A 3D network over one stream: 64 frames of 224 px leave 7 positions of 1024 features."""
    from baselines.parts.trunks import clip_network

    return clip_network(spec)


def build_image(spec: BuildSpec) -> Any:
    """The 2D network that is inflated."""
    from baselines.parts.trunks import image_network

    return image_network(spec)


def bootstrap(network: Any, image_state: Mapping[str, Any], spec: BuildSpec) -> None:
    """Repeat each 2D kernel N times in time and divide by N (section 2.4)."""
    from baselines.parts import trunks

    trunks.bootstrap(network, image_state, spec)


BASELINE = Baseline(
    name="i3d",
    title="Two-Stream I3D",
    modalities=("rgb+flow", "rgb", "flow"),
    combine="late",
    inits=("imagenet", "scratch"),
    train_clip={"paper": Clip(window=64, side_px=224), "micro": Clip(window=16, side_px=48)},
    test_clip={"paper": Clip(window=250, side_px=224, dense=True), "micro": Clip(window=24, side_px=48, dense=True)},
    build=build,
    loss="reduced",
    reduce="mean",
    paper="section 2.4, Figure 3",
    build_image=build_image,
    image_name="inception-v1",
    bootstrap=bootstrap,
    weights=PUBLISHED,
    choices={
        "flow from ImageNet": "the first kernel averaged over RGB and repeated for x and y, then inflated",
        "videos shorter than the test window": "looped up to it, as in training",
        "averaging": "logits over time, and logits of the two streams, as the released code does",
        "dropout and weight decay": "the released models': 0.5 before the logits, 1e-7",
        "batch norm": "eps 1e-3 and decay 0.999 as released; a learned scale, which the released models lack, unless "
        "the scale says bn_scale = false",
        "padding": "TensorFlow's SAME, asymmetric where it is; weights trained with an even first padding (torchvision's) "
        "bring that along in their state",
        "initialisation": "He's normal cut at two deviations; the head starts at 0.01 and zero bias",
        "final pooling": "2 positions in time, the whole map in space (7x7 at 224 px)",
        "timm backbones": "time is strided where the 2D network goes to 1/2, 1/16 and 1/32, as in the inflated Inception; "
        "scale widths do not apply",
    },
)
