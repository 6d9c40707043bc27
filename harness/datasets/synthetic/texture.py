"""Backgrounds and textures: noise with a natural spectrum, the sceneries of the three worlds, surfaces of objects."""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

FABRIC_PX = 72
"""Side at which textures of objects are computed, before they are enlarged for drawing."""
CANVAS_PX = (104, 144)
"""(height, width) of a background: larger than the camera ever sees."""


def colour(hue_deg: float, saturation: float, value: float) -> np.ndarray:
    """(3,) float32 RGB in [0, 255]."""
    rgb = colorsys.hsv_to_rgb((hue_deg % 360) / 360, min(max(saturation, 0), 1), min(max(value, 0), 1))
    return np.asarray(rgb, np.float32) * 255


def fractal(
    rng: np.random.Generator, shape: tuple[int, int], *, cell_px: float = 48, stretch: float = 1.0
) -> np.ndarray:
    """(H, W) float32 in [0, 1] whose power falls with frequency as in natural pictures: octaves of smooth noise.

    cell_px: size of the largest blobs. stretch: how much wider than high they are.
    """
    height, width = shape
    total = np.zeros(shape, np.float32)
    weight = 1.0
    while cell_px >= 3:
        rows, columns = max(2, round(height / cell_px) + 1), max(2, round(width / (cell_px * stretch)) + 1)
        coarse = rng.random((rows, columns), dtype=np.float32)
        total += weight * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        weight, cell_px = weight * 0.6, cell_px / 2
    low, high = total.min(), total.max()
    return (total - low) / (high - low)


def floats(rows: Sequence[Any] | np.ndarray) -> np.ndarray:
    """Rows of numbers as float64."""
    return np.asarray(rows, np.float64)


