"""Inception-v1 with batch norm, flat and inflated (paper section 2.4; layer by layer as in google-deepmind/kinetics-i3d).

The variant of TF-slim: the "5x5" branch has a 3x3 kernel. Flat and inflated networks name their parameters alike, so
that inflating is a map from name to name. The endpoints carry the names of the released checkpoints' variables.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.parts.same_padding import SameConv, SameMaxPool, TimePadding, batch_norm
from harness.core.contract import Scale

MIXED = {
    "3b": (64, 96, 128, 16, 32, 32),
    "3c": (128, 128, 192, 32, 96, 64),
    "4b": (192, 96, 208, 16, 48, 64),
    "4c": (160, 112, 224, 24, 64, 64),
    "4d": (128, 128, 256, 24, 64, 64),
    "4e": (112, 144, 288, 32, 64, 64),
    "4f": (256, 160, 320, 32, 128, 128),
    "5b": (256, 160, 320, 32, 128, 128),
    "5c": (384, 192, 384, 48, 128, 128),
}
"""Channels of an inception module: 1x1 | 1x1, 3x3 | 1x1, 3x3 | 1x1 after the pool."""

POOLS = {"2a": (3, 1), "3a": (3, 1), "4a": (3, 2), "5a": (2, 2)}
"""Max-pool -> (kernel in space, stride in time); strides in space are 2. A stride of 1 in time means a kernel of 1 there."""

ENDPOINTS = (
    *("conv1a", "pool2a", "conv2b", "conv2c", "pool3a", "mixed3b", "mixed3c", "pool4a"),
    *("mixed4b", "mixed4c", "mixed4d", "mixed4e", "mixed4f", "pool5a", "mixed5b", "mixed5c"),
)


@dataclass(frozen=True)
class Style:
    """Settings that every layer of a network shares."""

    dims: int
    """2 for images, 3 for clips."""
    width: float = 1.0
    """Multiplier on channels; each is rounded to a multiple of 8, and is 8 at least."""
    eps: float = 1e-3
    momentum: float = 0.001
    affine: bool = True
    """Learn a scale in batch norm."""
    symmetric: bool = False
    """Pad the first convolution evenly in space, as for torchvision's weights."""
    time_padding: TimePadding = "zeros"

    def channels(self, full: int) -> int:
        return max(8, int(full * self.width / 8 + 0.5) * 8)

    def cube(self, space: int, time: int | None = None) -> tuple[int, ...]:
        """A kernel or stride: `space` in height and width, and `time` (default: the same) before them in 3D."""
        return (space,) * 2 if self.dims == 2 else (space if time is None else time, space, space)


def style_of(scale: Scale, dims: int) -> Style:
    """The style of a scale's networks in 2 or 3 dimensions."""
    return Style(dims, width=scale.width, eps=scale.bn_eps, momentum=scale.bn_momentum, affine=scale.bn_scale)


class ConvBN(nn.Module):
    """Convolution (SAME, no bias), batch norm, and ReLU unless `relu` is False.

    In 3D the kernel and the stride in time are those in space, unless `time` and `time_stride` are given.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        style: Style,
        kernel: int = 1,
        stride: int = 1,
        time: int | None = None,
        time_stride: int | None = None,
        symmetric: bool = False,
        relu: bool = True,
    ):
        super().__init__()
        self.relu = relu
        self.conv = SameConv(
            inputs,
            outputs,
            style.cube(kernel, time),
            stride=style.cube(stride, time_stride),
            symmetric=symmetric,
            time_padding=style.time_padding,
        )
        self.bn = batch_norm(outputs, dims=style.dims, eps=style.eps, momentum=style.momentum, affine=style.affine)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *sizes) float -> (N, outputs, *ceil(sizes / stride)) float, >= 0 with ReLU."""
        y = self.conv.convolve(x, *self.folded()) if may_fold(self.bn, x) else self.bn(self.conv(x))
        return F.relu(y, inplace=True) if self.relu else y

    def folded(self) -> tuple[Tensor, Tensor]:
        """(weight, bias) of the single convolution equal to this one followed by its batch norm in eval mode."""
        scale = self.bn.weight * torch.rsqrt(self.bn.running_var + self.bn.eps)
        weight = self.conv.weight * scale.view(-1, *(1,) * (self.conv.weight.ndim - 1))
        return weight, self.bn.bias - self.bn.running_mean * scale


