"""Two-Stream (paper section 2.3): one RGB frame and ten flow fields, each through a 2D Inception-v1, trained jointly.

harness run --baseline two-stream --dataset hmdb51 --protocol full-ft      paper: 58.3 / 66.6 / 66.6 (Table 4)
"""

from __future__ import annotations

from typing import Any

from baselines.parts.trunks import bootstrap, image_network
from harness.core.contract import Baseline, BuildSpec, Clip


def build(spec: BuildSpec) -> Any:
    """Both streams with averaged logits, or one of them alone."""
    from baselines.parts.fusion import TwoStream, stream_trunks

    frames = BASELINE.train_clip[spec.scale.name].frames("flow")
    return TwoStream(stream_trunks(spec, flow_frames=frames), flow_frames=frames, spec=spec)


BASELINE = Baseline(
    name="two-stream",
    title="Two-Stream",
    modalities=("rgb+flow", "rgb", "flow"),
    combine="joint",
    inits=("imagenet", "scratch"),
    train_clip={
        "paper": Clip(window=10, side_px=224, strides={"rgb": 10}),
        "micro": Clip(window=5, side_px=48, strides={"rgb": 5}),
    },
    test_clip={
        "paper": Clip(window=10, side_px=224, strides={"rgb": 10}, count=25),
        "micro": Clip(window=5, side_px=48, strides={"rgb": 5}, count=5),
    },
    build=build,
    loss="reduced",
    reduce="mean",
    paper="section 2.3, Figure 2c",
    build_image=image_network,
    image_name="inception-v1",
    bootstrap=bootstrap,
    choices={
        "averaging": "logits, of the two streams and of the 25 positions",
        "single columns": "one stream trained alone; RGB alone is what the field calls per-frame pooling: it sees no order",
        "RGB frame": "the first of the flow stack's ten",
        "flow channels": "x and y of the first field, then of the second, ...",
        "flow from ImageNet": "the first kernel averaged over RGB and repeated for the 20 channels, not rescaled",
        "dropout": "the scale's, before each stream's classifier",
    },
)
