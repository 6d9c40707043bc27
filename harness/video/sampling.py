"""Which frames, and which square of them: pure arithmetic on frame counts and sizes, tested without a video.

Frames are counted on the resampled timeline (25 fps at paper scale). The paper (section 2.5): training takes a random
start among those that leave enough frames, and loops videos that are too short as often as needed; testing takes the
whole video. Crops are one square for every frame and every stream of a video.

A clip of K segments (`Clip.segments`) does the same in each of K equal parts of the video: the starts that leave enough frames
for a snippet are divided into K consecutive parts of equal length, to one start. One segment is the plain clip. In a video with
fewer such starts than segments some snippets are the same; one shorter than a snippet is looped in every segment.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Sequence

import numpy as np

from harness.core.contract import STREAMS, Clip, Resize


def rng_for(seed: int, epoch: int, video_id: str) -> np.random.Generator:
    """The generator that decides everything random about one video in one epoch.

    It is seeded by a SHA-256 of its arguments, so that it is the same on any machine, in any process and with any number
    of workers (Python's own `hash` differs from process to process).
    """
    text = f"{seed}\n{epoch}\n{video_id}".encode("utf-8", "surrogateescape")
    words = np.frombuffer(hashlib.sha256(text).digest(), dtype="<u4")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([int(word) for word in words])))


def train_positions(num_frames: int, clip: Clip, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """stream -> int64 frame numbers of one training clip: a random start in each segment, short videos looped.

    Every start of a segment that leaves `clip.window` frames is equally likely; both streams share it. A video shorter
    than the window starts at its first frame and is repeated.
    """
    starts = [int(rng.integers(first, last + 1)) for first, last in segment_starts(num_frames, clip)]
    return _windows(starts, num_frames, clip)


def test_positions(num_frames: int, clip: Clip) -> list[dict[str, np.ndarray]]:
    """The clips that a video is scored on, in order: stream -> int64 frame numbers of each.

    `clip.step` or `clip.dense`: windows from the first frame on, every `step` frames or consecutive, the last one aligned to
    the end. Otherwise `clip.count` clips whose starts are spread evenly from the first possible one of each segment to
    its last (one clip: in the middle). Videos shorter than the window are looped up to it.
    """
    parts = segment_starts(num_frames, clip)
    if step := clip.step or (clip.window if clip.dense else 0):
        ((_, last),) = parts
        views = [[min(start, last)] for start in range(0, last + step, step)]
    else:
        views = [
            [first + _spread(last - first, clip.count, view) for first, last in parts] for view in range(clip.count)
        ]
    return [_windows(starts, num_frames, clip) for starts in views]


def segment_starts(num_frames: int, clip: Clip) -> list[tuple[int, int]]:
    """(first, last) start of a snippet in each segment; equal where a segment has one start, or shares its neighbour's."""
    starts = _last_start(num_frames, clip) + 1
    bounds = [segment * starts // clip.segments for segment in range(clip.segments + 1)]
    return [(first, max(first, end - 1)) for first, end in itertools.pairwise(bounds)]


def train_crop(height: int, width: int, side: int, rng: np.random.Generator) -> tuple[int, int]:
    """(top, left) of a random square of `side` px, every position equally likely."""
    _check_crop(height, width, side)
    return int(rng.integers(0, height - side + 1)), int(rng.integers(0, width - side + 1))


def test_crops(height: int, width: int, clip: Clip) -> list[tuple[int, int]]:
    """(top, left) of the squares that a clip is scored on, the centre first.

    With 3 `clip.crops`, then both ends of the longer side (of the width, if they are equal); with 5, the corners.
    """
    _check_crop(height, width, clip.side_px)
    bottom, right = height - clip.side_px, width - clip.side_px
    half = round if clip.centre == "round" else math.floor
    top, left = half(bottom / 2), half(right / 2)
    ends = [(0, left), (bottom, left)] if height > width else [(top, 0), (top, right)]
    corners = [(0, 0), (0, right), (bottom, 0), (bottom, right)]
    return [(top, left), *{1: [], 3: ends, 5: corners}[clip.crops]]


test_crops.__test__ = False  # type: ignore[attr-defined]  # not a test, in spite of its name


def resized(height: int, width: int, resize: Resize) -> tuple[int, int]:
    """(height, width) of a picture after resizing."""
    return resize if isinstance(resize, tuple) else short_side_size(height, width, resize)


def short_side_size(height: int, width: int, short_side_px: int) -> tuple[int, int]:
    """(height, width) after resizing so that the shorter one is `short_side_px`, keeping the aspect to the nearest pixel."""
    short = min(height, width)
    if short <= 0:
        raise ValueError(f"a picture of {width}x{height} px has no short side")
    longer = max(short_side_px, (2 * max(height, width) * short_side_px + short) // (2 * short))
    return (short_side_px, longer) if height <= width else (longer, short_side_px)


def timeline_frames(duration_s: float, fps: float) -> int:
    """Frames of a video of this length on a timeline of `fps`; at least one."""
    return max(1, int(duration_s * fps + 0.5))


def _last_start(num_frames: int, clip: Clip) -> int:
    if num_frames < 1:
        raise ValueError(f"no clip can be cut from {num_frames} frames")
    return max(0, num_frames - clip.window)


def _spread(last: int, count: int, number: int) -> int:
    """The start of clip `number` of `count` between 0 and `last`, both included; a single one is in the middle."""
    return last // 2 if count == 1 else (2 * last * number + count - 1) // (2 * (count - 1))


def _windows(starts: Sequence[int], num_frames: int, clip: Clip) -> dict[str, np.ndarray]:
    first = np.array(starts, np.int64)[:, None]
    return {
        stream: ((first + np.arange(0, clip.window, clip.stride(stream), dtype=np.int64)) % num_frames).ravel()
        for stream in STREAMS
    }


def _check_crop(height: int, width: int, side: int) -> None:
    if side > min(height, width):
        message = f"a crop of {side} px does not fit into {width}x{height} px; the scale's short side is too small"
        raise ValueError(message)
