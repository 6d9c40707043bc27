"""Facts about built networks that no card states: receptive fields, and the memory of a training clip."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from baselines.parts.inception import ENDPOINTS, POOLS
from harness.core.contract import CHANNELS, Baseline, BuildSpec, Clip, Scale

NARROW = 0.05
"""Width of the networks whose receptive fields are measured: which frames count does not depend on it."""
LONG = 192
"""Frames, more than any of the paper's networks sees from one position in time."""

Field = tuple[int, int, int]
"""(time, height, width) in frames and pixels."""

KERNELS = {"conv1a": (7, 7, 2, 2), "conv2b": (1, 1, 1, 1), "conv2c": (3, 3, 1, 1)}
"""Endpoint -> kernel in time and space, stride in time and space."""


def receptive_fields() -> dict[str, Field]:
    """Endpoint of the inflated Inception -> what one of its numbers sees, in frames and pixels; 'pool' is the final average.

    An inception module's widest branch counts. Figure 3 of the paper prints 59 x 219 x 219 behind pool5a and 99 x 539 x
    539 at the end: what four modules between the last two pools would give. The released network has five, and gives 67
    x 251 x 251 and 107 x 571 x 571.
    """
    fields: dict[str, Field] = {}
    time, space, time_step, space_step = 1, 1, 1, 1
    for name in (*ENDPOINTS, "pool"):
        kernel_t, kernel_s, stride_t, stride_s = _geometry(name)
        time, space = time + (kernel_t - 1) * time_step, space + (kernel_s - 1) * space_step
        time_step, space_step = time_step * stride_t, space_step * stride_s
        fields[name] = (time, space, space)
    return fields


def _geometry(name: str) -> tuple[int, int, int, int]:
    if name == "pool":
        return 2, 7, 1, 1
    if name.startswith("mixed"):
        return 3, 3, 1, 1
    if name.startswith("pool"):
        space, time = POOLS[name.removeprefix("pool")]
        return (space if time > 1 else 1), space, time, 2
    return KERNELS[name]


def training_bytes(network: nn.Module, clips: Mapping[str, Tensor]) -> int:
    """Bytes that one forward pass keeps for the backward pass, parameters not counted.

    On the meta device nothing is allocated: build the network and the clips there.
    """
    own = {tensor.untyped_storage()._cdata for tensor in (*network.parameters(), *network.buffers())}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage.nbytes()
        return tensor

    was_training = network.training
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits = network.train()(clips)
    network.train(was_training)
    del logits
    return sum(kept.values())


def frames_seen(baseline: Baseline, streams: tuple[str, ...], scale: Scale) -> int:
    """Frames of the 25 fps timeline, from first to last, that reach one output position of the network: measured.

    The gradient of that position's features is non-zero for just the frames that reach it. A network that runs
    convolutionally in time is given a clip longer than it can see and asked in the middle; any other its training clip,
    at the last position.
    """
    clip = baseline.train_clip[scale.name]
    if baseline.test_clip[scale.name].dense:
        clip = dataclasses.replace(clip, window=LONG, side_px=32)
    narrow = dataclasses.replace(scale, width=NARROW, dropout=0.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = baseline.build(BuildSpec(streams, 2, narrow)).double().eval()
        clips = {s: _noise(s, clip).requires_grad_() for s in streams}
        features = network.features(clips)
        position = features.shape[1] // 2 if baseline.test_clip[scale.name].dense else -1
        features[:, position].abs().sum().backward()
    spans = []
    for stream, one in clips.items():
        reached = one.grad.abs().sum((0, 1, 3, 4)).nonzero().flatten()
        spans.append(int(reached[-1] - reached[0]) * clip.stride(stream) + 1)
    return max(spans)


def _noise(stream: str, clip: Clip) -> Tensor:
    return torch.randn(1, CHANNELS[stream], clip.frames(stream), clip.side_px, clip.side_px, dtype=torch.float64)
