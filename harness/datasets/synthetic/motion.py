"""How actors, objects and the camera move: paths over time, as arithmetic. No pictures here.

Lengths are px of the frame for an actor of scale 1, times are frames. Every path is drawn from a distribution that does
not change when left and right, or past and future, are swapped. A reversed action is its original played backwards,
camera and light included: they differ only in the direction of time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.datasets.synthetic.catalogue import APPEARANCE
from harness.datasets.synthetic.chance import sign

FPS = 25
SHORTEST, LONGEST = 20, 24
"""Frames of a clip. A network sees 16 or more: always more than half of an action."""


@dataclass(frozen=True)
class Pose:
    """The actor, frame by frame; arrays (T,) float64."""

    hand_x: np.ndarray
    """Of the object from its resting position before the actor; positive is the side of the object."""
    hand_y: np.ndarray
    """Downwards."""
    angle_rad: np.ndarray
    """Of the object, clockwise."""
    size: np.ndarray
    """Of actor and object together; 1 is the usual size."""
    gap: np.ndarray
    """Between the wings of the gate: 0 closed, 1 open."""
    body_x: np.ndarray
    """Of actor and object together from their position; positive is the side of the object."""
    body_y: np.ndarray
    """Downwards."""
    crouch: np.ndarray
    """0 upright, 1 bent down."""


def pose(action: str, frames: int, rng: np.random.Generator) -> Pose:
    """The path of a forward action: 'open', 'approach', 'pick-up', 'shake', 'bounce', 'circle', 'spin' or 'carry-N'."""
    t = np.arange(frames) / FPS
    sway_x, sway_y = (wander(rng, t, reach=1.0, hz=(0.3, 0.7)) for _ in range(2))
    path = {
        "hand_x": sway_x,
        "hand_y": sway_y,
        "angle_rad": rng.uniform(-np.pi, np.pi) + wander(rng, t, reach=0.12, hz=(0.3, 0.7)),
        "size": np.ones(frames),
        "gap": np.zeros(frames),
        "body_x": np.zeros(frames),
        "body_y": np.zeros(frames),
        "crouch": np.zeros(frames),
    }
    if action in APPEARANCE:
        path["hand_x"] = wander(rng, t, reach=7, hz=(0.3, 0.8))
        path["hand_y"] = wander(rng, t, reach=7, hz=(0.3, 0.8))
        path["angle_rad"] = rng.uniform(-np.pi, np.pi) + wander(rng, t, reach=0.5, hz=(0.3, 0.8))
    else:
        _ACTS[action](path, t, rng)
    return Pose(**path)


def progress(frames: int, rng: np.random.Generator) -> np.ndarray:
    """(T,) from near 0 to near 1, rising all the time; as likely as its own reversal."""
    early, late = rng.uniform(0, 0.08, 2)
    u = np.linspace(early, 1 - late, frames)
    ease = rng.uniform(0, 0.5)
    return (1 - ease) * u + ease * u * u * (3 - 2 * u)


def wander(rng: np.random.Generator, t: np.ndarray, *, reach: float, hz: tuple[float, float]) -> np.ndarray:
    """(T,) of a smooth path about 0 that stays within `reach`: two waves of these frequencies, at any phase."""
    total = np.zeros(len(t))
    for share in (0.65, 0.35):
        total += share * reach * np.sin(2 * np.pi * rng.uniform(*hz) * t + rng.uniform(0, 2 * np.pi))
    return total


def _open(path: dict[str, np.ndarray], t: np.ndarray, rng: np.random.Generator) -> None:
    path["gap"] = progress(len(t), rng)
    path["angle_rad"] = np.zeros(len(t))


def _approach(path: dict[str, np.ndarray], t: np.ndarray, rng: np.random.Generator) -> None:
    near, far = rng.uniform(1.3, 1.5), rng.uniform(0.55, 0.65)
    path["size"] = far * (near / far) ** progress(len(t), rng)


def _pick_up(path: dict[str, np.ndarray], t: np.ndarray, rng: np.random.Generator) -> None:
    risen = progress(len(t), rng)
    path["hand_y"] = path["hand_y"] + 20 - 41 * risen
    path["crouch"] = np.clip(1 - 2 * risen, 0, 1)


def _shake(path: dict[str, np.ndarray], t: np.ndarray, rng: np.random.Generator) -> None:
    path["body_x"] = _wave(t, rng)


def _bounce(path: dict[str, np.ndarray], t: np.ndarray, rng: np.random.Generator) -> None:
    path["body_y"] = _wave(t, rng) - 5


def _circle(path: dict[str, np.ndarray], t: np.ndarray, rng: np.random.Generator) -> None:
    turn = sign(rng) * 2 * np.pi * rng.uniform(1.5, 2.3) * t + rng.uniform(0, 2 * np.pi)
    reach = rng.uniform(10, 13)
    path["hand_x"], path["hand_y"] = path["hand_x"] + reach * np.cos(turn), path["hand_y"] + reach * np.sin(turn)


def _spin(path: dict[str, np.ndarray], t: np.ndarray, rng: np.random.Generator) -> None:
    path["angle_rad"] = rng.uniform(-np.pi, np.pi) + sign(rng) * 2 * np.pi * rng.uniform(1.2, 1.8) * t


def _wave(t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(7, 10) * np.sin(2 * np.pi * rng.uniform(1.5, 2.3) * t + rng.uniform(0, 2 * np.pi))


_ACTS = {
    "open": _open,
    "approach": _approach,
    "pick-up": _pick_up,
    "shake": _shake,
    "bounce": _bounce,
    "circle": _circle,
    "spin": _spin,
}


@dataclass(frozen=True)
class CameraStyle:
    """How the camera of a group moves; the clip adds direction and phase."""

    pan_px: tuple[float, float]
    """Speed in x and y, px per frame."""
    zoom: float
    """Growth of the picture, factor per frame."""
    shake_px: float
    """Amplitude of a shaking hand."""


@dataclass(frozen=True)
class Camera:
    """The camera, frame by frame; arrays (T,) float64."""

    x: np.ndarray
    """Of the view's centre from its position at half time, px."""
    y: np.ndarray
    zoom: np.ndarray
    """About 1."""
    light: np.ndarray
    """Brightness, about 1."""


def camera_style(rng: np.random.Generator) -> CameraStyle:
    return CameraStyle((rng.uniform(0, 0.3), rng.uniform(0, 0.12)), rng.uniform(0, 0.003), rng.uniform(0.1, 0.6))


def camera(style: CameraStyle, frames: int, rng: np.random.Generator) -> Camera:
    """The path of a camera of this style: panning and zooming either way, centred in time, with a shaking hand."""
    middle = np.arange(frames) - (frames - 1) / 2
    t = np.arange(frames) / FPS
    x = sign(rng) * style.pan_px[0] * middle + wander(rng, t, reach=style.shake_px, hz=(0.5, 2.5))
    y = sign(rng) * style.pan_px[1] * middle + wander(rng, t, reach=style.shake_px, hz=(0.5, 2.5))
    zoom = rng.uniform(0.94, 1.06) * np.exp(sign(rng) * style.zoom * middle)
    light = rng.uniform(0.85, 1.1) * (1 + rng.uniform(-0.004, 0.004) * middle)
    return Camera(x, y, zoom, light)
