"""Temporal Segment Networks (Wang et al., arXiv 1608.00859): a 2D Inception-v1 on a snippet of each of K segments of the video.

harness run --baseline tsn --dataset micro-hmdb51 --protocol full-ft           minutes on two cores
harness run --baseline tsn --modality flow --dataset hmdb51 --protocol original
"""

from __future__ import annotations

from typing import Any

from baselines.parts.trunks import bootstrap, image_network
from harness.core.contract import Baseline, BuildSpec, Clip

FLOW_FRAMES = 5
"""Fields of flow in a snippet: 10 channels."""


def build(spec: BuildSpec) -> Any:
    """One stream's 2D network; its output positions are the snippets, whose logits the consensus averages before the loss."""
    from baselines.parts.fusion import TwoStream, stream_trunks

    return TwoStream(stream_trunks(spec, flow_frames=FLOW_FRAMES), flow_frames=FLOW_FRAMES, spec=spec)


def _clip(side_px: int, segments: int) -> Clip:
    """One frame, and the flow that follows it, of each segment."""
    return Clip(window=FLOW_FRAMES, side_px=side_px, strides={"rgb": FLOW_FRAMES}, segments=segments)


BASELINE = Baseline(
    name="tsn",
    title="TSN",
    modalities=("rgb+flow", "rgb", "flow"),
    combine="late",
    inits=("imagenet", "scratch"),
    train_clip={"paper": _clip(224, 3), "micro": _clip(48, 3)},
    test_clip={"paper": _clip(224, 25), "micro": _clip(48, 5)},
    build=build,
    loss="reduced",
    reduce="mean",
    paper="not among the trained networks; quoted in Table 5",
    build_image=image_network,
    image_name="inception-v1",
    bootstrap=bootstrap,
    choices={
        "segments": "3 equal parts of the video in training, a random snippet of each; 25 in testing, the middle one of each",
        "consensus": "logits of the snippets averaged before the cross-entropy",
        "order": "the average sees none between snippets: rgb is blind to order, flow sees that of 5 frames",
        "network": "our Inception-v1, as Two-Stream's here; the authors' is BN-Inception, whose size differs",
        "schedule and augmentation": "the scale's: no corner crops, no scale jitter, no partial batch norm",
        "dropout": "the scale's, before the classifier; the authors' is 0.8 for rgb and 0.7 for flow",
        "rgb+flow": "logits of the two streams summed; the authors weigh flow by 1.5",
        "flow": "not warped; the numbers that the paper quotes include warped flow",
        "flow from ImageNet": "the first kernel averaged over RGB and repeated for the 10 channels, not rescaled",
        "testing": "centre crop of each snippet, where the authors take 10 crops",
    },
)
