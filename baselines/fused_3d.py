"""3D-Fused Two-Stream (paper section 2.3): maps of five RGB frames and of the flow after each, fused by a 3D convolution.

harness run --baseline fused-3d --dataset hmdb51 --protocol full-ft        paper: 56.8 / 69.9 / 71.0 (Table 4)
"""

from __future__ import annotations

from typing import Any

from baselines.parts.trunks import bootstrap, image_network
from harness.core.contract import Baseline, BuildSpec, Clip

FUSED = 512


def build(spec: BuildSpec) -> Any:
    """Both streams fused, or the same fusion over one stream's maps."""
    from baselines.parts.fusion import Fused, stream_trunks
    from baselines.parts.inception import style_of

    frames = BASELINE.train_clip[spec.scale.name].stride("rgb")
    fused = style_of(spec.scale, 3).channels(FUSED)
    return Fused(stream_trunks(spec, flow_frames=frames), fused=fused, flow_frames=frames, spec=spec)


BASELINE = Baseline(
    name="fused-3d",
    title="3D-Fused",
    version=2,
    modalities=("rgb+flow", "rgb", "flow"),
    combine="joint",
    inits=("imagenet", "scratch"),
    train_clip={
        "paper": Clip(window=50, side_px=224, strides={"rgb": 10}),
        "micro": Clip(window=20, side_px=48, strides={"rgb": 4}),
    },
    test_clip={
        "paper": Clip(window=50, side_px=224, strides={"rgb": 10}, count=5),
        "micro": Clip(window=20, side_px=48, strides={"rgb": 4}, count=2),
    },
    build=build,
    loss="reduced",
    reduce="mean",
    paper="section 2.3, Figure 2d",
    build_image=image_network,
    image_name="inception-v1",
    bootstrap=bootstrap,
    choices={
        "fusion": "channels of the two streams are concatenated: a sum would give 25.6M parameters, not Table 1's 39M",
        "padding and pool stride": "convolution without padding (5x7x7 to 3x5x5), batch norm and ReLU after it; pool stride 2 "
        "(1x2x2), then the mean, so that the classifier reads 512 numbers and the whole map counts",
        "new layers' Gaussian": "He's standard deviation, cut at two of them; the classifier's is 0.01",
        "single streams": "the same fusion over one stream's 1024 channels",
        "flow from ImageNet": "the first kernel averaged over RGB and repeated for the 20 channels, not rescaled",
        "testing": "5 windows of 50 frames at uniform positions, logits averaged (inferred from Table 1)",
        "micro clips": "5 frames 4 apart with 4 flow fields each; maps of 2x2 are padded by one in space before fusing",
    },
)
