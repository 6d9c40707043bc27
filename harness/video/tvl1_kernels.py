"""The arithmetic of `harness.video.tvl1`, compiled by Numba: one thread, float32, everything of a level in flat arrays.

A level of H x W pixels lies in arrays with one column more than the picture (its *seam*) and a row more above and below,
so that neighbours are found by adding to an index and no inner loop asks whether it is at a border. The seam repeats the
last column of the flow, which makes its forward difference zero, and holds zeros in the dual variables.
"""

from __future__ import annotations

import os

import numpy as np
from numba import njit

# Compiled code is kept only where somebody has named a folder for it: Numba's own choice is the package itself.
_compiled = njit(fastmath=True, nogil=True, error_model="numpy", cache=bool(os.environ.get("NUMBA_CACHE_DIR")))

RIM = 4
"""Zeros around the picture that is warped: OpenCV takes what lies outside as 0, and a cubic reaches two pixels out."""
_BLOCK_PX = 640
"""Pixels of one step of the wave: long enough for vectors to pay, short enough for the first-level cache."""


@_compiled
def with_gradients(picture, warped_from):
    """(H, W) -> fills (H + 2 RIM, W + 2 RIM, 4): the picture and its central differences along x and y, zeros around."""
    height, width = picture.shape
    half = np.float32(0.5)
    for y in range(height):
        above, below = max(y - 1, 0), min(y + 1, height - 1)
        for x in range(width):
            left, right = max(x - 1, 0), min(x + 1, width - 1)
            warped_from[y + RIM, x + RIM, 0] = picture[y, x]
            warped_from[y + RIM, x + RIM, 1] = half * (picture[y, right] - picture[y, left])
            warped_from[y + RIM, x + RIM, 2] = half * (picture[below, x] - picture[above, x])


@_compiled
def linearise(picture, warped_from, flow, data):
    """The data term around `flow`: fills data (4, N) with the warped gradient (x, y), the residual, 1 / |gradient|^2."""
    height, width = picture.shape
    stride = width + 1
    one, a = np.float32(1), np.float32(-0.75)
    for y in range(height):
        for x in range(width):
            at = (y + 1) * stride + x
            u, v = flow[0, at], flow[1, at]
            px = min(max(np.float32(x) + u, np.float32(-2)), np.float32(width + 1)) + np.float32(RIM)
            py = min(max(np.float32(y) + v, np.float32(-2)), np.float32(height + 1)) + np.float32(RIM)
            left, top = int(px), int(py)
            # Cubic convolution with a = -0.75, as OpenCV's.
            t = px - np.float32(left)
            s = one - t
            wx0, wx3 = a * t * s * s, a * s * t * t
            wx1 = ((a + 2) * t - (a + 3)) * t * t + one
            wx2 = one - wx0 - wx1 - wx3
            t = py - np.float32(top)
            s = one - t
            wy0, wy3 = a * t * s * s, a * s * t * t
            wy1 = ((a + 2) * t - (a + 3)) * t * t + one
            wy2 = one - wy0 - wy1 - wy3
            value, gx, gy = np.float32(0), np.float32(0), np.float32(0)
            for row in range(4):
                line = warped_from[top - 1 + row]
                wy = wy0 if row == 0 else (wy1 if row == 1 else (wy2 if row == 2 else wy3))
                value += wy * (
                    wx0 * line[left - 1, 0] + wx1 * line[left, 0] + wx2 * line[left + 1, 0] + wx3 * line[left + 2, 0]
                )
                gx += wy * (
                    wx0 * line[left - 1, 1] + wx1 * line[left, 1] + wx2 * line[left + 1, 1] + wx3 * line[left + 2, 1]
                )
                gy += wy * (
                    wx0 * line[left - 1, 2] + wx1 * line[left, 2] + wx2 * line[left + 1, 2] + wx3 * line[left + 2, 2]
                )
            square = gx * gx + gy * gy
            data[0, at] = gx
            data[1, at] = gy
            data[2, at] = value - gx * u - gy * v - picture[y, x]
            data[3, at] = one / square if square > np.float32(1.2e-7) else np.float32(0)


@_compiled
def _force(gx, gy, residual, inverse, u, v, force, limit):
    for i in range(force.size):
        step = (residual[i] + gx[i] * u[i] + gy[i] * v[i]) * inverse[i]
        force[i] = -min(max(step, -limit), limit)


@_compiled
def _primal(u, force, gradient, px, px_left, py, py_above, theta):
    change = np.float32(0)
    for i in range(force.size):
        step = force[i] * gradient[i] + theta * ((px[i] - px_left[i]) + (py[i] - py_above[i]))
        u[i] += step
        change += step * step
    return change


@_compiled
def _dual(px, py, u, u_right, u_below, step):
    one = np.float32(1)
    for i in range(px.size):
        dx, dy = u_right[i] - u[i], u_below[i] - u[i]
        scale = one / (one + step * np.sqrt(dx * dx + dy * dy))
        px[i] = (px[i] + step * dx) * scale
        py[i] = (py[i] + step * dy) * scale


@_compiled
def _update_rows(data, flow, dual, force, first, last, height, stride, limit, theta, step):
    """One iteration of rows first to last - 1 of the flow, and of the rows of dual variables that this completes."""
    lo, hi = (first + 1) * stride, (last + 1) * stride
    some = force[: hi - lo]
    _force(data[0, lo:hi], data[1, lo:hi], data[2, lo:hi], data[3, lo:hi], flow[0, lo:hi], flow[1, lo:hi], some, limit)
    change = np.float32(0)
    for c in range(2):
        px, py, u = dual[2 * c], dual[2 * c + 1], flow[c]
        change += _primal(
            u[lo:hi],
            some,
            data[c, lo:hi],
            px[lo:hi],
            px[lo - 1 : hi - 1],
            py[lo:hi],
            py[lo - stride : hi - stride],
            theta,
        )
        for seam in range(lo + stride - 1, hi, stride):
            u[seam] = u[seam - 1]
        if last == height:
            u[hi : hi + stride] = u[hi - stride : hi]
        # Row y of the dual variables needs row y + 1 of the flow, so it follows a row behind.
        from_, to = max(lo - stride, stride), hi if last == height else hi - stride
        _dual(px[from_:to], py[from_:to], u[from_:to], u[from_ + 1 : to + 1], u[from_ + stride : to + stride], step)
        for seam in range(from_ + stride - 1, to, stride):
            px[seam] = np.float32(0)
            py[seam] = np.float32(0)
    return change


@_compiled
def iterate(data, flow, dual, height, width, count, limit, theta, step):
    """`count` primal-dual iterations in place -> the sum of squared changes in the last of them.

    They run as a wave: iteration k works a block of rows behind iteration k - 1, so that rows are still in the cache.
    """
    stride = width + 1
    rows = max(1, _BLOCK_PX // stride)
    blocks = (height + rows - 1) // rows
    force = np.empty(rows * stride, np.float32)
    change = np.float32(0)
    for tick in range(blocks + count - 1):
        for k in range(max(0, tick - blocks + 1), min(count, tick + 1)):
            first = (tick - k) * rows
            moved = _update_rows(
                data, flow, dual, force, first, min(first + rows, height), height, stride, limit, theta, step
            )
            if k == count - 1:
                change += moved
    return change
