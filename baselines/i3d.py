"""Two-Stream I3D (paper section 2.4): Inception-v1 inflated to three dimensions, one network per stream, logits summed.

harness run --baseline i3d --dataset micro-hmdb51 --protocol full-ft     minutes on two cores
harness run --baseline i3d --dataset hmdb51 --protocol full-ft           paper: 66.4 / 79.7 / 81.2 (Table 4)
"""

from __future__ import annotations

from baselines.parts.trunks import bootstrap, clip_network, image_network
from harness.core.contract import Baseline, Clip
from harness.models.catalog import I3D as PUBLISHED

BASELINE = Baseline(
    name="i3d",
    title="Two-Stream I3D",
    modalities=("rgb+flow", "rgb", "flow"),
    combine="late",
    inits=("imagenet", "scratch"),
    train_clip={"paper": Clip(window=64, side_px=224), "micro": Clip(window=16, side_px=48)},
    test_clip={"paper": Clip(window=250, side_px=224, dense=True), "micro": Clip(window=24, side_px=48, dense=True)},
    build=clip_network,
    loss="reduced",
    reduce="mean",
    paper="section 2.4, Figure 3",
    build_image=image_network,
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
        "initialisation": "He's normal cut at two standard deviations; the head starts at 0.01 and zero bias",
        "final pooling": "2 positions in time, the whole map in space (7x7 at 224 px)",
        "timm backbones": "time is strided where the 2D network goes to 1/2, 1/16 and 1/32, as in the inflated Inception; "
        "scale widths do not apply",
    },
)
