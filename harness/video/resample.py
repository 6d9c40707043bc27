"""A stream of timed frames -> frames at a fixed rate: the frame nearest in time, decided as early as possible.

Pure arithmetic on timestamps, for items of any kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from harness.video.sampling import timeline_frames

Item = TypeVar("Item")

MAX_GAP_S = 60.0
"""Longest time between two frames of a file. Damaged timestamps would turn seconds into hours."""
TIE_S = 0.6e-3
"""A tie between two frames goes to the earlier one, also where the container rounds times to milliseconds (Matroska)."""


def nearest(
    timed: Iterable[tuple[float, Item]], *, fps: float, frame_s: float, first: int = 0
) -> Iterator[tuple[int, Item]]:
    """(seconds, item), increasing -> (k, item) for k = first, first + 1, ...: the item nearest to k / fps.

    The last item is shown for `frame_s` seconds, so that the timeline is as long as the video. Where `first` is not 0,
    the items may start anywhere before (or at) the item that `first` needs.
    """
    k = first
    previous: tuple[float, Item] | None = None
    for time_s, item in timed:
        if previous is not None:
            middle_s = (previous[0] + time_s) / 2 + TIE_S
            while k / fps <= middle_s:
                yield k, previous[1]
                k += 1
        previous = time_s, item
    if previous is not None:
        for tail in range(k, timeline_frames(previous[0] + frame_s, fps)):
            yield tail, previous[1]
