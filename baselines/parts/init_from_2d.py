"""Initialise a video network from a 2D network's state: tensor by tensor, by name, strictly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from harness.core.errors import HarnessError

Method = Literal["repeat", "centre"]
"""Method of inflating a kernel: see `inflate_kernel`."""


def inflate_kernel(weight: Tensor, time: int, *, method: Method = "repeat") -> Tensor:
    """(out, in, kh, kw) -> (out, in, time, kh, kw): repeated and divided by `time` (paper section 2.4), or the kernel
    in the middle slice and zeros around it. Either way a clip that repeats one image gives that image's response."""
    if method == "repeat":
        return (weight.unsqueeze(2) / time).expand(-1, -1, time, -1, -1).contiguous()
    inflated = weight.new_zeros(*weight.shape[:2], time, *weight.shape[2:])
    inflated[:, :, time // 2] = weight
    return inflated


def across_modalities(weight: Tensor, channels: int) -> Tensor:
    """A first kernel over RGB, (out, 3, ...) -> (out, channels, ...) over flow: the mean over its inputs, repeated.

    The field's cross-modality initialisation; the paper does not say how.
    """
    return weight.mean(1, keepdim=True).expand(-1, channels, *weight.shape[2:]).contiguous()


def inflate_state(
    state_2d: Mapping[str, Tensor], target: Mapping[str, Tensor], *, method: Method = "repeat"
) -> dict[str, Tensor]:
    """The 2D state in the shapes of `target`, a state with the same names (2D or 3D).

    Kernels gain a time axis, a first kernel over RGB takes the target's number of channels, everything else is copied.
    Raises HarnessError naming tensors that one side lacks, or whose shapes do not fit.
    """
    missing, extra = sorted(target.keys() - state_2d.keys()), sorted(state_2d.keys() - target.keys())
    if missing or extra:
        raise HarnessError(
            f"the image network does not fit: it lacks {len(missing)} tensors ({', '.join(missing[:4])}) and has "
            f"{len(extra)} too many ({', '.join(extra[:4])}): the backbone differs; correct --backbone, or pass --init scratch"
        )
    return {name: _fit(name, state_2d[name], tensor, method=method) for name, tensor in target.items()}


def _fit(name: str, source: Tensor, target: Tensor, *, method: Method) -> Tensor:
    fitted = source
    if source.dim() == 4 and target.dim() >= 4:
        if source.shape[1] == 3 and target.shape[1] != 3 and source.shape[0] == target.shape[0]:
            fitted = across_modalities(fitted, target.shape[1])
        if target.dim() == 5:
            fitted = inflate_kernel(fitted, target.shape[2], method=method)
    if fitted.shape != target.shape:
        raise HarnessError(
            f"the image network's tensor '{name}' of shape {tuple(source.shape)} cannot be inflated to {tuple(target.shape)}: the "
            "backbone or the width differs; correct --backbone or --set scale.width, or pass --init scratch"
        )
    return fitted


def bootstrap_trunk(trunk: nn.Module, image_state: Mapping[str, Tensor], *, without: str = "") -> None:
    """Fill a trunk from the state of an `ImageNetwork`; the image head is ignored. Raises as `inflate_state` does.

    Tensors of the trunk whose names contain `without` are layers that no 2D network has: they keep their values.
    """
    state = {name.removeprefix("trunk."): tensor for name, tensor in image_state.items() if name.startswith("trunk.")}
    own = trunk.state_dict()
    kept = {name: tensor for name, tensor in own.items() if without and without in name}
    with torch.no_grad():
        trunk.load_state_dict(inflate_state(state, {n: t for n, t in own.items() if n not in kept}) | kept)
