"""Optical flow: frames -> displacements in px -> the 8-bit codes that are stored -> what a network sees.

The paper (section 2.5) says TV-L1 and nothing more; the authors' code resizes first, goes to grey, computes forward
flow, clips it to +-20 px and divides by that. Here every frame has one flow, to the next frame; the last is repeated,
so that both streams have the same frames. Everything that a number could depend on stands in `method_key`: two methods
never mix.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from functools import lru_cache
from typing import Any

import numpy as np

from harness.core.contract import FlowMethod
from harness.core.errors import unknown
from harness.video.flow import methods

# ---------------------------------------------------------------------------------------------------- computing


def compute(frames: np.ndarray, method: FlowMethod) -> np.ndarray:
    """Frames (T, H, W, 3) uint8 RGB -> (T, H, W, 2) float32 px, x then y, forward; the last is repeated.

    A single frame has no motion: zeros. Raises UnknownName for a method, or a parameter of it, that does not exist.
    """
    flows = list(pairwise(iter(frames), method))
    return np.stack(flows) if flows else np.zeros((*frames.shape[:3], 2), np.float32)


def pairwise(frames: Iterator[np.ndarray], method: FlowMethod) -> Iterator[np.ndarray]:
    """`compute`, frame by frame, so that a long video never has to fit into memory. A frame may lie where the last one did."""
    import cv2

    # One thread, whatever the process: the pool below this has a process a core, and results must not depend on it.
    cv2.setNumThreads(1)
    loaded = methods.load(method)
    picture: np.ndarray | None = None
    flow: np.ndarray | None = None
    row: list[np.ndarray] = []
    for frame in frames:
        picture = frame.copy() if loaded.colour else cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        row.append(picture)
        if len(row) > loaded.at_once:
            for flow in loaded.flows(row):
                yield flow
            row = row[-1:]
    if len(row) > 1:
        for flow in loaded.flows(row):
            yield flow
    if flow is not None:
        yield flow
    elif picture is not None:
        yield np.zeros((*picture.shape[:2], 2), np.float32)


def method_key(method: FlowMethod) -> dict[str, Any]:
    """All that decides the stored codes: the method, its parameters and code, and what computes it, with its version."""
    method = methods.chosen(method)
    return {**asdict(method), "params": methods.key_params(method), "library": methods.library(method)}


# ---------------------------------------------------------------------------------------------------- codes


def encode(flow: np.ndarray, method: FlowMethod) -> np.ndarray:
    """Displacements in px, float, any shape -> uint8 codes of the same shape, clipped to +-`method.bound_px`."""
    bound = np.float32(method.bound_px)
    clipped = np.clip(np.asarray(flow, np.float32), -bound, bound)
    if method.quantization == "zero-exact":
        return (np.rint(clipped * (127 / bound)) + 128).astype(np.uint8)
    return np.rint((clipped + bound) * (255 / (2 * bound))).astype(np.uint8)


def decode(codes: np.ndarray, method: FlowMethod) -> np.ndarray:
    """uint8 codes -> float32 of the same shape in [-1, 1]: displacement / `method.bound_px`."""
    return decode_table(method.quantization)[codes]


@lru_cache
def decode_table(code: str) -> np.ndarray:
    """float32 (256,): what each code means, in bounds. 'zero-exact' never writes 0; read, it is -1."""
    codes = np.arange(256, dtype=np.float32)
    if code == "zero-exact":
        table = np.maximum((codes - 128) / 127, np.float32(-1))
    elif code == "released-256":
        table = (2 * codes - 255) / 255
    else:
        raise unknown("flow code", code, ("zero-exact", "released-256"))
    table.setflags(write=False)
    return table


# ---------------------------------------------------------------------------------------------------- geometry


def resize_flow(flow: np.ndarray, height: int, width: int) -> np.ndarray:
    """(T, H, W, 2) px -> (T, height, width, 2) px: resized bilinearly, its vectors scaled with the picture."""
    import cv2

    scale = np.array([width / flow.shape[2], height / flow.shape[1]], np.float32)
    resized = [cv2.resize(one, (width, height), interpolation=cv2.INTER_LINEAR) for one in flow]
    return np.stack(resized) * scale


def flip_flow(flow: np.ndarray) -> np.ndarray:
    """(..., H, W, 2), the left-right mirror image: columns reversed, x negated."""
    return flow[..., ::-1, :] * np.array([-1, 1], flow.dtype)
