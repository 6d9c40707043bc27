"""What the two cards of I3D-R50 share: networks, clips, choices. Loads without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.core.contract import CHANNELS, BuildSpec, Clip, Frames
from harness.core.errors import HarnessError

if TYPE_CHECKING:
    from baselines.parts.network import ImageNetwork, PooledNetwork

TRAIN_CLIP = {
    "paper": Clip(window=64, side_px=224, strides={"rgb": 8, "flow": 8}),
    "micro": Clip(window=16, side_px=48, strides={"rgb": 2, "flow": 2}),
}
TEST_CLIP = {
    "paper": Clip(window=64, side_px=256, strides={"rgb": 8, "flow": 8}, count=10, crops=3),
    "micro": Clip(window=16, side_px=48, strides={"rgb": 2, "flow": 2}, count=2),
}
FRAMES = {"paper": Frames(fps=30.0)}
CHOICES: Mapping[str, str] = {
    "clips": "8 frames, every eighth at 30 frames per second: the published setting 8x8",
    "network": "time is halved once, after res2; 5x7x7 stem, 3x1x1 before every second 3x3; stride in the 3x3",
    "flow": "every eighth field; neither source trains on flow",
    "flow from ImageNet": "the first kernel averaged over RGB and repeated for x and y, then inflated",
    "pictures": "standardised by 0.45 and 0.225, or by what the imported weights were trained with; flow is not",
    "batch norm": "eps 1e-5, as published; the scale of the last in every residual branch starts at 0",
    "testing": "10 clips at uniform positions and 3 squares of 256 px, as published; logits averaged, where the source averages "
    "probabilities",
    "schedule": "the scale's",
    "not the paper's I3D": "an inflated ResNet-50 of Wang et al. (arXiv 1711.07971); its numbers are not those of Inception",
}


def network(spec: BuildSpec, *, non_local: bool) -> PooledNetwork:
    """The 3D network over the one stream of the spec. Raises HarnessError for a backbone."""
    from baselines.parts.network import PooledNetwork
    from baselines.parts.resnet import ResNet, resnet_style

    _refuse_backbone(spec)
    (stream,) = spec.streams
    trunk = ResNet(CHANNELS[stream], style=resnet_style(spec.scale, 3), non_local=non_local)
    return PooledNetwork(stream, trunk, classes=spec.num_classes, dropout=spec.scale.dropout)


def image_network(spec: BuildSpec) -> ImageNetwork:
    """ResNet-50 for pictures. Raises HarnessError for a backbone."""
    from baselines.parts.network import ImageNetwork
    from baselines.parts.resnet import ResNet, resnet_style

    _refuse_backbone(spec)
    return ImageNetwork(
        ResNet(3, style=resnet_style(spec.scale, 2)), classes=spec.num_classes, dropout=spec.scale.dropout
    )


def bootstrap(network: Any, image_state: Mapping[str, Any], spec: BuildSpec) -> None:
    """Inflate the image network into the trunk, strictly; non-local blocks keep their values."""
    from baselines.parts.init_from_2d import bootstrap_trunk

    bootstrap_trunk(network.trunk, image_state, without=".nonlocal")


def _refuse_backbone(spec: BuildSpec) -> None:
    if spec.backbone:
        raise HarnessError(
            f"I3D-R50 has its own backbone: leave out --backbone, or pass --baseline i3d to inflate {spec.backbone}"
        )
