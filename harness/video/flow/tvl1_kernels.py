"""The arithmetic of `harness.video.flow.tvl1_numba`, compiled by Numba: one thread, float32, everything of a level in flat arrays.

A level of H x W pixels is stored in arrays with one more column than the picture (its *seam*) and one more row above and
below, so that the index of a neighbour is a sum and no inner loop tests for borders. The seam
repeats the last column of the flow, which makes its forward difference zero, and holds zeros in the dual variables.
"""

from __future__ import annotations

import numpy as np
from numba import types

from harness.video.numba_cache import kernel

_LINE, _PLANE, _PLANES = (types.Array(types.float32, axes, "C") for axes in (1, 2, 3))


def _compiled(*kinds, gives=types.void):
    return kernel(gives(*kinds), fastmath=True)


_BLOCK_PX = 1200
"""Pixels of one step of the wave: long enough for vectors to pay, short enough to stay in the cache (300 to 2,400 tried)."""


@_compiled(_PLANE, _PLANES)
def with_gradients(picture, channels):
    """(H, W) -> fills channels (H, W, 3): the picture, its central differences along x and y."""
    height, width = picture.shape
    half = np.float32(0.5)
    for y in range(height):
        row, above, below = picture[y], picture[max(y - 1, 0)], picture[min(y + 1, height - 1)]
        for x in range(width):
            channels[y, x, 0] = row[x]
            channels[y, x, 1] = half * (row[min(x + 1, width - 1)] - row[max(x - 1, 0)])
            channels[y, x, 2] = half * (below[x] - above[x])


@_compiled(_PLANE, _PLANE, _PLANE)
def where_to(flow, map_x, map_y):
    """Fills map_x and map_y (H, W) with the position that each pixel moves to."""
    height, width = map_x.shape
    for y in range(height):
        lo = (y + 1) * (width + 1)
        u, v, to_x, to_y = flow[0, lo : lo + width], flow[1, lo : lo + width], map_x[y], map_y[y]
        for x in range(width):
            to_x[x] = np.float32(x) + u[x]
        for x in range(width):
            to_y[x] = np.float32(y) + v[x]


@_compiled(_PLANE, _PLANES, _PLANE, _PLANE)
def linearise(picture, warped, flow, data):
    """The data term around `flow`: fills data (4, N) with the warped gradient (x, y), the residual, 1 / |gradient|^2."""
    height, width = picture.shape
    unit = np.float32(1)
    for y in range(height):
        lo = (y + 1) * (width + 1)
        hi = lo + width
        here, there, u, v = picture[y], warped[y], flow[0, lo:hi], flow[1, lo:hi]
        out_x, out_y, residual, inverse = data[0, lo:hi], data[1, lo:hi], data[2, lo:hi], data[3, lo:hi]
        for x in range(width):
            gx, gy = there[x, 1], there[x, 2]
            square = gx * gx + gy * gy
            out_x[x] = gx
            out_y[x] = gy
            residual[x] = there[x, 0] - gx * u[x] - gy * v[x] - here[x]
            inverse[x] = unit / square if square > np.float32(1.2e-7) else np.float32(0)


@_compiled(
    *[_LINE] * 10,
    types.UniTuple(types.int64, 2),
    types.int64,
    *[types.float32] * 3,
    gives=types.float32,
)
def iterate(gx, gy, residual, inverse, u, v, ux, uy, vx, vy, shape, count, limit, theta, step):
    """`count` primal-dual iterations in place -> the sum of squared changes in the last of them.

    (gx, gy, residual, inverse): the data term of `linearise`; (u, v): the flow; (ux, uy), (vx, vy): their dual
    variables; all (N,). They run as a wave: iteration k is one block of rows behind iteration k - 1, while the rows are
    in the cache.
    """
    height, width = shape
    rows = max(1, _BLOCK_PX // (width + 1))
    blocks = (height + rows - 1) // rows
    # Unsigned: Numba would allow for negative indices, which count from the end, and vectorise nothing.
    right, below = np.uint64(1), np.uint64(width + 1)
    unit, total = np.float32(1), np.float32(0)
    for tick in range(blocks + count - 1):
        for k in range(max(0, tick - blocks + 1), min(count, tick + 1)):
            first = (tick - k) * rows
            last = min(first + rows, height)
            lo, hi = np.uint64(first + 1) * below, np.uint64(last + 1) * below
            change = np.float32(0)
            for i in range(lo, hi):
                move = (residual[i] + gx[i] * u[i] + gy[i] * v[i]) * inverse[i]
                move = -min(max(move, -limit), limit)
                du = move * gx[i] + theta * ((ux[i] - ux[i - right]) + (uy[i] - uy[i - below]))
                dv = move * gy[i] + theta * ((vx[i] - vx[i - right]) + (vy[i] - vy[i - below]))
                u[i] += du
                v[i] += dv
                change += du * du + dv * dv
            for seam in range(lo + below - right, hi, below):
                u[seam] = u[seam - right]
                v[seam] = v[seam - right]
            # Row y of the dual variables needs row y + 1 of the flow, so it follows a row behind.
            start, stop = max(lo - below, below), hi - below
            if last == height:
                stop = hi
                for i in range(hi, hi + below):
                    u[i] = u[i - below]
                    v[i] = v[i - below]
            for i in range(start, stop):
                dx, dy = u[i + right] - u[i], u[i + below] - u[i]
                scale = unit / (unit + step * np.sqrt(dx * dx + dy * dy))
                ux[i] = (ux[i] + step * dx) * scale
                uy[i] = (uy[i] + step * dy) * scale
                dx, dy = v[i + right] - v[i], v[i + below] - v[i]
                scale = unit / (unit + step * np.sqrt(dx * dx + dy * dy))
                vx[i] = (vx[i] + step * dx) * scale
                vy[i] = (vy[i] + step * dy) * scale
            for seam in range(start + below - right, stop, below):
                ux[seam], uy[seam] = np.float32(0), np.float32(0)
                vx[seam], vy[seam] = np.float32(0), np.float32(0)
            if k == count - 1:
                total += change
    return total
