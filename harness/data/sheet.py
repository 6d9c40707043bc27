"""Sampled clips of a data set, to be looked at: frames and the motion between them."""

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
from harness.video.flow import estimation

FPS = 25.0
SHORT_SIDE_PX = 160
QUICK = FlowMethod("dis", 20.0, SHORT_SIDE_PX)
"""Six hundred times as fast as TV-L1, and good enough to see what moves."""


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
    """float32 (N, H, W, 2) px a frame of the 25 fps timeline; empty (0, ...) for images."""


def strips(
    prepared: Prepared, *, clips: int, columns: int, method: FlowMethod = QUICK, progress: Progress | None = None
) -> list[Strip]:
    """Up to `clips` videos of the first split, of as many classes as there are, the same ones every time. Videos that
    cannot be decoded are passed over for others of their class."""
    listing = prepared.listing(prepared.dataset.splits[0])
    found: list[Strip] = []
    shown: set[str] = set()
    for label, candidates in _sampled(listing.subsets, clips):
        fresh = [(subset, video) for subset, video in candidates if video.id not in shown]
        if strip := next(_readable(prepared, label, fresh, columns, method), None):
            found.append(strip)
            shown.add(strip.video.id)
        if progress:
            progress(len(found), clips)
    return found


Candidate = tuple[str, Video]


def _sampled(subsets: Mapping[str, Sequence[Video]], clips: int) -> list[tuple[int, list[Candidate]]]:
    """(label, its videos in a fixed order of chance), `clips` times: over the classes evenly, again if there are few."""
    of: dict[int, list[Candidate]] = {}
    for subset, videos in subsets.items():
        for video in videos:
            of.setdefault(video.label, []).append((subset, video))
    for those in of.values():
        those.sort(key=lambda item: hashlib.sha256(item[1].id.encode()).hexdigest())
    labels = sorted(of)
    if len(labels) >= clips:
        labels = [labels[round(i * (len(labels) - 1) / max(1, clips - 1))] for i in range(clips)]
    else:
        labels = sorted(labels[i % len(labels)] for i in range(clips))
    return [(label, of[label]) for label in labels]


def _readable(
    prepared: Prepared, label: int, candidates: Sequence[Candidate], columns: int, method: FlowMethod
) -> Iterator[Strip]:
    name = prepared.listing(prepared.dataset.splits[0]).classes[label]
    for subset, video in candidates:
        try:
            times_s, frames, flows = _looked_at(prepared, video, columns, method)
        except BrokenVideo:
            continue
        yield Strip(name, subset, video, times_s, frames, flows)


def _looked_at(
    prepared: Prepared, video: Video, columns: int, method: FlowMethod
) -> tuple[tuple[float, ...], np.ndarray, np.ndarray]:
    path = prepared.path(video)
    if prepared.dataset.kind == "images":
        picture = decode.read_image(path, short_side_px=SHORT_SIDE_PX)[None]
        return (0.0,), picture, np.zeros((0, *picture.shape[1:3], 2), np.float32)
    last = max(0, prepared.num_frames(video, FPS) - 2)
    at = np.unique(np.linspace(0, last, columns).round().astype(int))
    wanted = np.stack([at, np.minimum(at + 1, last + 1)], axis=1).reshape(-1)
    info = prepared.info(video)
    short_side_px = min(method.short_side_px, info.width, info.height)
    pictures = decode.read_window(path, wanted, fps=FPS, short_side_px=short_side_px)
    pairs = pictures.reshape(len(at), 2, *pictures.shape[1:])
    flows = np.stack([estimation.compute(pair, method)[0] for pair in pairs])
    return tuple(float(number) / FPS for number in at), np.ascontiguousarray(pairs[:, 0]), flows
