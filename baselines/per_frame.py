"""Per-frame pooling: a 2D Inception-v1 on every fourth frame, its features averaged over time. It sees no order.

harness run --baseline per-frame --dataset micro-hmdb51 --protocol full-ft     minutes on two cores
"""

from __future__ import annotations

from typing import Any

from baselines.parts.trunks import bootstrap, image_network, trunk_of
from harness.core.contract import Baseline, BuildSpec, Clip


def build(spec: BuildSpec) -> Any:
    """The 2D trunk on every frame of the clip, pooled."""
    from baselines.parts.network import FrameNetwork

    (stream,) = spec.streams
    return FrameNetwork(stream, trunk_of(spec), classes=spec.num_classes, dropout=spec.scale.dropout)


BASELINE = Baseline(
    name="per-frame",
    title="Per-frame pooling",
    modalities=("rgb",),
    combine="late",
    inits=("imagenet", "scratch"),
    train_clip={
        "paper": Clip(window=64, side_px=224, strides={"rgb": 4}),
        "micro": Clip(window=16, side_px=48, strides={"rgb": 2}),
    },
    test_clip={
        "paper": Clip(window=64, side_px=224, strides={"rgb": 4}, count=4),
        "micro": Clip(window=16, side_px=48, strides={"rgb": 2}, count=2),
    },
    build=build,
    loss="reduced",
    reduce="mean",
    paper="not in the paper; a control for section 2.3",
    build_image=image_network,
    image_name="inception-v1",
    bootstrap=bootstrap,
    choices={
        "why": "the control of every network that sees motion: the frames of I3D's training clip as a set, without their order",
        "classes that differ only by order": "cannot be told apart (opening and closing); what it scores there is chance, or "
        "pictures that betray the class",
        "pooling": "features, not logits: the mean over the frames before dropout and classifier, exactly invariant to order",
        "frames": "every fourth of the 64 frames that I3D is trained on: neighbours differ little",
        "testing": "4 clips at uniform positions, which cover Kinetics' 10 s; logits averaged",
        "micro clips": "every second of 16 frames",
        "not the same as": "two-stream with modality rgb, which is trained on one frame at a time and averages logits",
    },
)
