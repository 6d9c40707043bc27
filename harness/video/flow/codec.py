"""Optical flow in px -> the 8-bit codes that are stored -> what a network sees; and flow resized.

The paper (section 2.5) says TV-L1 and nothing more; the authors' code resizes first, goes to grey, computes forward
flow, clips it to +-20 px and divides by that. Here every frame has one flow, to the next frame; the last is repeated,
so that both streams have the same frames.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from harness.core.contract import FlowMethod
from harness.core.errors import unknown


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


def resize_flow(flow: np.ndarray, height: int, width: int) -> np.ndarray:
    """(T, H, W, 2) px -> (T, height, width, 2) px: resized bilinearly, its vectors scaled with the picture."""
    import cv2

    scale = np.array([width / flow.shape[2], height / flow.shape[1]], np.float32)
    resized = [cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR) for frame in flow]
    return np.stack(resized) * scale
