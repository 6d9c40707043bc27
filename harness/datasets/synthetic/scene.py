"""Clips and images of the micro world: (T, 72, 96, 3) uint8 RGB from a few names.

A clip is a function of its names alone (world, action, group, number), so any worker renders it the same.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import cv2
import numpy as np

from harness.datasets.synthetic import motion, sprites
from harness.datasets.synthetic.catalogue import APPEARANCE, REVERSED, WORLDS, ClipSpec, ImageSpec, World
from harness.datasets.synthetic.chance import sign, stream
from harness.datasets.synthetic.texture import CANVAS_PX, background, floats

FRAME_PX = (72, 96)
"""(height, width) of a video."""
IMAGE_PX = 80
"""Side of an image."""
GATE = ("open", "close")

_ACTOR_SCALE = 0.74  # sprites are drawn larger than they appear, so that close actors are sharp
_SCENERIES, _BODIES, _FINISHES = (
    sorted({getattr(world, part) for world in WORLDS.values()}) for part in ("scenery", "body", "finish")
)
_OBJECT_SCALE = 1.2
_REST_PX = (20.0, -35.0)  # the object's resting place from the feet, on its side, in px of the sprite


@dataclass(frozen=True)
class _Looks:
    """Parts that the clips of a group share."""

    background: np.ndarray
    body: np.ndarray
    sleeve: np.ndarray
    style: motion.CameraStyle


def family(action: str) -> str:
    """The action itself, or the one that it reverses: groups of both have the same looks."""
    return REVERSED.get(action, action)


def frames_of(spec: ClipSpec) -> np.ndarray:
    """(T, 72, 96, 3) uint8 RGB, T from 20 to 28."""
    frames = _forward(spec)
    return frames[::-1] if spec.action in REVERSED else frames


def image_of(spec: ImageSpec) -> np.ndarray:
    """(80, 80, 3) uint8 RGB: one object, actor or scenery of any of the worlds, before scenery of any of them."""
    rng = stream("still", spec.subject, spec.number)
    scenery = spec.subject if spec.subject in _SCENERIES else str(rng.choice(_SCENERIES))
    side = IMAGE_PX
    zoom, turn = rng.uniform(0.8, 1.2), rng.uniform(-0.1, 0.1)
    corner = -zoom * rng.uniform(0, [CANVAS_PX[1] - side / zoom, CANVAS_PX[0] - side / zoom])
    placed = _matrix(zoom, turn, *corner)
    picture = cv2.warpAffine(background(scenery, rng), placed, (side, side), borderMode=cv2.BORDER_REFLECT)
    middle = rng.uniform(0.35 * side, 0.65 * side, 2)
    if spec.subject in _BODIES:
        sprite, _ = sprites.body(spec.subject, rng)
        scale = rng.uniform(0.6, 1.1)
        anchor = (sprite.shape[1] / 2, sprite.shape[0] / 2)
        _put(picture, sprite, anchor, middle, (scale, scale), rng.uniform(-0.15, 0.15))
    elif spec.subject not in _SCENERIES:
        finish, hue = str(rng.choice(_FINISHES)), rng.uniform(0, 360)
        sprite, scale = sprites.thing(spec.subject, finish, rng, hue_deg=hue), rng.uniform(0.6, 1.6)
        _put(picture, sprite, ((sprites.OBJECT_PX - 1) / 2,) * 2, middle, (scale, scale), rng.uniform(-np.pi, np.pi))
    return cv2.convertScaleAbs(picture, alpha=_fixed(rng.uniform(0.75, 1.15)))


@functools.lru_cache(maxsize=8)
def _looks(world_name: str, action: str, group: str) -> _Looks:
    world = WORLDS[world_name]
    rng = stream("looks", world_name, family(action), group)
    body, sleeve = sprites.body(world.body, rng)
    return _Looks(background(world.scenery, rng), body, sleeve, motion.camera_style(rng))


def _forward(spec: ClipSpec) -> np.ndarray:
    world, action = WORLDS[spec.world], family(spec.action)
    looks = _looks(world.name, action, spec.group)
    rng = stream("clip", spec.world, spec.action, spec.group, spec.clip)
    count = int(rng.integers(motion.SHORTEST, motion.LONGEST + 1))
    pose, camera = motion.pose(action, count, rng), motion.camera(looks.style, count, rng)
    held = _held(world, action, rng)
    place = _Place(FRAME_PX[1] / 2 + rng.uniform(-6, 6), rng.uniform(62, 67), rng.uniform(0.9, 1.1), sign(rng))
    origin = (rng.uniform(-8, 8), rng.uniform(-4, 4))
    frames = np.empty((count, *FRAME_PX, 3), np.uint8)
    for t in range(count):
        view = _View(camera.x[t], camera.y[t], camera.zoom[t])
        picture = _scenery(looks.background, view, origin)
        _draw(picture, looks, held, place, pose, t, view)
        frames[t] = cv2.convertScaleAbs(picture, alpha=_fixed(camera.light[t]))
    return frames


def _held(world: World, action: str, rng: np.random.Generator) -> np.ndarray:
    """Sprite of the object: a gate's wing, the class's own object, or any of the world's four."""
    which = APPEARANCE.index(action) if action in APPEARANCE else int(rng.integers(4))
    hue = world.hues[which] + rng.normal(0, 14)
    if action in GATE:
        return sprites.wing(world.finish, rng, hue_deg=rng.uniform(0, 360))
    return sprites.thing(world.shapes[which], world.finish, rng, hue_deg=hue)


