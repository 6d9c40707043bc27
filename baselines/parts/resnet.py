"""ResNet-50, flat and inflated as in Non-local Neural Networks (Wang et al., arXiv 1711.07971, Table 1 and section 4).

Only some kernels are inflated: 5x7x7 in the stem, and 3x1x1 instead of 1x1 at the start of every second block. Time is halved
once, after res2; a clip of 8 frames ends as 4. Flat and inflated networks name their parameters alike.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.parts.inception import ConvBN, Style, initialise, style_of
from baselines.parts.non_local import NonLocal
from harness.core.contract import Scale

STAGES: Mapping[str, tuple[int, tuple[int, ...]]] = {
    "res2": (64, (3, 3, 3)),
    "res3": (128, (3, 1, 3, 1)),
    "res4": (256, (3, 1, 3, 1, 3, 1)),
    "res5": (512, (1, 3, 1)),
}
"""Stage -> inner channels, and the temporal kernel of the first convolution of each block. A block gives four times its inner channels."""
NON_LOCAL: Mapping[str, tuple[int, ...]] = {"res3": (1, 3), "res4": (1, 3, 5)}
"""Stage -> blocks, counted from 0, that a non-local block follows in the network with five."""
EPS = 1e-5
"""Of every batch norm here: published ResNets were trained with it."""
MEAN, DEVIATION = (0.45,) * 3, (0.225,) * 3
"""Of pictures in [0, 1], which the published networks were trained with."""


def resnet_style(scale: Scale, dims: int) -> Style:
    """The style of a scale's ResNets in 2 or 3 dimensions."""
    return replace(style_of(scale, dims), eps=EPS, symmetric=True)


class Pixels(nn.Module):
    """Pictures in [-1, 1] as the network's weights expect them: minus a mean, divided by a deviation. Flow is not changed.

    Both are part of the state, as `standard`, so that weights bring their own along.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.pictures = channels == 3
        self.register_buffer("standard", torch.tensor((MEAN, DEVIATION)))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *sizes) float in [-1, 1] -> (N, C, *sizes) float."""
        if not self.pictures:
            return x
        mean, deviation = (values.view(-1, *(1,) * (x.dim() - 2)) for values in self.standard)
        return x * (0.5 / deviation) + (0.5 - mean) / deviation


class Bottleneck(nn.Module):
    """1x1 (with a kernel of `time` frames), 3x3, 1x1, added to the input; `stride` is that of the 3x3, in space."""

    def __init__(self, inputs: int, inner: int, outputs: int, *, time: int, stride: int, style: Style):
        super().__init__()
        layer = partial(ConvBN, style=style, time_stride=1, symmetric=style.symmetric)
        self.a = layer(inputs, inner, time=time)
        self.b = layer(inner, inner, kernel=3, time=1, stride=stride)
        self.c = layer(inner, outputs, relu=False)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = layer(inputs, outputs, stride=stride, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, T, H, W) float -> (N, outputs, T, H / stride, W / stride) float >= 0, sizes rounded up."""
        return F.relu(self.c(self.b(self.a(x))) + self.shortcut(x), inplace=True)


class ResNet(nn.Module):
    """The trunk up to res5; `out_channels` is 2048 at full width. With 2 dimensions in its style it takes pictures.

    `non_local` inserts the five blocks of `NON_LOCAL`, each the identity at the start.
    """

    def __init__(self, in_channels: int, *, style: Style, non_local: bool = False):
        super().__init__()
        self.style = style
        self.pixels = Pixels(in_channels)
        channels = style.channels(64)
        self.stem = ConvBN(
            in_channels, channels, style=style, kernel=7, time=5, stride=2, time_stride=1, symmetric=style.symmetric
        )
        for name in STAGES:
            stage, channels = _stage(name, channels, style, non_local=non_local)
            self.add_module(name, stage)
        self.out_channels = channels
        initialise(self)
        _begin_as_identity(self)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) float in [-1, 1] -> (N, out_channels, T/2, H/32, W/32) float >= 0, space rounded up.

        In 2D (N, C, H, W) -> (N, out_channels, H/32, W/32).
        """
        x = self.stem(self.pixels(x))
        if self.style.dims == 2:
            x = self.res2(F.max_pool2d(x, 3, 2, 1))
        else:
            x = F.max_pool3d(x, (1, 3, 3), (1, 2, 2), (0, 1, 1))
            x = F.max_pool3d(self.res2(x), (2, 1, 1))
        return self.res5(self.res4(self.res3(x)))


def _stage(name: str, inputs: int, style: Style, *, non_local: bool) -> tuple[nn.Module, int]:
    """The blocks of a stage in order, and its output channels."""
    full, times = STAGES[name]
    inner, outputs = style.channels(full), style.channels(4 * full)
    blocks: OrderedDict[str, nn.Module] = OrderedDict()
    for number, time in enumerate(times):
        # The stem and its pool have halved the picture twice before res2.
        stride = 2 if number == 0 and name != "res2" else 1
        blocks[f"{number}"] = Bottleneck(inputs, inner, outputs, time=time, stride=stride, style=style)
        inputs = outputs
        if non_local and number in NON_LOCAL.get(name, ()):
            blocks[f"nonlocal{number}"] = NonLocal(outputs, eps=style.eps, momentum=style.momentum)
    return nn.Sequential(blocks), outputs


def _begin_as_identity(trunk: nn.Module) -> None:
    """Scales of the last batch norm of every residual branch start at zero (Goyal et al., arXiv 1706.02677)."""
    for module in trunk.modules():
        if isinstance(module, Bottleneck) and module.c.bn.weight.requires_grad:
            nn.init.zeros_(module.c.bn.weight)
        if isinstance(module, NonLocal):
            module.begin_as_identity()
