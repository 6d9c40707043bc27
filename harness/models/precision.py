"""bfloat16 autocast, with float32 where a CPU kernel gives wrong gradients.

oneDNN's bfloat16 kernel for the weight gradient of a 3D convolution (``jit_bf16:avx512_core``, oneDNN 3.13 of torch 2.15)
accesses memory out of bounds where every output position sees padding: a 3x3x3 kernel on two frames, as in the last
convolutions of C3D. Its results are then arbitrary, NaN included. Such layers are small, and are computed in float32.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


@contextlib.contextmanager
def autocast(device: str, precision: str) -> Iterator[None]:
    """bfloat16 autocast if `precision` is 'bfloat16', else float32 without TF32, which keeps ten of its 23 bits."""
    if precision != "bfloat16":
        tf32, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, False
        try:
            yield
        finally:
            torch.backends.cudnn.allow_tf32 = tf32
        return
    kind = device.partition(":")[0]
    with (
        torch.autocast(kind, dtype=torch.bfloat16),
        _Float32PaddedConv3d() if kind == "cpu" else contextlib.nullcontext(),
    ):
        yield


def autocast_for_recompute() -> contextlib.AbstractContextManager[Any]:
    """Additions of `autocast` to torch's own, for activation checkpointing: when recomputing, torch re-enters only
    its own."""
    return _Float32PaddedConv3d() if torch.is_autocast_enabled("cpu") else contextlib.nullcontext()


class _Float32PaddedConv3d(TorchFunctionMode):
    """Computes 3D convolutions whose every output sees padding in float32, and rounds their result like the others'."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        keywords = dict(kwargs or {})
        if function is not torch.conv3d or not torch.is_grad_enabled() or not always_padded(*args, **keywords):
            return function(*args, **keywords)
        rounded = torch.get_autocast_dtype("cpu")
        with torch.autocast("cpu", enabled=False):
            exact = {name: _float32(value) for name, value in keywords.items()}
            result: Tensor = function(*map(_float32, args), **exact)
        return result.to(rounded)


def always_padded(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | str | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> bool:
    """Whether, along some axis, every output of ``torch.conv3d`` with these arguments sees padding."""
    steps, spread = _triple(stride), _triple(dilation)
    reaches = [s * (kernel - 1) + 1 for s, kernel in zip(spread, weight.shape[-3:], strict=True)]
    if padding == "valid":
        return False
    before = [(reach - 1) // 2 for reach in reaches] if isinstance(padding, str) else _triple(padding)
    return any(
        -(-pad // step) * step - pad + reach > size
        for size, reach, pad, step in zip(input.shape[-3:], reaches, before, steps, strict=True)
    )


def _triple(value: int | Sequence[int]) -> tuple[int, ...]:
    return (value,) * 3 if isinstance(value, int) else tuple(value) * (3 // len(value))


def _float32(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value
