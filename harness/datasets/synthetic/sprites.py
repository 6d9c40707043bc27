"""Sprites of the micro world: objects, the two wings of a gate, and the bodies of actors.

A sprite is (H, W, 4) uint8, colours multiplied by their opacity, so that warping and blending need no division.
They are drawn at three times the size and averaged: smooth edges at any position.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from harness.datasets.synthetic.texture import colour, fabric, floats

OVERSAMPLING = 3
OBJECT_PX = 44
"""Side of an object's sprite; the object fills about 34 px of it."""
WING_PX = (48, 28)
"""(height, width) of one wing of a gate."""
BODY_PX = (76, 56)
"""(height, width) of an actor's sprite. The feet are at FEET_PX, the head ends about 66 px above them."""
FEET_PX = (28.0, 70.0)
"""(x, y) of the point between the feet."""
SHOULDER_PX = (9.0, -45.0)
"""(x, y) of a shoulder from the feet, on the side of positive x."""


def _turned(radii: np.ndarray, angles: np.ndarray) -> np.ndarray:
    return np.stack([radii * np.sin(angles), -radii * np.cos(angles)], axis=1)


def _star() -> np.ndarray:
    angles = np.arange(10) * np.pi / 5
    return _turned(np.where(np.arange(10) % 2, 0.42, 1.08), angles)


def _heart() -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 40)
    x, y = 16 * np.sin(t) ** 3, 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([x / 16, -y / 15.5], axis=1)


def _drop() -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 40)
    return np.stack([0.72 * np.sin(t) * np.sin(t / 2) ** 1.2, -1.05 * np.cos(t)], axis=1)


def _crescent() -> np.ndarray:
    outer, inner = np.linspace(0.25, 2 * np.pi - 0.25, 40), np.linspace(2 * np.pi - 0.6, 0.6, 40)
    inside = _turned(np.full(40, 0.74), inner) + floats([0, -0.38])
    return np.concatenate([_turned(np.full(40, 1.0), outer), inside])


def _cross() -> np.ndarray:
    arm = floats([[-0.3, -1], [0.3, -1], [0.3, -0.3]])
    quarter_turn = floats([[0, 1], [-1, 0]])
    return np.concatenate([arm @ np.linalg.matrix_power(quarter_turn, turns) for turns in range(4)])


def _circle() -> np.ndarray:
    return _turned(np.full(40, 0.88), np.linspace(0, 2 * np.pi, 40, endpoint=False))


OUTLINES: dict[str, Callable[[], np.ndarray]] = {
    "ball": _circle,
    "box": lambda: floats([[-0.76, -0.76], [0.76, -0.76], [0.76, 0.76], [-0.76, 0.76]]),
    "stick": lambda: floats([[-0.26, -1.2], [0.26, -1.2], [0.26, 1.2], [-0.26, 1.2]]),
    "star": _star,
    "ring": _circle,
    "cross": _cross,
    "cone": lambda: floats([[0, -1.08], [0.95, 0.72], [-0.95, 0.72]]),
    "crescent": _crescent,
    "heart": _heart,
    "drop": _drop,
    "arrow": lambda: floats(
        [[0, -1.1], [0.85, -0.1], [0.32, -0.1], [0.32, 1.05], [-0.32, 1.05], [-0.32, -0.1], [-0.85, -0.1]]
    ),
    "bow": lambda: floats(
        [[-1, -0.8], [-0.12, -0.2], [0.12, -0.2], [1, -0.8], [1, 0.8], [0.12, 0.2], [-0.12, 0.2], [-1, 0.8]]
    ),
}
"""Shape -> outline (N, 2) in units of the object's half side, y down."""


