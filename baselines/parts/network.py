"""The modules that answer the three questions of harness.core.contract.Network: features, head, new head."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from harness.core.errors import HarnessError


class Head(nn.Module):
    """Dropout, then one linear map at every position: (N, P, F) -> (N, P, classes). A 1x1x1 convolution with bias is this."""

    def __init__(self, features: int, classes: int, *, dropout: float):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(features, classes)
        # Small weights: logits start near zero, so that a new head does not shake a trained network.
        nn.init.trunc_normal_(self.fc.weight, std=0.01)
        nn.init.zeros_(self.fc.bias)

    def forward(self, features: Tensor) -> Tensor:
        return self.fc(self.dropout(features))


class JointHead(nn.Module):
    """One `Head` a stream on its part of the features, and the mean of their logits: (N, P, sum F) -> (N, P, classes)."""

    def __init__(self, features: Mapping[str, int], classes: int, *, dropout: float):
        super().__init__()
        self.sizes = list(features.values())
        self.streams = nn.ModuleDict({s: Head(size, classes, dropout=dropout) for s, size in features.items()})

    def forward(self, features: Tensor) -> Tensor:
        parts = features.split(self.sizes, dim=-1)
        heads = self.streams.values()
        return torch.stack([head(part) for head, part in zip(heads, parts, strict=True)]).mean(0)


class WithHead(nn.Module):
    """What every network here shares: forward is head(features), and the head can be made anew."""

    head: nn.Module

    def __init__(self, make_head: Callable[[int], nn.Module], classes: int):
        super().__init__()
        self._make_head = make_head
        self.head = make_head(classes)

    def features(self, clips: Mapping[str, Tensor]) -> Tensor:
        raise NotImplementedError

    def new_head(self, num_classes: int) -> None:
        """A freshly initialised head, where the old one was."""
        old = next(self.head.parameters())
        self.head = self._make_head(num_classes).to(device=old.device, dtype=old.dtype)

    def forward(self, clips: Mapping[str, Tensor]) -> Tensor:
        return self.head(self.features(clips))


class ClipNetwork(WithHead):
    """A 3D trunk over one stream: clips[stream] (N, C, T, H, W) -> features (N, P, F).

    The final average spans two positions in time and the whole map in space (2x7x7 at 224 px), so P is one less than
    the trunk's positions: 7 for 64 frames. Raises HarnessError for clips too short to leave two positions.
    """

    def __init__(self, stream: str, trunk: nn.Module, *, classes: int, dropout: float):
        super().__init__(partial(Head, trunk.out_channels, dropout=dropout), classes)
        self.stream = stream
        self.trunk = trunk

    def features(self, clips: Mapping[str, Tensor]) -> Tensor:
        x = self.trunk(clips[self.stream]).mean((-2, -1))
        if x.shape[2] < 2:
            frames = clips[self.stream].shape[2]
            raise HarnessError(
                f"a clip of {frames} frames leaves {x.shape[2]} position in time and the final average spans two; "
                "use 9 frames or more (a short video is looped to that length)"
            )
        return ((x[:, :, 1:] + x[:, :, :-1]) / 2).transpose(1, 2)


class ImageNetwork(WithHead):
    """A 2D trunk over pictures: clips["rgb"] (N, 3, 1, H, W) -> features (N, 1, F), the mean over the map."""

    def __init__(self, trunk: nn.Module, *, classes: int, dropout: float):
        super().__init__(partial(Head, trunk.out_channels, dropout=dropout), classes)
        self.trunk = trunk

    def features(self, clips: Mapping[str, Tensor]) -> Tensor:
        pictures = clips["rgb"]
        if pictures.shape[2] != 1:
            raise HarnessError(f"the image network takes one frame a clip, got {pictures.shape[2]}")
        return self.trunk(pictures[:, :, 0]).mean((-2, -1)).unsqueeze(1)