def may_fuse(x: Tensor) -> bool:
    """Whether faster kernels may change the last bits: only under autocast. float32 runs stay bit for bit."""
    return not x.is_meta and torch.is_autocast_enabled(x.device.type)


def may_fold(bn: nn.Module, x: Tensor) -> bool:
    """Whether batch norm can be folded into the weights: in eval mode, without gradients, under autocast."""
    return may_fuse(x) and not bn.training and not torch.is_grad_enabled()


class Mixed(nn.Module):
    """An inception module: four branches, concatenated."""

    def __init__(self, inputs: int, channels: tuple[int, ...], *, style: Style):
        super().__init__()
        b0, b1a, b1b, b2a, b2b, b3b = (style.channels(c) for c in channels)
        self.b0 = ConvBN(inputs, b0, style=style)
        self.b1a = ConvBN(inputs, b1a, style=style)
        self.b1b = ConvBN(b1a, b1b, style=style, kernel=3)
        self.b2a = ConvBN(inputs, b2a, style=style)
        self.b2b = ConvBN(b2a, b2b, style=style, kernel=3)
        self.b3a = SameMaxPool(style.cube(3), stride=style.cube(1))
        self.b3b = ConvBN(inputs, b3b, style=style)
        self.out_channels = b0 + b1b + b2b + b3b

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, *sizes) float -> (N, out_channels, *sizes) float >= 0."""
        first, second, third = self.pointwise(x) if may_fuse(x) else (self.b0(x), self.b1a(x), self.b2a(x))
        return torch.cat([first, self.b1b(second), self.b2b(third), self.b3b(self.b3a(x))], dim=1)

    def pointwise(self, x: Tensor) -> tuple[Tensor, ...]:
        """Outputs of the three branches that start with a 1x1x1 convolution, computed as one convolution of `x`."""
        branches = (self.b0, self.b1a, self.b2a)
        sizes = [branch.conv.out_channels for branch in branches]
        if may_fold(self.b0.bn, x):
            weights, biases = zip(*(branch.folded() for branch in branches), strict=True)
            y = F.relu(self.b0.conv.convolve(x, torch.cat(weights), torch.cat(biases)), inplace=True)
            return y.split(sizes, dim=1)
        parts = self.b0.conv.convolve(x, torch.cat([branch.conv.weight for branch in branches])).split(sizes, dim=1)
        return tuple(F.relu(branch.bn(part)) for branch, part in zip(branches, parts, strict=True))


class Inception(nn.Module):
    """The trunk up to Mixed_5c; `out_channels` is 1024 at full width."""

    def __init__(self, in_channels: int, *, style: Style):
        super().__init__()
        self.style = style
        channels = style.channels(64)
        for name in ENDPOINTS:
            layer, channels = _layer(name, in_channels if name == "conv1a" else channels, style)
            self.add_module(name, layer)
        self.out_channels = channels
        initialise(self)

    def walk(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        """The output of every endpoint, in order."""
        for name in ENDPOINTS:
            x = self.get_submodule(name)(x)
            yield name, x

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) float in [-1, 1] -> (N, out_channels, T/8, H/32, W/32) float >= 0, sizes rounded up.

        In 2D (N, C, H, W) -> (N, out_channels, H/32, W/32).
        """
        for name in ENDPOINTS:
            x = self.get_submodule(name)(x)
        return x


def _layer(name: str, inputs: int, style: Style) -> tuple[nn.Module, int]:
    """The layer of an endpoint, and its output channels."""
    kind, place = name[:-2], name[-2:]
    if kind == "mixed":
        mixed = Mixed(inputs, MIXED[place], style=style)
        return mixed, mixed.out_channels
    if kind == "pool":
        space, time = POOLS[place]
        return SameMaxPool(style.cube(space, space if time > 1 else 1), stride=style.cube(2, time)), inputs
    if place == "1a":
        outputs = style.channels(64)
        return ConvBN(inputs, outputs, style=style, kernel=7, stride=2, symmetric=style.symmetric), outputs
    outputs = style.channels({"2b": 64, "2c": 192}[place])
    return ConvBN(inputs, outputs, style=style, kernel=1 if place == "2b" else 3), outputs


def initialise(module: nn.Module) -> None:
    """He's normal, truncated at two standard deviations, in every convolution; batch norm keeps PyTorch's default, the identity."""
    for layer in module.modules():
        if isinstance(layer, nn.modules.conv._ConvNd):
            fan_in = layer.weight[0].numel()
            deviation = (2 / fan_in) ** 0.5
            nn.init.trunc_normal_(layer.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
