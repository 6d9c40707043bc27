"""Our own TV-L1 optical flow, fast on a CPU: the definition of OpenCV's Dual TV-L1, computed in another order.

Zach, Pock and Bischof, "A Duality Based Approach for Realtime TV-L1 Optical Flow" (2007), with the changes OpenCV made:
grey levels 0..255, a bilinear pyramid, several warps a level, cubic warping, a median filter of the flow, and an end of
the iterations when the flow changes by less than `epsilon` px. The tests compare its results with OpenCV's.

Two back ends compute it, each a method of its own so that they never mix: `tvl1-own`, compiled by Numba, here and in
`tvl1_kernels`; `tvl1-torch`, on tensors, in `tvl1_torch`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from harness.core.errors import HarnessError
from harness.video.flow.tvl1_settings import Settings, settings_of

VERSION = 2
"""Raised when this file or its kernels change their numbers."""


def function(params: Mapping[str, float | str]) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Parameters -> (grey, next grey), uint8 (H, W) each -> float32 (H, W, 2) px, x then y.

    Raises HarnessError where Numba is not installed, and for values out of range.
    """
    settings = settings_of(params)
    _kernels()
    return lambda grey, after: flow_between(grey, after, settings)


def flow_between(grey: np.ndarray, after: np.ndarray, settings: Settings) -> np.ndarray:
    """uint8 (H, W) twice -> float32 (H, W, 2) px, x then y: where each pixel of the first went. One thread."""
    import cv2

    flow = None
    for here, there in reversed(_pyramid(grey, after, settings)):
        size = here.shape[::-1]
        if flow is None:
            flow = np.zeros((2, *here.shape), np.float32)
        else:
            flow = np.stack([cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in flow])
            flow *= np.float32(1 / settings.scale_step)
        flow = _solve_level(here, there, flow, settings)
    assert flow is not None
    return np.ascontiguousarray(flow.transpose(1, 2, 0))


def _pyramid(grey: np.ndarray, after: np.ndarray, settings: Settings) -> list[tuple[np.ndarray, np.ndarray]]:
    import cv2

    levels = [(grey.astype(np.float32, order="C"), after.astype(np.float32, order="C"))]
    for _ in range(settings.nscales - 1):
        height, width = levels[-1][0].shape
        if min(round(height * settings.scale_step), round(width * settings.scale_step)) < 16:
            break
        # By the factor, not to the rounded size, as OpenCV does: a level is not quite the whole picture.
        factor = {"fx": settings.scale_step, "fy": settings.scale_step}
        here, there = (cv2.resize(picture, None, **factor, interpolation=cv2.INTER_LINEAR) for picture in levels[-1])
        levels.append((here, there))
    return levels


def _solve_level(here: np.ndarray, there: np.ndarray, start: np.ndarray, settings: Settings) -> np.ndarray:
    """float32 (H, W) twice and a flow (2, H, W) to start from -> the flow (2, H, W) at this level."""
    import cv2

    kernels = _kernels()
    height, width = here.shape
    channels, warped = np.empty((2, height, width, 3), np.float32)
    map_x, map_y = np.empty((2, height, width), np.float32)
    kernels.with_gradients(there, channels)
    # Flow (2), data term (4), dual variables (4), each with a row above, a row below and the seam at the right.
    flow, data, dual = (np.zeros((n, (height + 2) * (width + 1)), np.float32) for n in (2, 4, 4))
    inside = flow.reshape(2, height + 2, width + 1)[:, 1:-1, :-1]
    inside[:] = start
    state = (*data, *flow, *dual, (height, width))
    for _ in range(settings.warps):
        kernels.where_to(flow, map_x, map_y)
        cv2.remap(channels, map_x, map_y, cv2.INTER_CUBIC, dst=warped, borderMode=cv2.BORDER_CONSTANT)
        kernels.linearise(here, warped, flow, data)
        _settle(state, inside, settings)
    return inside


def _settle(state: tuple[Any, ...], inside: np.ndarray, settings: Settings) -> None:
    """Iterations on one linearisation, a median filter of the flow before each `inner` of them, until it converges."""
    import cv2

    iterate = _kernels().iterate
    weights = (settings.lambda_ * settings.theta, settings.theta, settings.tau / settings.theta)
    limit, theta, step = (np.float32(weight) for weight in weights)
    change, enough = np.inf, settings.epsilon**2 * inside[0].size
    for _ in range(settings.outer):
        if change <= enough:
            return
        if settings.median > 1:
            for plane in inside:
                plane[:] = cv2.medianBlur(plane, settings.median)
        for done in range(0, settings.inner, settings.check_every):
            change = iterate(*state, min(settings.inner - done, settings.check_every), limit, theta, step)
            if change <= enough:
                break


def _kernels() -> Any:
    try:
        from harness.video.flow import tvl1_kernels
    except (ImportError, OSError) as error:
        raise HarnessError(
            f"flow method 'tvl1-own' needs Numba, which cannot be imported ({error}); run pip install numba, or "
            "pass --set flow.name=tvl1-torch (PyTorch) or tvl1 (OpenCV): both give nearly the same flow, are slower on a CPU, "
            "and change the job ids"
        ) from error
    except Exception as error:  # Numba and its files fail in many ways
        folder = os.environ.get("NUMBA_CACHE_DIR")
        again = f"Numba stores its code in {folder}: delete that folder and run the same command again, or "
        raise HarnessError(
            f"flow method 'tvl1-own' could not be compiled ({type(error).__name__}: {error}); {again if folder else ''}"
            "pass --set flow.name=tvl1-torch, the same algorithm in PyTorch (it changes the job ids)"
        ) from error
    return tvl1_kernels