@dataclass(frozen=True)
class _Place:
    """Position of the actor in the scene, px of the frame, and the side (-1 or 1) of the object."""

    x: float
    y: float
    scale: float
    side: int


@dataclass(frozen=True)
class _View:
    x: float
    y: float
    zoom: float

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Position of a point of the scene in the frame."""
        height, width = FRAME_PX
        return (x - width / 2 - self.x) * self.zoom + width / 2, (y - height / 2 - self.y) * self.zoom + height / 2


def _scenery(canvas: np.ndarray, view: _View, origin: tuple[float, float]) -> np.ndarray:
    height, width = FRAME_PX
    zoom = view.zoom
    middle = CANVAS_PX[1] / 2 + origin[0], CANVAS_PX[0] * 0.56 + origin[1]
    shift_x = width / 2 - zoom * (middle[0] + view.x)
    shift_y = height / 2 - zoom * (middle[1] + view.y)
    return cv2.warpAffine(canvas, _matrix(zoom, 0, shift_x, shift_y), (width, height), borderMode=cv2.BORDER_REFLECT)


def _draw(
    picture: np.ndarray, looks: _Looks, held: np.ndarray, place: _Place, pose: motion.Pose, t: int, view: _View
) -> None:
    """Draw the actor and the object onto the picture."""
    size = place.scale * float(pose.size[t])
    # Nearer actors are lower in the picture.
    feet = (
        place.x + place.side * float(pose.body_x[t]),
        place.y + float(pose.body_y[t]) - 16 * (1 - min(size, 1.0)) / 0.45 * 0.7 + 4 * max(size - 1.0, 0.0),
    )
    scale = size * _ACTOR_SCALE
    bend = 1 - 0.16 * float(pose.crouch[t])
    _put(picture, looks.body, sprites.FEET_PX, view.point(*feet), (scale * view.zoom, scale * bend * view.zoom), 0.0)
    if held.shape[:2] == sprites.WING_PX:
        _gate(picture, looks, held, feet, scale, float(pose.gap[t]), (pose.hand_x[t], pose.hand_y[t]), view)
        return
    hand = (
        feet[0] + place.side * (_REST_PX[0] * scale + float(pose.hand_x[t]) * size),
        feet[1] + _REST_PX[1] * scale + float(pose.hand_y[t]) * size,
    )
    _arm(picture, looks, feet, scale, bend, place.side, hand, view)
    angle = place.side * float(pose.angle_rad[t])
    middle = (sprites.OBJECT_PX - 1) / 2
    grown = scale * view.zoom * _OBJECT_SCALE
    _put(picture, held, (middle, middle), view.point(*hand), (grown, grown), angle)


def _gate(picture, looks: _Looks, wing: np.ndarray, feet, scale: float, gap: float, sway, view: _View) -> None:
    """Draw two wings before the actor, `gap` apart, tilting outwards as they part, a hand on each."""
    for side in (-1, 1):
        centre = (feet[0] + float(sway[0]) + side * (12 + 27 * gap) * scale, feet[1] + float(sway[1]) - 28 * scale)
        _arm(picture, looks, feet, scale, 1.0, side, centre, view)
        anchor = (sprites.WING_PX[1] - 1) / 2, (sprites.WING_PX[0] - 1) / 2
        size = scale * view.zoom
        _put(picture, wing, anchor, view.point(*centre), (-side * size, size), side * 0.7 * gap)


def _arm(picture: np.ndarray, looks: _Looks, feet, scale: float, bend: float, side: int, hand, view: _View) -> None:
    shoulder = feet[0] + side * sprites.SHOULDER_PX[0] * scale, feet[1] + sprites.SHOULDER_PX[1] * scale * bend
    elbow = (shoulder[0] + hand[0]) / 2 + side * 3 * scale, (shoulder[1] + hand[1]) / 2 + 5 * scale
    points = floats([view.point(*shoulder), view.point(*elbow), view.point(*hand)])
    thickness = max(2, round(5 * scale * view.zoom))
    line = [np.int32(np.round(points * 16))]
    cv2.polylines(picture, line, False, looks.sleeve.tolist(), thickness, cv2.LINE_AA, 4)


def _put(picture: np.ndarray, sprite: np.ndarray, anchor, point, scale: tuple[float, float], angle_rad: float) -> None:
    """Draw the sprite onto the picture, its anchor at the point, turned clockwise; a negative scale in x mirrors it."""
    cos, sin = math.cos(angle_rad), math.sin(angle_rad)
    a, b, c, d = cos * scale[0], -sin * scale[1], sin * scale[0], cos * scale[1]
    x, y = point[0] - a * anchor[0] - b * anchor[1], point[1] - c * anchor[0] - d * anchor[1]
    height, width = sprite.shape[:2]
    # Only the window that the sprite can touch is warped and blended.
    left, right = x + min(a * width, 0) + min(b * height, 0), x + max(a * width, 0) + max(b * height, 0)
    top, bottom = y + min(c * width, 0) + min(d * height, 0), y + max(c * width, 0) + max(d * height, 0)
    x0, x1 = max(math.floor(left) - 1, 0), min(math.ceil(right) + 2, picture.shape[1])
    y0, y1 = max(math.floor(top) - 1, 0), min(math.ceil(bottom) + 2, picture.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    warped = cv2.warpAffine(sprite, _rounded(floats([[a, b, x - x0], [c, d, y - y0]])), (x1 - x0, y1 - y0))
    window = picture[y0:y1, x0:x1]
    clear = cv2.cvtColor(cv2.bitwise_not(warped[..., 3]), cv2.COLOR_GRAY2RGB)
    picture[y0:y1, x0:x1] = cv2.add(cv2.multiply(window, clear, scale=1 / 255), warped[..., :3])


def _matrix(scale: float, angle_rad: float, x: float, y: float) -> np.ndarray:
    cos, sin = math.cos(angle_rad) * scale, math.sin(angle_rad) * scale
    return _rounded(floats([[cos, -sin, x], [sin, cos, y]]))


def _rounded(matrix: np.ndarray) -> np.ndarray:
    """Rounded to 1/4096 px: the last digits of sines differ between processors, pictures must not."""
    return np.round(matrix * 4096) / 4096


def _fixed(value: float) -> float:
    return round(float(value) * 4096) / 4096
