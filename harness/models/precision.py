"""bfloat16 autocast, without the gradients that one of its kernels gets wrong on a CPU.

oneDNN's bfloat16 kernel for the weights' gradient of a 3D convolution (``jit_bf16:avx512_core``, oneDNN 3.13 of torch 2.15) reads
and writes beyond its memory where no output position lies clear of the padding: a 3x3x3 kernel on two frames, as in the last
convolutions of C3D. What it gives then is anything, NaN among it. Such layers, small as they are, are computed in float32.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


@contextlib.contextmanager
def autocast(device: str, precision: str) -> Iterator[None]:
    """bfloat16 autocast where the job's precision says so."""
    if precision != "bfloat16":
        yield
        return
    kind = device.partition(":")[0]
    with (
        torch.autocast(kind, dtype=torch.bfloat16),
        _Float32PaddedConv3d() if kind == "cpu" else contextlib.nullcontext(),
    ):
        yield


def autocast_for_recompute() -> contextlib.AbstractContextManager[Any]:
    """For where torch repeats a pass under the autocast of now, and knows nothing of what `autocast` adds to it."""
    return _Float32PaddedConv3d() if torch.is_autocast_enabled("cpu") else contextlib.nullcontext()


class _Float32PaddedConv3d(TorchFunctionMode):
    """3D convolutions whose every output sees padding are done in float32, their result rounded as the others' is."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if function is not torch.conv3d or not torch.is_grad_enabled() or not always_padded(*args, **given):
            return function(*args, **given)
        rounded = torch.get_autocast_dtype("cpu")
        with torch.autocast("cpu", enabled=False):
            result: Tensor = function(*map(_whole, args), **{name: _whole(value) for name, value in given.items()})
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
    """Whether along some axis every output of ``torch.conv3d`` with these arguments sees padding."""
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


def _whole(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value
