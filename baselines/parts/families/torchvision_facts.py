"""torchvision's video networks: the facts of their weights, so that cards need not import torchvision.

`tests/unit/test_torchvision.py` compares every value with `WeightsEnum.meta` and its transforms. Frame rate and number of
clips are published in prose only.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from harness.core.settings import Pixels

KINETICS = Pixels(mean=(0.43216, 0.394666, 0.37645), std=(0.22803, 0.22145, 0.216989))
SLOWFAST = Pixels(mean=(0.45, 0.45, 0.45), std=(0.225, 0.225, 0.225))
IMAGENET = Pixels(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
URL = "https://download.pytorch.org/models/{}.pth"


@functools.cache
def kinetics400() -> tuple[str, ...]:
    """Class names of Kinetics-400 in the order of the logits."""
    return tuple(Path(__file__).with_name("kinetics400.txt").read_text("utf-8").splitlines())


@dataclass(frozen=True)
class Kind:
    """What the networks of one kind share."""

    head: str
    """Name of the linear layer of the head."""
    dropout: float
    """Probability, before the head."""
    frames: int
    """Frames of a clip."""
    fps: float
    clips: int
    """Clips per video of the published accuracy."""
    resize: int | tuple[int, int]
    side_px: int
    """Crop."""
    pixels: Pixels
    fixed: bool = False
    """Takes only clips of this length and size."""


RESNET = Kind("fc", 0.0, 16, 15.0, 5, (128, 171), 112, KINETICS)
S3D = Kind("classifier.1", 0.2, 128, 15.0, 1, (256, 256), 224, KINETICS)
MVIT = Kind("head.1", 0.5, 16, 7.5, 5, 256, 224, SLOWFAST, fixed=True)
SWIN = Kind("head", 0.0, 32, 15.0, 12, 256, 224, IMAGENET)


@dataclass(frozen=True)
class Member:
    """One network with its weights."""

    title: str
    kind: Kind
    file: str
    """Name of the file of weights; the digits after its last '-' begin its SHA-256."""
    parameters: int
    """With 400 classes."""
    gmacs: float
    """torchvision calls them GFLOPs."""
    top1_pct: float
    """On Kinetics-400's validation set, as published."""
    weights: str = "KINETICS400_V1"
    """Name in torchvision's enumeration."""


MEMBERS = {
    "r3d_18": Member("R3D-18", RESNET, "r3d_18-b3b3357e", 33_371_472, 40.697, 63.2),
    "mc3_18": Member("MC3-18", RESNET, "mc3_18-a90a0ba3", 11_695_440, 43.343, 63.96),
    "r2plus1d_18": Member("R(2+1)D-18", RESNET, "r2plus1d_18-91a641e6", 31_505_325, 40.519, 67.463),
    "s3d": Member("S3D", S3D, "s3d-d76dad2f", 8_320_048, 17.979, 68.368),
    "mvit_v1_b": Member("MViT-B", MVIT, "mvit_v1_b-dbeb1030", 36_610_672, 70.599, 78.477),
    "mvit_v2_s": Member("MViTv2-S", MVIT, "mvit_v2_s-ae3be167", 34_537_744, 64.224, 80.757),
    "swin3d_t": Member("Video Swin-T", SWIN, "swin3d_t-7615ae03", 28_158_070, 43.882, 77.715),
    "swin3d_s": Member("Video Swin-S", SWIN, "swin3d_s-da41c237", 49_816_678, 82.841, 79.521),
    "swin3d_b": Member("Video Swin-B", SWIN, "swin3d_b_1k-24f7c7c6", 88_048_984, 140.667, 79.427),
}
LARGER = {
    "swin3d_b": Member(
        "Video Swin-B", SWIN, "swin3d_b_22k-7c6ae6fa", 88_048_984, 140.667, 81.643, "KINETICS400_IMAGENET22K_V1"
    )
}
"""Further weights of a member."""
