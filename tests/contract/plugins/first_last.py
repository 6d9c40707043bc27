"""A sixth architecture, as somebody else would hand it over: one file, nothing registered, nothing in the house changed.

It looks at the first and the last frame of a clip with a small 2D network and compares them.
"""

from __future__ import annotations

from harness.core.contract import CHANNELS, Baseline, BuildSpec, Clip


def build(spec: BuildSpec):
    import torch
    from torch import nn

    (stream,) = spec.streams
    width = max(4, int(32 * spec.scale.width))

    class FirstLast(nn.Module):
        def __init__(self):
            super().__init__()
            first = nn.Conv2d(CHANNELS[stream], width, 5, stride=4, bias=False)
            self.body = nn.Sequential(first, nn.BatchNorm2d(width), nn.ReLU())
            self.new_head(spec.num_classes)

        def features(self, clips):
            ends = clips[stream][:, :, [0, -1]].transpose(1, 2)
            maps = self.body(ends.flatten(0, 1)).mean((-2, -1)).unflatten(0, ends.shape[:2])
            return torch.cat([maps[:, 0], maps[:, 1] - maps[:, 0]], dim=1).unsqueeze(1)

        def new_head(self, num_classes):
            self.head = nn.Sequential(nn.Dropout(spec.scale.dropout), nn.Linear(2 * width, num_classes))

        def forward(self, clips):
            return self.head(self.features(clips))

    return FirstLast()


BASELINE = Baseline(
    name="first_last",
    title="First and last frame",
    modalities=("rgb", "flow", "rgb+flow"),
    combine="late",
    inits=("scratch",),
    train_clip={"micro": Clip(window=16, side_px=48), "paper": Clip(window=64, side_px=224)},
    test_clip={"micro": Clip(window=16, side_px=48, count=2), "paper": Clip(window=64, side_px=224, count=5)},
    build=build,
    loss="reduced",
    reduce="mean",
    paper="none: it is not in the paper",
)
