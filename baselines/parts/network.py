"""Networks with the interface of harness.core.contract.Network: features, head, new_head, forward."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from harness.core.errors import HarnessError


class LinearHead(nn.Module):
    """Dropout, then one linear layer applied at every position, like a 1x1x1 convolution with bias."""

    def __init__(self, features: int, classes: int, *, dropout: float):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(features, classes)
        # Logits start near zero, so that a new head does not disturb a trained network.
        nn.init.trunc_normal_(self.fc.weight, std=0.01)
        nn.init.zeros_(self.fc.bias)

    def forward(self, features: Tensor) -> Tensor:
        """features (N, P, F) float -> logits (N, P, classes) float."""
        return self.fc(self.dropout(features))


class JointHead(nn.Module):
    """One `LinearHead` per stream on its part of the features; their logits are averaged."""

    def __init__(self, features: Mapping[str, int], classes: int, *, dropout: float):
        super().__init__()
        self.sizes = list(features.values())
        self.streams = nn.ModuleDict({s: LinearHead(size, classes, dropout=dropout) for s, size in features.items()})

    def forward(self, features: Tensor) -> Tensor:
        """features (N, P, sum of F) float -> logits (N, P, classes) float."""
        parts = features.split(self.sizes, dim=-1)
        heads = self.streams.values()
        return torch.stack([head(part) for head, part in zip(heads, parts, strict=True)]).mean(0)


class WithHead(nn.Module):
    """Base of every network here: forward is head(features), and the head can be replaced."""

    head: nn.Module

    def __init__(self, make_head: Callable[[int], nn.Module], classes: int):
        super().__init__()
        self._make_head = make_head
        self.head = make_head(classes)

    def features(self, clips: Mapping[str, Tensor]) -> Tensor:
        """clips[stream] (N, C, T, H, W) float32 in [-1, 1] -> (N, P, F) float: F numbers at P positions in time."""
        raise NotImplementedError

    def new_head(self, num_classes: int) -> None:
        """Replace the head by a freshly initialised one."""
        old = next(self.head.parameters())
        self.head = self._make_head(num_classes).to(device=old.device, dtype=old.dtype)

    def forward(self, clips: Mapping[str, Tensor]) -> Tensor:
        """clips[stream] (N, C, T, H, W) float32 in [-1, 1] -> logits (N, P, classes) float."""
        return self.head(self.features(clips))


class StreamNetwork(WithHead):
    """A trunk over one stream, and a linear head on what `features` makes of its maps."""

    def __init__(self, stream: str, trunk: nn.Module, *, classes: int, dropout: float):
        super().__init__(partial(LinearHead, trunk.out_channels, dropout=dropout), classes)
        self.stream = stream
        self.trunk = trunk


class ClipNetwork(StreamNetwork):
    """A 3D trunk over one stream, averaged over two positions in time and the whole map in space (2x7x7 at 224 px)."""

    def features(self, clips: Mapping[str, Tensor]) -> Tensor:
        """clips[stream] (N, C, T, H, W) float32 in [-1, 1] -> (N, P, F) float, P = ceil(T / 8) - 1: 7 for 64 frames.

        Raises HarnessError for clips too short for two positions of the trunk.
        """
        x = self.trunk(clips[self.stream]).mean((-2, -1))
        if x.shape[2] < 2:
            frames = clips[self.stream].shape[2]
            raise HarnessError(
                f"a clip of {frames} frames gives {x.shape[2]} temporal position after the last layer, but the final pooling "
                "needs 2; set the clip window to at least 9 frames (videos may be shorter: they are looped)"
            )
        return ((x[:, :, 1:] + x[:, :, :-1]) / 2).transpose(1, 2)


class PooledNetwork(StreamNetwork):
    """A 3D trunk over one stream, averaged over time and space."""

    def features(self, clips: Mapping[str, Tensor]) -> Tensor:
        """clips[stream] (N, C, T, H, W) float32 in [-1, 1] -> (N, 1, F) float."""
        return self.trunk(clips[self.stream]).mean((2, 3, 4)).unsqueeze(1)


class FrameNetwork(StreamNetwork):
    """A 2D trunk on every frame of one stream; its features are averaged over the map and over time.

    In eval mode the order of the frames changes nothing, not even the last bit.
    """

    def features(self, clips: Mapping[str, Tensor]) -> Tensor:
        """clips[stream] (N, C, T, H, W) float32 in [-1, 1] -> (N, 1, F) float."""
        frames = clips[self.stream].transpose(1, 2)
        features = self.trunk(frames.flatten(0, 1)).mean((-2, -1)).unflatten(0, frames.shape[:2])
        # Sorted, so that the sum over time does not depend on the order through its roundings.
        return features.sort(dim=1).values.mean(1, keepdim=True)


class ImageNetwork(WithHead):
    """A 2D trunk over images, averaged over the map."""

    def __init__(self, trunk: nn.Module, *, classes: int, dropout: float):
        super().__init__(partial(LinearHead, trunk.out_channels, dropout=dropout), classes)
        self.trunk = trunk

    def features(self, clips: Mapping[str, Tensor]) -> Tensor:
        """clips["rgb"] (N, 3, 1, H, W) float32 in [-1, 1] -> (N, 1, F) float. Raises HarnessError for several frames."""
        images = clips["rgb"]
        if images.shape[2] != 1:
            raise HarnessError(f"the image network takes one frame per clip, got {images.shape[2]}")
        return self.trunk(images[:, :, 0]).mean((-2, -1)).unsqueeze(1)
