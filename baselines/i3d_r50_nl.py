"""I3D-R50 with five non-local blocks (Wang et al., arXiv 1711.07971): every position reads all others, in space and time.

harness run --baseline i3d-r50-nl --dataset micro-hmdb51 --protocol full-ft    minutes on two cores
"""

from __future__ import annotations

from functools import partial

from baselines.parts import i3d_r50
from harness.core.contract import Baseline
from harness.models.catalog import I3D_R50_NL

BASELINE = Baseline(
    name="i3d-r50-nl",
    title="I3D-R50 + NL",
    modalities=("rgb", "flow", "rgb+flow"),
    combine="late",
    inits=("imagenet", "scratch"),
    train_clip=i3d_r50.TRAIN_CLIP,
    test_clip=i3d_r50.TEST_CLIP,
    frames=i3d_r50.FRAMES,
    build=partial(i3d_r50.network, non_local=True),
    loss="reduced",
    reduce="mean",
    paper="not in the paper; arXiv 1711.07971",
    build_image=i3d_r50.image_network,
    image_name="resnet-50",
    bootstrap=i3d_r50.bootstrap,
    weights=I3D_R50_NL,
    choices={
        **i3d_r50.CHOICES,
        "non-local blocks": "after blocks 1 and 3 of res3 and 1, 3 and 5 of res4, counted from 0; softmax of products over the "
        "root of the width, keys pooled by 2 in space; each starts as the identity",
    },
)
