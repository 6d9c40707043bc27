"""I3D-R50 (Wang et al., arXiv 1711.07971): ResNet-50 with some of its kernels inflated, on 8 frames.

harness run --baseline i3d-r50 --dataset micro-hmdb51 --protocol full-ft       minutes on two cores
"""

from __future__ import annotations

from functools import partial

from baselines.parts import i3d_r50
from harness.core.contract import Baseline
from harness.models.catalog import I3D_R50

BASELINE = Baseline(
    name="i3d-r50",
    title="I3D-R50",
    modalities=("rgb", "flow", "rgb+flow"),
    combine="late",
    inits=("imagenet", "scratch"),
    train_clip=i3d_r50.TRAIN_CLIP,
    test_clip=i3d_r50.TEST_CLIP,
    frames=i3d_r50.FRAMES,
    build=partial(i3d_r50.network, non_local=False),
    loss="reduced",
    reduce="mean",
    paper="not in the paper; arXiv 1711.07971",
    build_image=i3d_r50.image_network,
    image_name="resnet-50",
    bootstrap=i3d_r50.bootstrap,
    weights=I3D_R50,
    choices=i3d_r50.CHOICES,
)
