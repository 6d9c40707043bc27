"""What a training pass of I3D is made of: each layer forward, and forward and backward, in the sizes that it has there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.gpu.session import Session

Layer = Callable[[Tensor], Tensor]
LAST: dict[str, Any] = {"memory_format": torch.channels_last_3d}


class SplitPool(nn.Module):
    """A 3x3x3 max-pool of stride 1 as one over pictures, which has a channels-last kernel, and the largest of three in time."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) float -> the same shape."""
        n, c, t, h, w = x.shape
        pictures = x.permute(0, 2, 3, 4, 1).reshape(n * t, h, w, c).permute(0, 3, 1, 2)
        pooled = functional.max_pool2d(pictures, 3, 1, 1)
        y = pooled.permute(0, 2, 3, 1).reshape(n, t, h, w, c).permute(0, 4, 1, 2, 3)
        later = torch.cat([y[:, :, 1:], y[:, :, -1:]], 2)
        earlier = torch.cat([y[:, :, :1], y[:, :, :-1]], 2)
        return torch.maximum(torch.maximum(y, later), earlier)


def parts(session: Session) -> None:
    """Batch norm, max-pools, the first convolution and the widest ones, at 6 and at 48 clips."""
    for clips in (1,) if session.small else (6, 48):
        for name, layer, x in (*_norms(session, clips), *_pools(session, clips), *_convolutions(session, clips)):
            try:
                times = _milliseconds(session, layer, x)
            except RuntimeError as error:
                session.note(f"{name}, {clips} clips", f"{type(error).__name__}: {str(error)[:120]}")
                continue
            session.note(f"{name}, {clips} clips: ms forward, forward and backward", times)


def _maps(session: Session, clips: int, channels: int, frames: int, side_px: int) -> Tensor:
    """bfloat16 noise in channels last, an eighth as long and wide with `--small`."""
    shrink = 8 if session.small else 1
    shape = (clips, channels, max(3, frames // shrink), max(4, side_px // shrink), max(4, side_px // shrink))
    return torch.randn(shape, device=session.device).bfloat16().contiguous(**LAST)


def _norms(session: Session, clips: int) -> list[tuple[str, Layer, Tensor]]:
    def norm(channels: int) -> nn.BatchNorm3d:
        return nn.BatchNorm3d(channels).to(session.device)

    x, joint = _maps(session, clips, 64, 32, 112), _maps(session, clips, 480, 16, 14)
    both = nn.Sequential(norm(64), nn.ReLU())
    of_part = norm(192)
    rows: list[tuple[str, Layer, Tensor]] = [
        ("batch norm bfloat16", norm(64), x),
        ("batch norm and ReLU", both, x),
        ("batch norm of a part of 480 channels", lambda y: of_part(y[:, :192]), joint),
        ("batch norm of 192 channels", norm(192), _maps(session, clips, 192, 16, 14)),
    ]
    if session.cuda:
        rows.append(("batch norm float16", norm(64), x.half()))
        rows.append(("batch norm and ReLU compiled", torch.compile(both), x))
    return rows


def _pools(session: Session, clips: int) -> list[tuple[str, Layer, Tensor]]:
    x, y = _maps(session, clips, 64, 32, 112), _maps(session, clips, 256, 32, 28)

    def over_pictures(z: Tensor) -> Tensor:
        flat = z.permute(0, 2, 1, 3, 4).flatten(0, 1)
        pooled = functional.max_pool2d(flat, 3, 2, 0, ceil_mode=True)
        return pooled.unflatten(0, (z.shape[0], z.shape[2])).transpose(1, 2)

    def of_three(z: Tensor) -> Tensor:
        return functional.max_pool3d(z, 3, 1, 1)

    rows: list[tuple[str, Layer, Tensor]] = [
        ("max-pool 1x3x3", lambda z: functional.max_pool3d(z, (1, 3, 3), (1, 2, 2), ceil_mode=True), x),
        ("max-pool 1x3x3 as max_pool2d", over_pictures, x),
        ("max-pool 3x3x3", of_three, y),
        ("max-pool 3x3x3 in NCDHW", of_three, y.contiguous()),
        ("max-pool 3x3x3 as max_pool2d and maxima", SplitPool(), y),
    ]
    if session.cuda:
        rows.append(("max-pool 3x3x3 as max_pool2d and maxima, compiled", torch.compile(SplitPool()), y))
    return rows


def _convolutions(session: Session, clips: int) -> list[tuple[str, Layer, Tensor]]:
    def conv(channels: int, out: int, size: int, **options: Any) -> nn.Conv3d:
        layer = nn.Conv3d(channels, out, size, bias=False, **options)
        return layer.to(session.device, torch.bfloat16).to(**LAST)

    frames, side_px = (21, 29) if session.small else (69, 229)
    rows: list[tuple[str, Layer, Tensor]] = []
    for channels in (3, 4, 8):
        shape = (clips, channels, frames, side_px, side_px)
        padded = torch.randn(shape, device=session.device).bfloat16().contiguous(**LAST)
        rows.append((f"first convolution of {channels} channels", conv(channels, 64, 7, stride=2), padded))
    folded = _maps(session, clips, 24, 35, 115)
    rows.append(("first convolution as 3x3x3 of 24 channels", conv(24, 64, 3), folded))
    if not session.small:
        rows.append(("first convolution as 4x4x4 of 24 channels", conv(24, 64, 4), folded))
    rows.append(("convolution 3x3x3, 128 to 192", conv(128, 192, 3, padding=1), _maps(session, clips, 128, 32, 28)))
    rows.append(("convolution 3x3x3, 64 to 192", conv(64, 192, 3, padding=1), _maps(session, clips, 64, 32, 56)))
    return rows


def _milliseconds(session: Session, layer: Layer, x: Tensor) -> list[float]:
    """[forward, forward and backward]."""
    x = x.detach().requires_grad_()
    with torch.no_grad():
        gradient = torch.randn_like(layer(x))

    def both() -> None:
        x.grad = None
        layer(x).backward(gradient)

    with torch.no_grad():
        forward = _median_ms(session, lambda: layer(x))
    return [round(forward, 3), round(_median_ms(session, both), 3)]


def _median_ms(session: Session, step: Callable[[], Any]) -> float:
    """On a GPU by Triton's stopwatch, which also empties the cache between calls."""
    if not session.cuda:
        return 1e3 * session.seconds(step)
    from triton.testing import do_bench  # type: ignore[import-not-found]

    return float(do_bench(step, warmup=50, rep=150, return_mode="median"))
