"""torchvision's video networks with the interface of harness.core.contract.Network, at their own and at micro size."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial

from torch import Tensor, nn
from torchvision.models import video
from torchvision.models.video.mvit import MSBlockConfig, MViT
from torchvision.models.video.swin_transformer import SwinTransformer3d

from baselines.parts.families.torchvision_facts import MEMBERS
from baselines.parts.network import LinearHead, WithHead
from harness.core.contract import BuildSpec, Clip
from harness.core.errors import HarnessError

SMALLEST = 16
"""Greatest divisor of channels: every width of these networks that is concatenated is a multiple of it."""


class TorchvisionNetwork(WithHead):
    """A network of torchvision whose head is replaced by an equal one that can be renewed."""

    def __init__(self, trunk: nn.Module, features: int, *, classes: int, dropout: float):
        super().__init__(partial(LinearHead, features, dropout=dropout), classes)
        self.trunk = trunk

    def features(self, clips: Mapping[str, Tensor]) -> Tensor:
        """clips["rgb"] (N, 3, T, H, W) float32, as the card's pixels say -> (N, 1, F) float; S3D: (N, T / 8 - 1, F)."""
        x = clips["rgb"]
        if not isinstance(self.trunk, video.S3D):
            return self.trunk(x).unsqueeze(1)
        maps = self.trunk.features(x)
        # The published window is 2x7x7; a micro map is smaller.
        window = [min(own, size) for own, size in zip((2, 7, 7), maps.shape[2:], strict=True)]
        return nn.functional.avg_pool3d(maps, window, 1).mean((3, 4)).transpose(1, 2)


def network(name: str, clip: Clip, spec: BuildSpec) -> TorchvisionNetwork:
    """The member `name`, freshly initialised: as published where the scale's width is 1, else its micro size for `clip`.

    Raises HarnessError for a backbone, which it cannot be built on.
    """
    if spec.backbone:
        raise HarnessError(f"torchvision:{name} cannot be built on --backbone {spec.backbone}; leave it out")
    member = MEMBERS[name]
    published = spec.scale.width == 1
    model = getattr(video, name)(weights=None) if published else _micro(name, clip, spec)
    layer = model.get_submodule(member.kind.head)
    features = layer.in_channels if isinstance(layer, nn.Conv3d) else layer.in_features
    setattr(model, member.kind.head.split(".")[0], nn.Identity())
    if isinstance(model, video.S3D):
        model.avgpool = nn.Identity()
    if isinstance(model, MViT):
        _freeze_unread(model)
    dropout = member.kind.dropout if published else spec.scale.dropout
    return TorchvisionNetwork(model, features, classes=spec.num_classes, dropout=dropout)


def _micro(name: str, clip: Clip, spec: BuildSpec) -> nn.Module:
    if name.startswith("mvit"):
        return _micro_mvit(clip, second=name.startswith("mvit_v2"))
    if name.startswith("swin"):
        # The sizes differ in depth and width, of which little is left.
        width = {"swin3d_t": 16, "swin3d_s": 24, "swin3d_b": 32}[name]
        return SwinTransformer3d([2, 4, 4], width, [2, 2], [2, 4], [4, 4, 4], stochastic_depth_prob=0.0)
    model = getattr(video, name)(weights=None)
    divisor = min(SMALLEST, 2 ** round(-math.log2(spec.scale.width)))
    return _narrowed(model, divisor, momentum=spec.scale.bn_momentum)


def _micro_mvit(clip: Clip, *, second: bool) -> nn.Module:
    widths = [(16, 32), (32, 32), (32, 64), (64, 64)]
    if second:  # widens in the attention of the next block
        widths = [(16, 16), (16, 32), (32, 32), (32, 64)]
    blocks = [
        MSBlockConfig(
            num_heads=heads,
            input_channels=before,
            output_channels=after,
            kernel_q=[3, 3, 3] if stride > 1 else [],
            kernel_kv=[3, 3, 3],
            stride_q=[1, stride, stride] if stride > 1 else [],
            stride_kv=[1, kv, kv],
        )
        for (before, after), heads, stride, kv in zip(widths, (1, 2, 2, 4), (1, 2, 2, 1), (4, 2, 1, 1), strict=True)
    ]
    return MViT(
        spatial_size=(clip.side_px, clip.side_px),
        temporal_size=clip.window,
        block_setting=blocks,
        residual_pool=second,
        residual_with_cls_embed=False,
        rel_pos_embed=second,
        proj_after_attn=second,
        stochastic_depth_prob=0.0,
    )


def _freeze_unread(model: MViT) -> None:
    """Turn off gradients of the last block's relative positions: the class token, which alone is read, has no place."""
    for name, parameter in model.blocks[-1].named_parameters():
        if ".rel_pos_" in name:
            parameter.requires_grad_(False)


def _narrowed(model: nn.Module, divisor: int, *, momentum: float) -> nn.Module:
    """The convolutional network with every width divided, its convolutions drawn by He's rule."""

    def less(width: int) -> int:
        return max(1, -(-width // divisor))

    for parent in list(model.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, nn.BatchNorm3d):
                setattr(parent, name, nn.BatchNorm3d(less(layer.num_features), eps=layer.eps, momentum=momentum))
            elif isinstance(layer, nn.Linear):
                setattr(parent, name, nn.Linear(less(layer.in_features), layer.out_features))
            elif isinstance(layer, nn.Conv3d):
                setattr(parent, name, _narrow_convolution(layer, less))
    return model


def _narrow_convolution(layer: nn.Conv3d, less: Callable[[int], int]) -> nn.Conv3d:
    read = layer.in_channels if layer.in_channels == 3 else less(layer.in_channels)
    narrow = nn.Conv3d(
        read,
        less(layer.out_channels),
        layer.kernel_size,
        stride=layer.stride,
        padding=layer.padding,
        bias=layer.bias is not None,
    )
    nn.init.kaiming_normal_(narrow.weight, mode="fan_out", nonlinearity="relu")
    return narrow


def head_and_trunk(head: str, name: str) -> str:
    """torchvision's name of a tensor -> that in our network: 'fc.weight' -> 'head.fc.weight', others after 'trunk.'."""
    return f"head.fc{name.removeprefix(head)}" if name.startswith(f"{head}.") else f"trunk.{name}"
