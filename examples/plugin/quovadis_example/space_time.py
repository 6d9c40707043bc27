"""A baseline: one layer of filters in space and time, each of which answers to motion in one direction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from harness import Baseline, BuildSpec, Clip, Network

if TYPE_CHECKING:
    from torch import Tensor


def build(spec: BuildSpec) -> Network:
    """The network, with newly initialised weights."""
    from torch import nn  # imported here, so that the card loads without torch

    width = max(8, int(64 * spec.scale.width))

    class SpaceTime(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            first = nn.Conv3d(3, width, kernel_size=(3, 9, 9), stride=(1, 4, 4), bias=False)
            self.body = nn.Sequential(first, nn.BatchNorm3d(width), nn.ReLU())
            self.new_head(spec.num_classes)

        def features(self, clips: Mapping[str, Tensor]) -> Tensor:
            """clips["rgb"] (N, 3, T, H, W) float32 in [-1, 1] -> (N, 1, width) float, means over space and time."""
            return self.body(clips["rgb"]).mean((2, 3, 4)).unsqueeze(1)

        def new_head(self, num_classes: int) -> None:
            self.head = nn.Sequential(nn.Dropout(spec.scale.dropout), nn.Linear(width, num_classes))

        def forward(self, clips: Mapping[str, Tensor]) -> Tensor:
            """clips["rgb"] (N, 3, T, H, W) float32 in [-1, 1] -> logits (N, 1, num_classes) float."""
            return self.head(self.features(clips))

    return SpaceTime()


BASELINE = Baseline(
    name="space-time",
    title="Space-time filters",
    modalities=("rgb",),
    combine="late",
    inits=("scratch",),
    train_clip={"micro": Clip(window=8, side_px=48), "paper": Clip(window=16, side_px=224)},
    test_clip={"micro": Clip(window=8, side_px=48, count=2), "paper": Clip(window=16, side_px=224, count=5)},
    build=build,
    loss="reduced",
    reduce="mean",
    paper="none: an example of a plug-in",
)
