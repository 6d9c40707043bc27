"""3D counterparts of timm's 2D layers: the same parameter names, one axis more."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.parts.same_padding import TimePadding, same_pads


def time_pads(frames: int, kernel: int, stride: int, *, same: bool) -> tuple[int, int]:
    """(before, after) in time: even, as timm pads in space, or TensorFlow's SAME where timm does that."""
    return same_pads(frames, kernel, stride) if same else ((kernel - 1) // 2, kernel // 2)


class Conv3dFrom2d(nn.Conv3d):
    """A 2D convolution with a time axis and the same spatial padding.

    `same` pads by TensorFlow's rule, for timm's Conv2dSame. Kernels no wider than their stride need no padding in time
    except to complete the last window.
    """

    def __init__(self, conv: nn.Conv2d, *, time: int, time_stride: int, time_padding: TimePadding, same: bool = False):
        super().__init__(
            conv.in_channels,
            conv.out_channels,
            (time, *conv.kernel_size),
            stride=(time_stride, *conv.stride),
            padding=(0, *conv.padding),
            dilation=(1, *conv.dilation),
            groups=conv.groups,
            bias=conv.bias is not None,
            device=conv.weight.device,
            dtype=conv.weight.dtype,
        )
        self.same = same
        self.time_padding = time_padding

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) float -> (N, out, ceil(T / stride), h, w) float; h and w are those of the 2D layer."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        if kernel <= stride:
            pads = (0, -x.shape[2] % stride if kernel > 1 else 0)
        else:
            pads = time_pads(x.shape[2], kernel, stride, same=self.same)
        before, after = pads
        padding = (0, *self.padding[1:])
        if before == after and self.time_padding == "zeros":
            padding = (before, *self.padding[1:])
        elif before or after:
            mode = "replicate" if self.time_padding == "replicate" else "constant"
            x = F.pad(x, (0, 0, 0, 0, before, after), mode=mode)
        if self.same:
            effective = [(k - 1) * d + 1 for k, d in zip(self.kernel_size[1:], self.dilation[1:], strict=True)]
            high, wide = (same_pads(n, k, s) for n, k, s in zip(x.shape[3:], effective, self.stride[1:], strict=True))
            x = F.pad(x, (*wide, *high))
        return F.conv3d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Pool3d(nn.Module):
    """A 2D max or average pool, then the same in time; positions outside the clip are ignored."""

    def __init__(self, pool: nn.Module, *, time: int, time_stride: int):
        super().__init__()
        self.time, self.time_stride = time, time_stride
        self.maximum = isinstance(pool, nn.MaxPool2d)
        self.in_space = copy.deepcopy(pool)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) float -> (N, C, ceil(T / stride), h, w) float; h and w are those of the 2D pool."""
        # Frame by frame with the 2D pool itself: avg_pool3d refuses maps smaller than its kernel, padded or not.
        x = self.in_space(x.transpose(1, 2).flatten(0, 1)).unflatten(0, (x.shape[0], x.shape[2])).transpose(1, 2)
        if self.time == 1 and self.time_stride == 1:
            return x
        # An odd kernel is centred, an even one takes frames two by two.
        pad = self.time // 2 if self.time % 2 else 0
        kernel, stride, ceil = (self.time, 1, 1), (self.time_stride, 1, 1), self.time % 2 == 0
        if self.maximum:
            return F.max_pool3d(x, kernel, stride, (pad, 0, 0), ceil_mode=ceil)
        pads = (0, 0, 0, 0, pad, pad if self.time % 2 else -x.shape[2] % self.time_stride)
        inside = F.pad(x.new_ones(1, 1, x.shape[2], 1, 1), pads)
        return F.avg_pool3d(F.pad(x, pads), kernel, stride) / F.avg_pool3d(inside, kernel, stride)


class BatchNormAct3d(nn.BatchNorm3d):
    """timm's batch norm followed by dropout and activation."""

    def __init__(self, norm: Any, drop: nn.Module, act: nn.Module):
        super().__init__(norm.num_features, eps=norm.eps, momentum=norm.momentum, affine=norm.affine)
        self.drop, self.act = drop, act

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) float -> (N, C, T, H, W) float."""
        return self.act(self.drop(super().forward(x)))


class LayerNorm3d(nn.LayerNorm):
    """Layer norm over channels."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) float -> (N, C, T, H, W) float."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class _Children(nn.Module):
    """A module with the children of a 2D module, under the same names."""

    def __init__(self, children: dict[str, nn.Module]):
        super().__init__()
        for name, child in children.items():
            self.add_module(name, child)


class Squeeze3d(_Children):
    """Squeeze and excite per frame: the mean is over space only, so that the network stays convolutional in time.

    Children in `order` are applied to the mean, then the child `gate` gives the factor.
    """

    def __init__(self, children: dict[str, nn.Module], order: tuple[str, ...], gate: str):
        super().__init__(children)
        self.order, self.gate_name = order, gate

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) float -> (N, C, T, H, W) float, each channel of a frame times a factor."""
        mean = x.mean((3, 4), keepdim=True)
        for name in self.order:
            mean = self.get_submodule(name)(mean)
        return x * self.get_submodule(self.gate_name)(mean)


class ConvNeXtBlock3d(_Children):
    """Depthwise convolution, norm and MLP (on channels last, or as 1x1x1 convolutions), scaled, plus a shortcut."""

    def __init__(self, children: dict[str, nn.Module], gamma: nn.Parameter | None, *, conv_mlp: bool):
        super().__init__(children)
        self.gamma = gamma
        self.conv_mlp = conv_mlp

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) float -> (N, out, t, h, w) float; sizes change only with a strided shortcut."""
        shortcut = self.get_submodule("shortcut")(x)
        x = self.get_submodule("conv_dw")(x)
        if self.conv_mlp:
            x = self.get_submodule("mlp")(self.get_submodule("norm")(x))
        else:
            x = self.get_submodule("mlp")(self.get_submodule("norm")(x.movedim(1, -1))).movedim(-1, 1)
        if self.gamma is not None:
            x = x * self.gamma.view(1, -1, 1, 1, 1)
        return self.get_submodule("drop_path")(x) + shortcut


class ConvMlp3d(_Children):
    """The fully connected layers of a VGG as convolutions over the 7x7 map of each frame."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, h, w) float -> (N, out, T, h - 6, w - 6) float."""
        for name in ("fc1", "act1", "drop", "fc2", "act2"):
            x = self.get_submodule(name)(x)
        return x


class MeanPool3d(nn.Module):
    """The mean over time and space; `flatten` drops the pooled axes, as the 2D pool did."""

    def __init__(self, flatten: bool):
        super().__init__()
        self.flatten = flatten

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) float -> (N, C) float if `flatten`, else (N, C, 1, 1, 1)."""
        pooled = x.mean((2, 3, 4), keepdim=True)
        return torch.flatten(pooled, 1) if self.flatten else pooled
