"""The plain 3D-ConvNet: C3D's layers with batch norm after each, and time halved by the first pool too (paper section 2.2)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from baselines.parts.inception import ConvBN, Style, initialise
from baselines.parts.network import LinearHead, WithHead
from baselines.parts.same_padding import SameMaxPool, batch_norm

STAGES = ((64,), (128,), (256, 256), (512, 512), (512, 512))
"""Channels of the 3x3x3 convolutions before each of the five pools."""
HIDDEN = 4096


class DenseBN(nn.Module):
    """Fully connected layer (no bias), batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, *, style: Style):
        super().__init__()
        self.fc = nn.Linear(inputs, outputs, bias=False)
        nn.init.kaiming_normal_(self.fc.weight, nonlinearity="relu")
        self.bn = batch_norm(outputs, dims=1, eps=style.eps, momentum=style.momentum, affine=style.affine)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs) float -> (N, outputs) float >= 0."""
        return F.relu(self.bn(self.fc(x)))


class Plain3D(WithHead):
    """C3D for clips of one size: the fully connected layers depend on `frames` and `side_px`.

    Every pool is 2x2x2 with stride 2 and SAME padding: 16 frames of 112 px end as 1x4x4, so fc6 reads 8192 numbers.
    """

    def __init__(
        self, stream: str, *, channels: int, frames: int, side_px: int, style: Style, classes: int, dropout: float
    ):
        hidden = style.channels(HIDDEN)
        super().__init__(partial(LinearHead, hidden, dropout=dropout), classes)
        self.stream = stream
        self.convolutions = nn.Sequential()
        inputs = channels
        for number, stage in enumerate(STAGES, 1):
            for letter, full in zip("ab", stage, strict=False):
                outputs = style.channels(full)
                name = f"conv{number}{letter if len(stage) > 1 else ''}"
                # Max-pool and ReLU commute; ReLU after the pool is an eighth of the work.
                pooled = len(stage) == 1 or letter == "b"
                self.convolutions.add_module(name, ConvBN(inputs, outputs, style=style, kernel=3, relu=not pooled))
                inputs = outputs
            self.convolutions.add_module(f"pool{number}", SameMaxPool(style.cube(2), stride=style.cube(2)))
            self.convolutions.add_module(f"relu{number}", nn.ReLU(inplace=True))
        initialise(self.convolutions)
        shrink = 2 ** len(STAGES)
        flat = inputs * math.ceil(frames / shrink) * math.ceil(side_px / shrink) ** 2
        self.fc6 = DenseBN(flat, hidden, style=style)
        self.drop6 = nn.Dropout(dropout)
        self.fc7 = DenseBN(hidden, hidden, style=style)

    def features(self, clips: Mapping[str, Tensor]) -> Tensor:
        """clips[stream] (N, C, frames, side, side) float32 in [-1, 1] -> (N, 1, 4096) float >= 0 at full width."""
        x = self.convolutions(clips[self.stream]).flatten(1)
        return self.fc7(self.drop6(self.fc6(x))).unsqueeze(1)
