"""Pictures that move in known ways, pairs of real ones, and OpenCV's flow to hold ours against."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

CLIPS = ("demo.mp4", "test.avi", "v_CricketShot_g04_c01_rgb.gif")
MEAN_PX, P95_PX, SHARE_OVER_1PX = 0.1, 0.3, 0.01
"""How far from OpenCV's default the flow of real clips may be."""


def texture(height: int = 60, width: int = 80, *, seed: int = 0) -> np.ndarray:
    """uint8 (height + 32, width + 32): smooth noise with a margin of 16 px to move in."""
    import cv2

    noise = np.random.default_rng(seed).uniform(size=(height + 32, width + 32)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.0)
    return cv2.normalize(smooth, None, 10, 245, cv2.NORM_MINMAX).astype(np.uint8)


def moved(picture: np.ndarray, *, x_px: float = 0, y_px: float = 0, degrees: float = 0) -> np.ndarray:
    """`picture` turned about its centre, then shifted right and down."""
    import cv2

    height, width = picture.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    matrix[:, 2] += (x_px, y_px)
    return cv2.warpAffine(picture, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)


def cut(picture: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(picture[16:-16, 16:-16])


def mirrored(flow: np.ndarray) -> np.ndarray:
    """(..., H, W, 2), left to right: columns reversed, x negated."""
    return flow[..., ::-1, :] * np.array([-1, 1], flow.dtype)


def opencv(grey: np.ndarray, after: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.optflow.createOptFlow_DualTVL1().calc(grey, after, None)


def distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.linalg.norm(one - other, axis=-1)


def assert_near(away: np.ndarray) -> None:
    """`away`: distances to OpenCV's flow in px."""
    found = away.mean(), np.percentile(away, 95), (away > 1).mean()
    assert found[0] <= MEAN_PX and found[1] <= P95_PX and found[2] <= SHARE_OVER_1PX, found


def real_pairs(test_data: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Two pairs of grey pictures of each real clip, at a short side of 128 px."""
    import cv2

    from harness.video import decode

    pairs = []
    for name in CLIPS:
        clip = decode.iter_video(test_data / "videos" / name, fps=25.0, short_side_px=128)
        greys = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in clip]
        both = list(pairwise(greys))
        pairs += [both[len(both) // 4], both[len(both) // 2]]
    return pairs


def plain_iterations(data: np.ndarray, shape: tuple[int, int], count: int, limit: float, theta: float, step: float):
    """TV-L1's primal-dual iterations, written as the paper does, float64 -> flow (2, H, W), last sum of squared changes."""
    gx, gy, residual, inverse = data
    flow, p, change = np.zeros((2, *shape)), np.zeros((2, 2, *shape)), 0.0
    for _ in range(count):
        move = -np.clip((residual + gx * flow[0] + gy * flow[1]) * inverse, -limit, limit)
        divergence = p[:, 0] - np.pad(p[:, 0], ((0, 0), (0, 0), (1, 0)))[:, :, :-1]
        divergence += p[:, 1] - np.pad(p[:, 1], ((0, 0), (1, 0), (0, 0)))[:, :-1]
        steps = move * np.stack([gx, gy]) + theta * divergence
        flow, change = flow + steps, (steps**2).sum()
        dx = np.pad(np.diff(flow, axis=2), ((0, 0), (0, 0), (0, 1)))
        dy = np.pad(np.diff(flow, axis=1), ((0, 0), (0, 1), (0, 0)))
        p = (p + step * np.stack([dx, dy], 1)) / (1 + step * np.hypot(dx, dy))[:, None]
    return flow, change
