"""A simple I3D, as a reference: every SAME padding explicit, nothing shared, nothing fused.

Layers, names and sizes are those of `baselines.parts.inception`, so that its state can be loaded here and its outputs
compared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.parts.inception import ENDPOINTS, MIXED, POOLS, Style
from baselines.parts.network import LinearHead


def pad_same(x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    """x (N, C, T, H, W) padded with zeros so that an unpadded layer gives ceil(size / stride)."""
    amounts: list[int] = []
    for size, k, s in reversed(list(zip(x.shape[2:], kernel, stride, strict=True))):
        total = max((math.ceil(size / s) - 1) * s + k - size, 0)
        amounts += [total // 2, total - total // 2]
    return F.pad(x, amounts)


class PlainConv(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, style: Style):
        super().__init__()
        self.kernel, self.stride = (kernel,) * 3, (stride,) * 3
        self.conv = nn.Conv3d(inputs, outputs, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(outputs, eps=style.eps, momentum=style.momentum)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(pad_same(x, self.kernel, self.stride))))


class PlainPool(nn.Module):
    def __init__(self, kernel: tuple[int, int, int], stride: tuple[int, int, int]):
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        # The input has passed a ReLU, so the zeros of the padding never exceed it.
        return F.max_pool3d(pad_same(x, self.kernel, self.stride), self.kernel, self.stride)


class PlainMixed(nn.Module):
    def __init__(self, inputs: int, channels: tuple[int, ...], style: Style):
        super().__init__()
        b0, b1a, b1b, b2a, b2b, b3b = (style.channels(c) for c in channels)
        self.b0 = PlainConv(inputs, b0, 1, 1, style)
        self.b1a, self.b1b = PlainConv(inputs, b1a, 1, 1, style), PlainConv(b1a, b1b, 3, 1, style)
        self.b2a, self.b2b = PlainConv(inputs, b2a, 1, 1, style), PlainConv(b2a, b2b, 3, 1, style)
        self.b3a, self.b3b = PlainPool((3, 3, 3), (1, 1, 1)), PlainConv(inputs, b3b, 1, 1, style)
        self.out_channels = b0 + b1b + b2b + b3b

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))], 1)


class PlainI3D(nn.Module):
    """clips["rgb"] (N, 3, T, H, W) float32 in [-1, 1] -> logits (N, P, classes), equal to those of our I3D with the same state."""

    def __init__(self, style: Style, *, classes: int, dropout: float):
        super().__init__()
        self.trunk = nn.Sequential()
        channels = 3
        for name in ENDPOINTS:
            layer, channels = _layer(name, channels, style)
            self.trunk.add_module(name, layer)
        self.head = LinearHead(channels, classes, dropout=dropout)

    def forward(self, clips: Mapping[str, Tensor]) -> Tensor:
        x = self.trunk(clips["rgb"])
        x = F.avg_pool3d(x, (2, *x.shape[3:]), stride=1)
        return self.head(x.squeeze(4).squeeze(3).transpose(1, 2))


def _layer(name: str, inputs: int, style: Style) -> tuple[nn.Module, int]:
    kind, place = name[:-2], name[-2:]
    if kind == "pool":
        space, time = POOLS[place]
        return PlainPool((space if time > 1 else 1, space, space), (time, 2, 2)), inputs
    if kind == "mixed":
        mixed = PlainMixed(inputs, MIXED[place], style)
        return mixed, mixed.out_channels
    outputs, kernel, stride = {"1a": (64, 7, 2), "2b": (64, 1, 1), "2c": (192, 3, 1)}[place]
    return PlainConv(inputs, style.channels(outputs), kernel, stride, style), style.channels(outputs)
