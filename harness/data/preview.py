"""Clips as pictures for people: frames in a row, flow in colours, many clips on one sheet; and a sample of a data set."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.core.contract import FlowMethod, Video
from harness.core.errors import BrokenVideo
from harness.data.index import Progress
from harness.data.prepare import Prepared
from harness.video import decode
from harness.video.flow import codec, estimation
from harness.video.sampling import short_side_size

FPS = 25.0
SHORT_SIDE_PX = 160
QUICK = FlowMethod("dis", 20.0, SHORT_SIDE_PX)
"""Six hundred times as fast as TV-L1, and good enough to see motion."""
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


def clip_rows(clips: dict[str, np.ndarray], method: FlowMethod, *, columns: int = 8) -> list[list[np.ndarray]]:
    """stream -> uint8 (T, H, W, C) as a reader gives it -> one row of `columns` pictures per stream, evenly spread in time.

    Flow is coloured up to the largest motion in the clip (its 99th percentile).
    """
    rows = []
    for stream, frames in clips.items():
        sampled = frames[np.linspace(0, len(frames) - 1, min(columns, len(frames))).round().astype(int)]
        rows.append(list(_coloured(sampled, frames, method) if stream == "flow" else sampled))
    return rows


def _coloured(sampled: np.ndarray, codes: np.ndarray, method: FlowMethod) -> np.ndarray:
    lengths = np.linalg.norm(codec.decode(codes, method), axis=-1) * method.bound_px
    limit_px = max(0.5, float(np.percentile(lengths, 99)))
    return flow_colours(codec.decode(sampled, method) * method.bound_px, limit=limit_px)


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray]], *, captions: Sequence[str] = (), short_side_px: int | None = None
) -> np.ndarray:
    """Rows of uint8 (H, W, 3) pictures of any sizes -> one picture on white; with a caption above each row that has one."""
    if not rows:
        raise ValueError("a contact sheet needs at least one row")
    strips = []
    for number, row in enumerate(rows):
        sized = [picture if short_side_px is None else _resized(picture, short_side_px) for picture in row]
        if number < len(captions) and captions[number]:
            strips.append(_caption(captions[number], sum(picture.shape[1] + GAP_PX for picture in sized)))
        strips.append(_side_by_side(sized))
    width = max(strip.shape[1] for strip in strips)
    padded = [_padded(strip, strip.shape[0] + GAP_PX, width) for strip in strips]
    return np.concatenate(padded)[:-GAP_PX]


def _side_by_side(pictures: Sequence[np.ndarray]) -> np.ndarray:
    height = max(picture.shape[0] for picture in pictures)
    padded = [_padded(picture, height, picture.shape[1] + GAP_PX) for picture in pictures]
    return np.concatenate(padded, axis=1)[:, :-GAP_PX]


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


@dataclass(frozen=True)
class Strip:
    """One clip: frames spread over the video, and the flow from each to the frame after it."""

    class_name: str
    subset: str
    video: Video
    times_s: tuple[float, ...]
    frames: np.ndarray
    """uint8 (N, H, W, 3) RGB."""
    flows: np.ndarray
    """float32 (N, H, W, 2) px per frame of the 25 fps timeline; empty (0, ...) for images."""


def strips(
    prepared: Prepared, *, clips: int, columns: int, method: FlowMethod = QUICK, progress: Progress | None = None
) -> list[Strip]:
    """Up to `clips` videos of the first split, of as many classes as possible, the same ones every time. A video that
    cannot be decoded is replaced by another of its class."""
    listing = prepared.listing(prepared.dataset.splits[0])
    sampled: list[Strip] = []
    for label, candidates in _candidates(listing.subsets, clips):
        shown = {strip.video.id for strip in sampled}
        fresh = [(subset, video) for subset, video in candidates if video.id not in shown]
        if strip := next(_decodable(prepared, label, fresh, columns, method), None):
            sampled.append(strip)
        if progress:
            progress(len(sampled), clips)
    return sampled


Candidate = tuple[str, Video]


def _candidates(subsets: Mapping[str, Sequence[Video]], clips: int) -> list[tuple[int, list[Candidate]]]:
    """(label, its videos in a fixed random order), `clips` times: spread over the classes, which repeat if they are few."""
    by_label: dict[int, list[Candidate]] = {}
    for subset, videos in subsets.items():
        for video in videos:
            by_label.setdefault(video.label, []).append((subset, video))
    for candidates in by_label.values():
        candidates.sort(key=lambda candidate: hashlib.sha256(candidate[1].id.encode()).hexdigest())
    labels = sorted(by_label)
    if len(labels) >= clips:
        labels = [labels[round(i * (len(labels) - 1) / max(1, clips - 1))] for i in range(clips)]
    else:
        labels = sorted(labels[i % len(labels)] for i in range(clips))
    return [(label, by_label[label]) for label in labels]


def _decodable(
    prepared: Prepared, label: int, candidates: Sequence[Candidate], columns: int, method: FlowMethod
) -> Iterator[Strip]:
    name = prepared.listing(prepared.dataset.splits[0]).classes[label]
    for subset, video in candidates:
        try:
            times_s, frames, flows = _sample(prepared, video, columns, method)
        except BrokenVideo:
            continue
        yield Strip(name, subset, video, times_s, frames, flows)


def _sample(
    prepared: Prepared, video: Video, columns: int, method: FlowMethod
) -> tuple[tuple[float, ...], np.ndarray, np.ndarray]:
    path = prepared.path(video)
    if prepared.dataset.kind == "images":
        picture = decode.read_image(path, short_side_px=SHORT_SIDE_PX)[None]
        return (0.0,), picture, np.zeros((0, *picture.shape[1:3], 2), np.float32)
    last = max(0, prepared.num_frames(video, FPS) - 2)
    numbers = np.unique(np.linspace(0, last, columns).round().astype(int))
    wanted = np.stack([numbers, np.minimum(numbers + 1, last + 1)], axis=1).reshape(-1)
    info = prepared.info(video)
    short_side_px = min(method.short_side_px, info.width, info.height)
    pictures = decode.read_window(path, wanted, fps=FPS, short_side_px=short_side_px)
    pairs = pictures.reshape(len(numbers), 2, *pictures.shape[1:])
    flows = np.stack([estimation.compute(pair, method)[0] for pair in pairs])
    return tuple(float(number) / FPS for number in numbers), np.ascontiguousarray(pairs[:, 0]), flows
