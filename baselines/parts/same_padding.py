"""TensorFlow's SAME padding, exactly: output = ceil(size / stride), and the odd pixel is padded after.

Where SAME is symmetric (every stride-1 layer with an odd kernel) the library call pads; only the strided stem needs an
explicit pad. Max-pools never do: `ceil_mode` with the leading pad gives SAME for every size, with -inf outside.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TimePadding = Literal["zeros", "replicate"]


def same_pads(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """(before, after) of TensorFlow's SAME for one dimension."""
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class SameConv(nn.modules.conv._ConvNd):
    """A bias-free convolution over 2 or 3 dimensions with SAME padding.

    `symmetric` pads k//2 on both sides in space instead, for weights that were trained so; it is part of the state (a
    one-element uint8 tensor), so that a checkpoint cannot be loaded with the wrong one. `time_padding` 'replicate'
    repeats the first and last frame where 'zeros' pads with zeros (3D only, for tests of inflation).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: Sequence[int],
        *,
        stride: Sequence[int] | None = None,
        symmetric: bool = False,
        time_padding: TimePadding = "zeros",
    ):
        dims = len(kernel)
        strides = tuple(stride) if stride is not None else (1,) * dims
        zeros = (0,) * dims
        super().__init__(inputs, outputs, tuple(kernel), strides, zeros, (1,) * dims, False, zeros, 1, False, "zeros")
        self.symmetric = symmetric
        self.time_padding = time_padding

    def pads(self, sizes: Sequence[int]) -> list[tuple[int, int]]:
        """(before, after) per dimension for an input of these sizes."""
        pads = [same_pads(n, k, s) for n, k, s in zip(sizes, self.kernel_size, self.stride, strict=True)]
        if self.symmetric:
            pads[-2:] = [(k // 2, k // 2) for k in self.kernel_size[-2:]]
        return pads

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *sizes) float -> (N, outputs, *ceil(sizes / stride)) float."""
        return self.convolve(x, self.weight)

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """As `forward`, with other weights of the same kernel: this layer's scaled, or several layers' concatenated."""
        pads = self.pads(x.shape[2:])
        if len(pads) == 3 and self.time_padding == "replicate" and any(pads[0]):
            x, pads[0] = F.pad(x, (0, 0, 0, 0, *pads[0]), mode="replicate"), (0, 0)
        if any(before != after for before, after in pads):
            x = F.pad(x, [amount for pair in reversed(pads) for amount in pair])
            pads = [(0, 0)] * len(pads)
        convolve = F.conv3d if len(pads) == 3 else F.conv2d
        y = convolve(x, weight, bias, self.stride, [before for before, _ in pads])
        # For one small clip torch picks a kernel with a contiguous result, and every later layer would follow.
        channels_last = torch.channels_last_3d if len(pads) == 3 else torch.channels_last
        return y.contiguous(memory_format=channels_last) if x.is_contiguous(memory_format=channels_last) else y

    def get_extra_state(self) -> Tensor:
        return torch.tensor([self.symmetric], dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        self.symmetric = bool(state.item())


class SameMaxPool(nn.Module):
    """Max over windows with SAME padding; positions outside the input are ignored."""

    def __init__(self, kernel: Sequence[int], *, stride: Sequence[int]):
        super().__init__()
        self.kernel, self.stride = tuple(kernel), tuple(stride)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *sizes) float -> (N, C, *ceil(sizes / stride)) float."""
        before = [same_pads(n, k, s)[0] for n, k, s in zip(x.shape[2:], self.kernel, self.stride, strict=True)]
        pool = F.max_pool3d if len(self.kernel) == 3 else F.max_pool2d
        return pool(x, self.kernel, self.stride, before, ceil_mode=True)


def batch_norm(channels: int, *, dims: int, eps: float, momentum: float, affine: bool) -> nn.Module:
    """Batch norm over 1, 2 or 3 dimensions; `affine` False learns an offset and no scale, as the released models do."""
    kind = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[dims]
    norm = kind(channels, eps=eps, momentum=momentum)
    if not affine:
        # Ones that are neither trained nor saved: the fast kernels need a scale.
        del norm.weight
        norm.register_buffer("weight", torch.ones(channels), persistent=False)
    return norm
