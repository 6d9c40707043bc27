"""The two networks that may read both streams at once: Two-Stream and 3D-Fused (paper section 2.3)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.parts.inception import initialise
from baselines.parts.network import JointHead, LinearHead, WithHead
from baselines.parts.same_padding import batch_norm
from harness.core.contract import CHANNELS, BuildSpec


def snippets(clip: Tensor, frames: int) -> Tensor:
    """(N, C, T, H, W) -> (N * T / frames, C * frames, H, W): consecutive frames stacked as channels, frame by frame.

    Channels last where those of the clip are.
    """
    n, c, t, h, w = clip.shape
    stacks = clip.reshape(n, c, t // frames, frames, h, w).permute(0, 2, 3, 1, 4, 5).reshape(-1, frames * c, h, w)
    last = clip.is_contiguous(memory_format=torch.channels_last_3d)
    return stacks.contiguous(memory_format=torch.channels_last) if last else stacks


def stacked(stream: str, flow_frames: int) -> int:
    """Frames that this stream's trunk reads at once: one RGB image, or a stack of flow."""
    return flow_frames if stream == "flow" else 1


def _heads(sizes: Mapping[str, int], dropout: float) -> partial[nn.Module]:
    if len(sizes) > 1:
        return partial(JointHead, dict(sizes), dropout=dropout)
    return partial(LinearHead, sum(sizes.values()), dropout=dropout)


class TwoStream(WithHead):
    """One 2D trunk per stream, on one RGB frame and a stack of flow.

    The head averages the streams' logits, so that training is end to end through the average. With one stream it is a
    plain 2D network.
    """

    def __init__(self, trunks: Mapping[str, nn.Module], *, flow_frames: int, spec: BuildSpec):
        sizes = {stream: trunk.out_channels for stream, trunk in trunks.items()}
        super().__init__(_heads(sizes, spec.scale.dropout), spec.num_classes)
        self.trunks = nn.ModuleDict(trunks)
        self.flow_frames = flow_frames

    def features(self, clips: Mapping[str, Tensor]) -> Tensor:
        """clips[stream] (N, C, T, H, W) float32 in [-1, 1] -> (N, 1, sum of F) float >= 0, streams concatenated."""
        parts = []
        for stream, trunk in self.trunks.items():
            stacks = snippets(clips[stream], stacked(stream, self.flow_frames))
            parts.append(trunk(stacks).mean((-2, -1)).unflatten(0, (len(clips[stream]), -1)))
        return torch.cat(parts, dim=-1)


class WideConv3d(nn.Conv3d):
    """A 3D convolution of many channels over few positions.

    Most of its time goes to reading the kernel. On a CPU the contiguous layout takes two thirds of the time of channels
    last, so `plain_on_cpu` keeps its kernel, and then its input, contiguous there.
    """

    plain_on_cpu = True

    def forward(self, x: Tensor, padding: tuple[int, int, int] = (0, 0, 0)) -> Tensor:
        """(N, C, T, H, W) float -> (N, out, T - 2 + 2 * pad, H - 2 + 2 * pad, W - 2 + 2 * pad) for its 3x3x3 kernel."""
        return F.conv3d(x.contiguous() if self.weight.is_contiguous() else x, self.weight, padding=padding)


class Fused(WithHead):
    """2D trunks on RGB frames and on the flow after each, fused by a 3D convolution.

    The trunks' maps (5x7x7 at 224 px) are concatenated in channels; then 3x3x3 convolution without padding, batch norm,
    ReLU (3x5x5), 3x3x3 max-pool with stride 2 (1x2x2), mean. Maps smaller than 5x5 (micro) are padded by one in space
    for the convolution, and the pool's kernel is cut to the map.
    """

    def __init__(self, trunks: Mapping[str, nn.Module], *, fused: int, flow_frames: int, spec: BuildSpec):
        super().__init__(_heads({"fused": fused}, spec.scale.dropout), spec.num_classes)
        self.trunks = nn.ModuleDict(trunks)
        self.flow_frames = flow_frames
        self.fuse = WideConv3d(sum(trunk.out_channels for trunk in trunks.values()), fused, 3, bias=False)
        scale = spec.scale
        self.fuse_bn = batch_norm(fused, dims=3, eps=scale.bn_eps, momentum=scale.bn_momentum, affine=scale.bn_scale)
        initialise(self.fuse)

    def features(self, clips: Mapping[str, Tensor]) -> Tensor:
        """clips[stream] (N, C, T, H, W) float32 in [-1, 1] -> (N, 1, fused) float >= 0; `fused` is 512 at full width."""
        maps = torch.cat([self._maps(stream, clips[stream]) for stream in self.trunks], dim=1)
        space = 0 if min(maps.shape[-2:]) >= 5 else 1
        fused = self.fuse(maps, (0, space, space))
        fused = F.relu(self.fuse_bn(fused), inplace=True)
        pooled = F.max_pool3d(fused, [min(3, size) for size in fused.shape[2:]], 2)
        return pooled.mean((2, 3, 4)).unsqueeze(1)

    def _maps(self, stream: str, clip: Tensor) -> Tensor:
        """The stream's maps before any average: (N, F, positions, h, w)."""
        stacks = snippets(clip, stacked(stream, self.flow_frames))
        return self.trunks[stream](stacks).unflatten(0, (len(clip), -1)).transpose(1, 2)


def stream_trunks(spec: BuildSpec, *, flow_frames: int) -> dict[str, nn.Module]:
    """One 2D trunk per stream of the spec; the flow trunk reads `flow_frames` fields as channels."""
    from baselines.parts.trunks import trunk_of

    return {stream: trunk_of(spec, channels=CHANNELS[stream] * stacked(stream, flow_frames)) for stream in spec.streams}
