"""Two-Stream (paper section 2.3): one RGB frame and ten flow fields, a 2D Inception-v1 each, trained jointly.

harness run --baseline two-stream --dataset hmdb51 --protocol full-ft      paper: 58.3 / 66.6 / 66.6 (Table 4)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.core.contract import Baseline, BuildSpec, Clip


def build(spec: BuildSpec) -> Any:
    """Both streams with averaged logits, or one of them alone."""
    from baselines.parts.fusion import TwoStream, stream_trunks

    frames = BASELINE.train_clip[spec.scale.name].frames("flow")
    return TwoStream(stream_trunks(spec, flow_frames=frames), flow_frames=frames, spec=spec)


def build_image(spec: BuildSpec) -> Any:
    """The 2D network both streams start from."""
    from baselines.parts.trunks import image_network

    return image_network(spec)


def bootstrap(network: Any, image_state: Mapping[str, Any], spec: BuildSpec) -> None:
    """RGB as it is; the flow stream's first kernel is the mean over RGB, repeated for every flow channel."""
    from baselines.parts import trunks

    trunks.bootstrap(network, image_state, spec)


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
    build_image=build_image,
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