def cut_out(texture: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """(H, W, 4) uint8 of a texture (H', W', 3) and an opacity (H', W') in [0, 1], both OVERSAMPLING times as large."""
    layers = np.empty((*opacity.shape, 4), np.float32)
    layers[..., :3] = texture * opacity[..., None]
    layers[..., 3] = opacity * 255
    height, width = opacity.shape[0] // OVERSAMPLING, opacity.shape[1] // OVERSAMPLING
    return np.clip(cv2.resize(layers, (width, height), interpolation=cv2.INTER_AREA) + 0.5, 0, 255).astype(np.uint8)


def thing(shape: str, finish: str, rng: np.random.Generator, *, hue_deg: float) -> np.ndarray:
    """(44, 44, 4) sprite of an object with a dark rim."""
    side = OBJECT_PX * OVERSAMPLING
    points = OUTLINES[shape]() * (17 * OVERSAMPLING) + side / 2
    mask = np.zeros((side, side), np.uint8)
    cv2.fillPoly(mask, [np.int32(np.round(points))], 255)
    if shape == "ring":
        cv2.circle(mask, (side // 2, side // 2), round(8 * OVERSAMPLING), 0, -1)
    return _rimmed(mask, fabric(finish, rng, side, hue_deg=hue_deg), colour(hue_deg, 0.6, 0.16))


def wing(finish: str, rng: np.random.Generator, *, hue_deg: float) -> np.ndarray:
    """(48, 28, 4) sprite of the left wing of a gate; the right one is its mirror image."""
    height, width = (side * OVERSAMPLING for side in WING_PX)
    mask = np.zeros((height, width), np.uint8)
    edge = 3 * OVERSAMPLING
    cv2.rectangle(mask, (edge, edge), (width - edge, height - edge), 255, -1)
    texture = fabric(finish, rng, height, hue_deg=hue_deg)[:, :width].copy()
    panel = colour(hue_deg, 0.5, 0.25).tolist()
    for top, bottom in ((edge * 3, height // 2 - edge), (height // 2 + edge, height - edge * 3)):
        cv2.rectangle(texture, (edge * 3, top), (width - edge * 3, bottom), panel, OVERSAMPLING)
    return _rimmed(mask, texture, colour(hue_deg, 0.6, 0.15))


def _rimmed(mask: np.ndarray, texture: np.ndarray, rim: np.ndarray) -> np.ndarray:
    inner = cv2.erode(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * OVERSAMPLING + 1, 2 * OVERSAMPLING + 1)))
    return cut_out(np.where(inner[..., None] > 0, np.float32(texture), rim), mask.astype(np.float32) / 255)


def body(kind: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(76, 56, 4) sprite of an actor with legs, trunk, head and shadow, and the colour (3,) of the sleeves."""
    scale = OVERSAMPLING
    height, width = BODY_PX[0] * scale, BODY_PX[1] * scale
    skin = colour(rng.uniform(15, 35), rng.uniform(0.25, 0.6), rng.uniform(0.45, 0.95))
    # Clothes are duller than objects, so that objects stand out.
    hue, dullness = rng.uniform(0, 360), rng.uniform(0.5, 0.75)
    cloth = fabric({"round": "stripes", "square": "checks", "coat": "rings"}[kind], rng, width, hue_deg=hue)
    cloth = cloth * (1 - dullness) + cloth.mean(axis=2, keepdims=True) * dullness
    cloth = cv2.resize(np.float32(cloth * 0.55 + colour(hue, 0.25, 0.6) * 0.35), (width, height))
    trousers = colour(hue + rng.uniform(90, 270), 0.25, rng.uniform(0.2, 0.5))
    hair = colour(rng.uniform(10, 45), 0.5, rng.uniform(0.1, 0.6))
    texture, mask = np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.uint8)
    shadow = np.zeros((height, width), np.float32)
    cv2.ellipse(shadow, (width // 2, 70 * scale), (18 * scale, 4 * scale), 0, 0, 360, 0.45, -1)

    def paint(points: Any, fill: np.ndarray) -> None:
        outline = [np.int32(np.round(floats(points) * scale + [width / 2, 70 * scale]))]
        cv2.fillPoly(mask, outline, 255)
        if fill.ndim == 1:
            cv2.fillPoly(texture, outline, fill.tolist())
            return
        part = np.zeros_like(mask)
        cv2.fillPoly(part, outline, 255)
        cv2.copyTo(fill, part, texture)

    def oval(x: float, y: float, rx: float, ry: float) -> list[tuple[float, float]]:
        return [(x + rx * np.cos(a), y + ry * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 30)]

    for side in (-1, 1):
        paint([(side * 1.5, -24), (side * 8, -24), (side * 8, 0), (side * 3, 0)], trousers)
        paint(oval(side * 6, 0, 4, 2), trousers * 0.5)
    trunk = {
        "round": oval(0, -34, 11.5, 16),
        "square": [(-12.5, -50), (12.5, -50), (9, -20), (-9, -20)],
        "coat": [(-8, -50), (8, -50), (13.5, -10), (-13.5, -10)],
    }[kind]
    paint(trunk, cloth)
    paint([(-3, -53), (3, -53), (3, -48), (-3, -48)], skin)
    if kind == "square":
        paint([(-7, -66), (7, -66), (7, -52), (-7, -52)], skin)
        paint([(-7.5, -67), (7.5, -67), (7.5, -62.5), (-7.5, -62.5)], hair)
    else:
        paint(oval(0, -58.5, 7.5, 8), skin)
        paint([(-7.5, -60), (-6, -66), (0, -68), (6, -66), (7.5, -60), (0, -63)], hair)
    if kind == "coat":
        paint([(-11, -63.5), (11, -63.5), (11, -62), (-11, -62)], hair)
        paint([(-6.5, -69.5), (6.5, -69.5), (7, -63), (-7, -63)], hair)
    solid = mask.astype(np.float32) / 255
    opacity = np.maximum(solid, cv2.GaussianBlur(shadow, (0, 0), scale) * (1 - solid))
    return cut_out(texture * solid[..., None], opacity), colour(hue, 0.25, 0.5)
