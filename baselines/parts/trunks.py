"""Which trunk a build asks for: the paper's Inception-v1, or a timm network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from baselines.parts.bootstrap import bootstrap_trunk
from baselines.parts.inception import Inception, style_of
from baselines.parts.network import ClipNetwork, ImageNetwork
from harness.core.contract import CHANNELS, BuildSpec


def image_trunk(spec: BuildSpec, *, channels: int = 3) -> nn.Module:
    """A 2D trunk: (N, channels, H, W) -> (N, out_channels, h, w)."""
    if not spec.backbone:
        return Inception(channels, style=style_of(spec.scale, 2))
    from baselines.parts.backbones import timm_trunk

    return timm_trunk(spec.backbone, channels=channels)


def clip_trunk(spec: BuildSpec, *, channels: int = 3) -> nn.Module:
    """A 3D trunk: (N, channels, T, H, W) -> (N, out_channels, t, h, w)."""
    if not spec.backbone:
        return Inception(channels, style=style_of(spec.scale, 3))
    from baselines.parts.backbones import inflated_trunk

    return inflated_trunk(spec.backbone, channels=channels)


def image_network(spec: BuildSpec) -> ImageNetwork:
    """The 2D network of `--init imagenet`."""
    return ImageNetwork(image_trunk(spec), classes=spec.num_classes, dropout=spec.scale.dropout)


def clip_network(spec: BuildSpec) -> ClipNetwork:
    """A 3D network over the one stream of the spec."""
    (stream,) = spec.streams
    trunk = clip_trunk(spec, channels=CHANNELS[stream])
    return ClipNetwork(stream, trunk, classes=spec.num_classes, dropout=spec.scale.dropout)


def bootstrap(network: Any, image_state: Mapping[str, Any], spec: BuildSpec) -> None:
    """Every trunk of the network from the image network's; flow by cross-modality averaging. Strict."""
    trunks = network.trunks.values() if hasattr(network, "trunks") else (network.trunk,)
    for trunk in trunks:
        bootstrap_trunk(trunk, image_state)
