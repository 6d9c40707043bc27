"""The arithmetic of `harness.video.flow.tvl1_numba` on tensors: many pairs at once, on a GPU, or on a CPU where Numba is missing.

The same levels, warps, median filters and iterations by the same parameters; only the order of additions differs. Each
pair of a batch ends its iterations when its own flow has converged, so that its flow does not depend on its neighbours.
Nothing here depends on the device, and the host waits for it only to see which pairs have converged.

Planes come first: a flow is (2, N, H, W), x then y; dual variables are (2, 2, N, H, W), direction, then component.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample, pad

from harness.core.errors import HarnessError
from harness.video.flow.median import median
from harness.video.flow.tvl1_settings import Settings, settings_of

FLAT = 1.2e-7
"""Squares of gradients up to this say nothing about motion (float32's resolution, as in OpenCV)."""


def function(params: Mapping[str, float | str], *, device: str) -> Callable[[Sequence[np.ndarray]], np.ndarray]:
    """Parameters -> (N + 1 pictures in a row, uint8 (H, W)) -> float32 (N, H, W, 2) px, x then y.

    Raises HarnessError for values out of range, and where torch does not see the device.
    """
    settings = settings_of(params, "tvl1-torch")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise HarnessError(
            f"flow method 'tvl1-torch' has device '{device}', but torch finds no GPU; omit the parameter "
            "to compute on the CPU, or use method 'tvl1-own'"
        )

    def flows(pictures: Sequence[np.ndarray]) -> np.ndarray:
        row = torch.from_numpy(np.stack(pictures)).to(device)
        with one_thread():
            return flows_between(row[:-1], row[1:], settings).cpu().numpy()

    return flows


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """On a CPU there is one process per core already, and sums over several threads would differ between machines."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


Advance = Callable[..., Tensor]
"""`advance`, or a compiled version of it."""


def flows_between(grey: Tensor, after: Tensor, settings: Settings, *, step: Advance | None = None) -> Tensor:
    """uint8 (N, H, W) twice, on one device -> float32 (N, H, W, 2) px there, x then y: where each pixel of `grey` went.

    `step` may be `torch.compile(advance, dynamic=True)`; no flow method uses that: it has not been timed on a GPU.
    Raises HarnessError for other types and for shapes that do not fit.
    """
    for name, pictures in (("grey", grey), ("after", after)):
        if pictures.dtype != torch.uint8 or pictures.ndim != 3:
            raise HarnessError(
                f"'tvl1-torch' takes grey pictures as uint8 (N, H, W), but '{name}' is {pictures.dtype} {tuple(pictures.shape)}; "
                "convert it, because the thresholds of TV-L1 assume grey levels 0-255"
            )
    if grey.shape != after.shape:
        raise HarnessError(f"pictures of a pair differ in size: {tuple(grey.shape)} and {tuple(after.shape)}")
    with torch.inference_mode():
        flow: Tensor | None = None
        for here, there in reversed(pyramid(grey, after, settings)):
            if flow is None:
                flow = torch.zeros((2, *here.shape), device=here.device)
            else:
                flow = resized(flow, *here.shape[1:]).mul_(1 / settings.scale_step)
            flow = _solve_level(here, there, flow, settings, step or advance)
        assert flow is not None
        return flow.permute(1, 2, 3, 0).contiguous()


def pyramid(grey: Tensor, after: Tensor, settings: Settings) -> list[tuple[Tensor, Tensor]]:
    """Levels from fine to coarse, float32 (N, H, W) twice. None but the first has a side below 16 px."""
    pair = torch.stack([grey, after]).float()
    levels = [pair]
    step = settings.scale_step
    for _ in range(settings.nscales - 1):
        height, width = (round(side * step) for side in levels[-1].shape[-2:])
        if min(height, width) < 16:
            break
        # By the factor, not to the rounded size, as OpenCV does: a level is not quite the whole picture.
        levels.append(resized(levels[-1], height, width, factor=1 / step))
    return [(here, there) for here, there in levels]


def resized(planes: Tensor, height: int, width: int, *, factor: float = 0.0) -> Tensor:
    """(..., H, W) -> (..., height, width), bilinearly: the result of cv2.resize for a size, or for `factor` as 1 / fx."""
    for axis, side in ((-1, width), (-2, height)):
        here = planes.shape[axis]
        at = (torch.arange(side, dtype=torch.float64) + 0.5) * (factor or here / side) - 0.5
        at = at.clamp(0, here - 1)
        low = at.floor()
        share = (at - low).float().to(planes.device)
        first = low.long().to(planes.device)
        second = (first + 1).clamp(max=here - 1)
        share = share if axis == -1 else share[:, None]
        planes = torch.lerp(planes.index_select(axis, first), planes.index_select(axis, second), share)
    return planes


class Term(NamedTuple):
    """The data term around a flow: how far, and which way, brightness alone would have each pixel move."""

    gradient: Tensor
    """(2, N, H, W): of the second picture, where the flow leads."""
    pull: Tensor
    """(2, N, H, W): `gradient` over its squared length."""
    offset: Tensor
    """(N, H, W): `offset` + `pull` . flow is how far the flow is off, in gradients."""

    def of(self, rows: Tensor) -> Term:
        """The term of the pairs `rows`."""
        return Term(self.gradient[:, rows], self.pull[:, rows], self.offset[rows])


def _solve_level(here: Tensor, there: Tensor, flow: Tensor, settings: Settings, step: Advance) -> Tensor:
    """float32 (N, H, W) twice and flows (2, N, H, W) to start from -> the flows at this level."""
    channels = with_gradients(there)
    dual = torch.zeros((2, *flow.shape), device=flow.device)
    for _ in range(settings.warps):
        flow, dual = _settle(linearise(here, sample(channels, flow), flow), flow, dual, settings, step)
    return flow


def with_gradients(picture: Tensor) -> Tensor:
    """(N, H, W) -> (N, 3, H', W'): the picture, its central differences along x and y, zeros below and to the right.

    H' and W' are powers of two: see `sample`.
    """
    height, width = picture.shape[-2:]
    shape = (len(picture), 3, *(1 << (side - 1).bit_length() for side in (height, width)))
    channels = torch.zeros(shape, device=picture.device)
    padded = pad(picture[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    inside = channels[..., :height, :width]
    inside[:, 0] = picture
    torch.sub(padded[:, 1:-1, 2:], padded[:, 1:-1, :-2], out=inside[:, 1])
    torch.sub(padded[:, 2:, 1:-1], padded[:, :-2, 1:-1], out=inside[:, 2])
    inside[:, 1:] *= 0.5
    return channels


def sample(channels: Tensor, flow: Tensor) -> Tensor:
    """(N, C, H', W') at the positions that `flow` (2, N, H, W) px leads to, bicubically, zero outside -> (N, C, H, W).

    The result of cv2.remap since OpenCV 5 (earlier versions rounded positions to 32nds of a px). torch takes positions as
    fractions of a side. Only for a side of a power of two are they exact, to the last bit for whole pixels; otherwise a
    still picture would have motion where it is nearly flat.
    """
    height, width = flow.shape[-2:]
    x = torch.arange(width, device=flow.device, dtype=torch.float32)
    y = torch.arange(height, device=flow.device, dtype=torch.float32)[:, None]
    ends = []
    for along, side, shift in ((x, channels.shape[-1], flow[0]), (y, channels.shape[-2], flow[1])):
        ends.append((along + shift).mul_(2 / side).add_(1 / side - 1))
    return grid_sample(channels, torch.stack(ends, -1), mode="bicubic", padding_mode="zeros", align_corners=False)


def linearise(here: Tensor, warped: Tensor, flow: Tensor) -> Term:
    """First pictures (N, H, W), second ones with gradients, sampled along `flow` (N, 3, H, W) -> the data term."""
    gradient = warped[:, 1:].transpose(0, 1).contiguous()
    square = (gradient * gradient).sum(0)
    inverse = torch.where(square > FLAT, 1 / square, 0.0)
    residual = warped[:, 0] - gradient[0] * flow[0] - gradient[1] * flow[1] - here
    return Term(gradient, gradient * inverse, residual * inverse)


def _settle(term: Term, flow: Tensor, dual: Tensor, settings: Settings, step: Advance) -> tuple[Tensor, Tensor]:
    """Iterations on one linearisation, a median filter of the flow before each `inner` of them, until every pair has converged."""
    pairs, enough = flow.shape[1], settings.epsilon**2 * flow[0, 0].numel()
    final_flow, final_dual = torch.empty_like(flow), torch.empty_like(dual)
    rows = torch.arange(pairs, device=flow.device)
    dual = dual.clone()
    for _ in range(settings.outer):
        flow = median(flow, settings.median)
        for done in range(0, settings.inner, settings.check_every):
            count = min(settings.inner - done, settings.check_every)
            change = iterate(term, flow, dual, count, settings, step)
            moving = (change > enough).nonzero()[:, 0]  # the host waits here, once in `check_every` iterations
            if len(moving) == len(rows):
                continue
            if len(moving) == 0 and len(rows) == pairs:
                return flow, dual
            # All are stored, those still moving again later: one copy instead of a second selection.
            final_flow[:, rows], final_dual[:, :, rows] = flow, dual
            if len(moving) == 0:
                return final_flow, final_dual
            term, rows = term.of(moving), rows[moving]
            flow, dual = flow[:, moving], dual[:, :, moving]
    final_flow[:, rows], final_dual[:, :, rows] = flow, dual
    return final_flow, final_dual


def iterate(term: Term, flow: Tensor, dual: Tensor, count: int, settings: Settings, step: Advance) -> Tensor:
    """`count` primal-dual iterations, `flow` and `dual` in place -> the last one's sum of squared changes, (N,)."""
    weights = settings.lambda_ * settings.theta, settings.theta, settings.tau / settings.theta
    ahead, move = torch.zeros_like(dual), flow
    for _ in range(count):
        move = step(term, flow, dual, ahead, *weights)
    # Row by row, then the rows of a pair: the order of additions must not depend on the number of pairs.
    rows = (move * move).sum(-1)
    return rows.transpose(0, 1).flatten(1).sum(-1)


def advance(term: Term, flow: Tensor, dual: Tensor, ahead: Tensor, limit: float, theta: float, pace: float) -> Tensor:
    """One iteration, `flow` and `dual` in place -> the change of `flow`.

    `ahead` is memory for forward differences, shaped as `dual`; its last column, in x, and row, in y, stay zero: no
    difference crosses the border. Only tensor operations of fixed shapes, and no `out=` on parts of tensors, so that a
    compiler can take the whole function.
    """
    off = torch.addcmul(term.offset, term.pull[0], flow[0]).addcmul_(term.pull[1], flow[1]).clamp_(-limit, limit)
    move = divergence(dual).mul_(theta).addcmul_(term.gradient, off, value=-1)
    flow += move
    ahead[0, ..., :-1].copy_(flow[..., 1:]).sub_(flow[..., :-1])
    ahead[1, ..., :-1, :].copy_(flow[..., 1:, :]).sub_(flow[..., :-1, :])
    length = (ahead[0] * ahead[0]).addcmul_(ahead[1], ahead[1]).sqrt_()
    dual.add_(ahead, alpha=pace).div_(length.mul_(pace).add_(1))
    return move


def divergence(dual: Tensor) -> Tensor:
    """(2, 2, N, H, W) -> (2, N, H, W): backward differences, zero across the border."""
    total = dual[0] + dual[1]
    total[..., 1:] -= dual[0, ..., :-1]
    total[..., 1:, :] -= dual[1, ..., :-1, :]
    return total