def blend(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Colours (3,) or pictures (H, W, 3), mixed by the share (H, W) of the second."""
    return first + (second - first) * np.asarray(share, np.float32)[..., None]


def background(scenery: str, rng: np.random.Generator) -> np.ndarray:
    """(104, 144, 3) uint8 RGB of a scenery: 'park', 'hall' or 'film'."""
    return np.clip(SCENERIES[scenery](rng), 0, 255).astype(np.uint8)


def _park(rng: np.random.Generator) -> np.ndarray:
    """Sky with clouds over grass, earth or sand, with bushes along the horizon."""
    height, width = CANVAS_PX
    blue = colour(rng.uniform(190, 235), rng.uniform(0.2, 0.5), 0.85)
    sky = blend(blue, colour(40, 0.06, 0.98), fractal(rng, CANVAS_PX, stretch=2))
    hue = rng.uniform(35, 130)
    ground = blend(colour(hue, 0.5, 0.32), colour(hue + 15, 0.38, 0.72), fractal(rng, CANVAS_PX, cell_px=24, stretch=2))
    horizon = height * rng.uniform(0.5, 0.62) + 14 * (fractal(rng, (1, width), cell_px=40)[0] - 0.5)
    below = np.clip(np.arange(height)[:, None] - horizon[None], 0, 1).astype(np.float32)
    bushes = blend(colour(hue + 25, 0.5, 0.2), colour(hue + 10, 0.45, 0.45), fractal(rng, CANVAS_PX, cell_px=12))
    line = horizon - rng.uniform(4, 16) * fractal(rng, (1, width), cell_px=20)[0]
    hedge = np.clip(np.arange(height)[:, None] - line[None], 0, 1).astype(np.float32)
    return blend(blend(sky, bushes, hedge), ground, below)


def _hall(rng: np.random.Generator) -> np.ndarray:
    """A wall of bricks or tiles over a floor of boards."""
    height, width = CANVAS_PX
    hue, floor_hue = rng.uniform(0, 360), rng.uniform(15, 45)
    wall = blend(colour(hue, 0.22, 0.62), colour(hue + 12, 0.12, 0.86), fractal(rng, CANVAS_PX))
    tile_h, tile_w = int(rng.integers(9, 16)), int(rng.integers(12, 28))
    y, x = np.mgrid[:height, :width]
    shift = (y // tile_h % 2) * (tile_w // 2) * int(rng.integers(2))
    joint = ((y % tile_h < 1) | ((x + shift) % tile_w < 1)).astype(np.float32)
    tint = rng.random((height // tile_h + 1, width // tile_w + 2), dtype=np.float32)[y // tile_h, (x + shift) // tile_w]
    wall = blend(wall * (0.88 + 0.2 * tint[..., None]), colour(hue, 0.2, 0.38), joint * 0.7)
    grain = fractal(rng, CANVAS_PX, cell_px=16, stretch=5)
    boards = blend(colour(floor_hue, 0.5, 0.35), colour(floor_hue, 0.4, 0.62), grain)
    boards = boards * (1 - 0.35 * (y % 7 < 1))[..., None]
    below = (y > height * rng.uniform(0.6, 0.68)).astype(np.float32)
    return blend(wall, boards, below)


def _film(rng: np.random.Generator) -> np.ndarray:
    """A dim set: folds of a curtain, lights out of focus, darker towards the edges, one tint over all."""
    height, width = CANVAS_PX
    hue = rng.choice([25, 35, 185, 205, 265]) + rng.uniform(-10, 10)
    folds = fractal(rng, (1, width), cell_px=14)[0][None] * np.ones((height, 1), np.float32)
    curtain = blend(colour(hue, 0.55, 0.16), colour(hue + 10, 0.4, 0.58), 0.6 * folds + 0.4 * fractal(rng, CANVAS_PX))
    lights = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(4, 9))):
        centre = (int(rng.integers(width)), int(rng.integers(int(height * 0.7))))
        cv2.circle(lights, centre, int(rng.integers(3, 9)), float(rng.uniform(0.2, 0.6)), -1, cv2.LINE_AA)
    picture = blend(curtain, colour(hue + rng.uniform(-30, 30), 0.3, 0.95), cv2.GaussianBlur(lights, (0, 0), 1.6))
    grain = fractal(rng, CANVAS_PX, cell_px=12, stretch=4)
    stage = blend(colour(hue + 20, 0.4, 0.12), colour(hue + 20, 0.3, 0.42), grain)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    picture = blend(picture, stage, (y > height * rng.uniform(0.62, 0.7)).astype(np.float32))
    edge = np.hypot((y - height / 2) / height, (x - width / 2) / width)
    return picture * (1.12 - 0.9 * edge**1.5)[..., None]


SCENERIES: dict[str, Callable[[np.random.Generator], np.ndarray]] = {"park": _park, "hall": _hall, "film": _film}


def fabric(finish: str, rng: np.random.Generator, size_px: int, *, hue_deg: float) -> np.ndarray:
    """(size, size, 3) float32 RGB in [0, 255] of a texture of about this hue: 'stripes', 'checks' or 'rings'."""
    side = FABRIC_PX
    y, x = np.mgrid[:side, :side].astype(np.float32) / np.float32(side) - np.float32(0.5)
    turn, count = rng.uniform(0, np.pi), rng.uniform(3.5, 6)
    along = x * np.cos(turn) + y * np.sin(turn)
    across = y * np.cos(turn) - x * np.sin(turn)
    pattern = {
        "stripes": np.sin(2 * np.pi * count * along),
        "checks": np.sin(2 * np.pi * count * 0.7 * along) * np.sin(2 * np.pi * count * 0.7 * across),
        "rings": np.cos(2 * np.pi * count * np.hypot(x - rng.uniform(-0.2, 0.2), y - rng.uniform(-0.2, 0.2))),
    }[finish]
    light = colour(hue_deg, rng.uniform(0.35, 0.6), 0.97)
    dark = colour(hue_deg + rng.uniform(-25, 25), rng.uniform(0.75, 1), 0.6)
    share = np.clip(0.5 + 2.5 * pattern, 0, 1) * 0.75 + 0.25 * fractal(rng, (side, side), cell_px=side / 2)
    shade = 1.08 - 0.35 * (x + y + 0.5)[..., None]
    picture = np.clip(blend(light, dark, share.astype(np.float32)) * shade, 0, 255)
    return cv2.resize(picture, (size_px, size_px), interpolation=cv2.INTER_CUBIC).clip(0, 255)
