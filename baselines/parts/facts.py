"""Facts about built networks that no card states: receptive fields, and the memory of a training clip."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from baselines.parts.inception import ENDPOINTS, POOLS

Field = tuple[int, int, int]
"""(time, height, width) in frames and pixels."""

KERNELS = {"conv1a": (7, 7, 2, 2), "conv2b": (1, 1, 1, 1), "conv2c": (3, 3, 1, 1)}
"""Endpoint -> kernel in time and space, stride in time and space."""


def receptive_fields() -> dict[str, Field]:
    """Endpoint of the inflated Inception -> what one of its numbers sees, in frames and pixels; 'pool' is the final average.

    An inception module's widest branch counts. Figure 3 of the paper prints 59 x 219 x 219 behind pool5a and 99 x 539 x 539
    at the end: what four modules between the last two pools would give. The released network has five, and gives
    67 x 251 x 251 and 107 x 571 x 571.
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
