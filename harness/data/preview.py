"""Clips as pictures for people: frames in a row, flow in colours, many clips on one sheet. Arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.core.contract import FlowMethod
from harness.video.flow import codec
from harness.video.sampling import short_side_size

GAP_PX = 3
CAPTION_PX = 16
BACKGROUND = 255


def flow_colours(flows: np.ndarray, *, limit: float = 1.0) -> np.ndarray:
    """(..., H, W, 2) float, x then y -> uint8 (..., H, W, 3) RGB: hue is the direction, saturation the length.

    No motion is white; lengths from `limit` on are fully saturated. Right is red, down yellow-green, left cyan, up
    violet.
    """
    x, y = flows[..., 0].astype(np.float32), flows[..., 1].astype(np.float32)
    saturation = np.clip(np.hypot(x, y) / np.float32(limit), 0, 1)
    hue = np.arctan2(y, x) / np.float32(2 * np.pi)
    # The usual hexagon of hues, one channel at a time: 1 for a third of the circle, 0 for another, linear between.
    channels = [np.clip(np.abs((hue * 6 + shift) % 6 - 3) - 1, 0, 1) for shift in (0, 4, 2)]
    rgb = 1 - saturation[..., None] * (1 - np.stack(channels, axis=-1))
    return np.rint(rgb * 255).astype(np.uint8)


def colour_wheel(side_px: int) -> np.ndarray:
    """The key to `flow_colours`: uint8 (side, side, 3), each pixel coloured as motion from the centre to it."""
    axis = np.linspace(-1, 1, side_px, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    wheel = flow_colours(np.stack([x, y], axis=-1))
    wheel[np.hypot(x, y) > 1] = BACKGROUND
    return wheel


def clip_rows(
    clips: dict[str, np.ndarray], method: FlowMethod, *, columns: int = 8, limit_px: float | None = None
) -> list[list[np.ndarray]]:
    """stream -> uint8 (T, H, W, C) as a reader gives it -> one row of `columns` pictures a stream, evenly spread in time.

    Flow is coloured up to `limit_px`, the largest motion in the clip (its 99th percentile) unless told.
    """
    rows = []
    for stream, frames in clips.items():
        chosen = frames[np.linspace(0, len(frames) - 1, min(columns, len(frames))).round().astype(int)]
        rows.append(list(_coloured(chosen, frames, method, limit_px) if stream == "flow" else chosen))
    return rows


def _coloured(chosen: np.ndarray, codes: np.ndarray, method: FlowMethod, limit_px: float | None) -> np.ndarray:
    if limit_px is None:
        lengths = np.linalg.norm(codec.decode(codes, method), axis=-1) * method.bound_px
        limit_px = max(0.5, float(np.percentile(lengths, 99)))
    return flow_colours(codec.decode(chosen, method) * method.bound_px, limit=limit_px)


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray]], *, captions: Sequence[str] = (), short_side_px: int | None = None
) -> np.ndarray:
    """Rows of uint8 (H, W, 3) pictures of any sizes -> one picture on white; a caption, if any, stands above its row."""
    if not rows:
        raise ValueError("a contact sheet needs at least one row")
    strips = []
    for number, row in enumerate(rows):
        sized = [picture if short_side_px is None else _resized(picture, short_side_px) for picture in row]
        if number < len(captions) and captions[number]:
            strips.append(_caption(captions[number], sum(one.shape[1] + GAP_PX for one in sized)))
        strips.append(_beside(sized))
    width = max(strip.shape[1] for strip in strips)
    padded = [_padded(strip, strip.shape[0] + GAP_PX, width) for strip in strips]
    return np.concatenate(padded)[:-GAP_PX]


def _beside(pictures: Sequence[np.ndarray]) -> np.ndarray:
    height = max(picture.shape[0] for picture in pictures)
    return np.concatenate([_padded(one, height, one.shape[1] + GAP_PX) for one in pictures], axis=1)[:, :-GAP_PX]


def _padded(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    missing = ((0, height - picture.shape[0]), (0, width - picture.shape[1]), (0, 0))
    return np.pad(picture, missing, constant_values=BACKGROUND)


def _resized(picture: np.ndarray, short_side_px: int) -> np.ndarray:
    import cv2

    height, width = short_side_size(picture.shape[0], picture.shape[1], short_side_px)
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def _caption(text: str, width: int) -> np.ndarray:
    import cv2

    # OpenCV's font has ASCII only.
    line = np.full((CAPTION_PX, max(width, 8 * len(text)), 3), BACKGROUND, np.uint8)
    plain = text.encode("ascii", "replace").decode()
    return cv2.putText(line, plain, (1, CAPTION_PX - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
