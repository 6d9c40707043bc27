"""Networks that a BuildSpec asks for, on the paper's Inception-v1 or on a timm network. Loads without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.core.contract import CHANNELS, BuildSpec

if TYPE_CHECKING:
    from torch import nn

    from baselines.parts.network import ClipNetwork, ImageNetwork


def trunk_of(spec: BuildSpec, *, channels: int = 3, dims: int = 2) -> nn.Module:
    """(N, channels, H, W) -> (N, out_channels, h, w); with 3 `dims`, (N, channels, T, H, W) -> (N, out_channels, t, h, w)."""
    if spec.backbone:
        from baselines.parts.backbones import inflated_trunk, timm_trunk

        return (timm_trunk if dims == 2 else inflated_trunk)(spec.backbone, channels=channels)
    from baselines.parts.inception import Inception, style_of

    return Inception(channels, style=style_of(spec.scale, dims))


def image_network(spec: BuildSpec) -> ImageNetwork:
    """The 2D network of `--init imagenet`: a card's `build_image`."""
    from baselines.parts.network import ImageNetwork

    return ImageNetwork(trunk_of(spec), classes=spec.num_classes, dropout=spec.scale.dropout)


def clip_network(spec: BuildSpec) -> ClipNetwork:
    """A 3D network over the one stream of the spec."""
    from baselines.parts.network import ClipNetwork

    (stream,) = spec.streams
    trunk = trunk_of(spec, channels=CHANNELS[stream], dims=3)
    return ClipNetwork(stream, trunk, classes=spec.num_classes, dropout=spec.scale.dropout)


def bootstrap(network: Any, image_state: Mapping[str, Any], spec: BuildSpec) -> None:
    """Initialise every trunk of the network from the image network's state, strictly: a card's `bootstrap`.

    2D trunks copy it, 3D trunks inflate it: kernels are repeated N times in time and divided by N (section 2.4). A first
    kernel over flow is the mean over RGB, repeated for every flow channel.
    """
    from baselines.parts.init_from_2d import bootstrap_trunk

    for trunk in network.trunks.values() if hasattr(network, "trunks") else (network.trunk,):
        bootstrap_trunk(trunk, image_state)
