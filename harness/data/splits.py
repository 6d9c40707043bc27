"""The held-out part of a training set, on which drops, stopping and learning rates are chosen. Never what is scored."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Sequence

from harness.core.contract import Listing, Video
from harness.core.errors import HarnessError

HELD_OUT = "held-out"
"""The subset that a trial is scored on."""


def hold_out(videos: Sequence[Video], share: float) -> tuple[list[Video], list[Video]]:
    """(kept, held out): about `share` of each class, whole groups at a time, so that no group is on both sides.

    Deterministic: groups are taken in the order of the hash of their name. A class of a single group keeps it.
    """
    if share <= 0:
        return list(videos), []
    out: set[tuple[int, str]] = set()
    for label, groups in _groups_of_classes(videos).items():
        wanted = share * sum(groups.values())
        taken = 0
        for group in sorted(groups, key=_order)[:-1]:
            if taken >= wanted:
                break
            out.add((label, group))
            taken += groups[group]
    crossing = {group for _, group in out}
    held = [video for video in videos if _group(video) in crossing]
    kept = [video for video in videos if _group(video) not in crossing]
    return kept, held


def validation_listing(listing: Listing, share: float) -> Listing:
    """The data set as a trial sees it: trained on what is kept of the training videos, scored on the rest; nothing else is there.

    Raises HarnessError where no class has a second group to hold out.
    """
    kept, held = hold_out(listing.subsets["train"], share)
    if not held:
        raise HarnessError("no class has more than one group of training videos: nothing can be held out to choose on")
    return dataclasses.replace(listing, subsets={"train": tuple(kept), HELD_OUT: tuple(held)}, missing=())


def _group(video: Video) -> str:
    return video.group or video.id


def _groups_of_classes(videos: Sequence[Video]) -> dict[int, dict[str, int]]:
    counts: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for video in videos:
        counts[video.label][_group(video)] += 1
    return counts


def _order(group: str) -> str:
    return hashlib.sha256(group.encode()).hexdigest()
