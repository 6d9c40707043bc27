"""Which videos are trained on: a part is held out for choices, and none that is scored may be among them.

Learning-rate drops, stopping and learning rates are chosen on the held-out part, never on what is scored. Weights carry the
ids and groups they were trained on, and scoring an overlap is refused.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from harness.core.contract import Listing, Video
from harness.core.errors import HarnessError

HELD_OUT = "held-out"
"""The subset that a trial is scored on."""
TRAINED_ON = "trained_on.json"
TrainedOn = Mapping[str, Collection[str]]
"""Data set -> ids and group keys, in any order."""


def first_videos(listing: Listing, limit: int) -> Listing:
    """The first `limit` videos of every subset by id, in the order of the listing (`--limit`).

    Videos that are missing from disk count too, so that the choice does not depend on the disk.
    """
    subsets: dict[str, tuple[Video, ...]] = {}
    missing: dict[str, list[str]] = defaultdict(list)
    for name, videos in listing.subsets.items():
        absent = listing.missing_of(name)
        chosen = set(sorted([*(video.id for video in videos), *absent])[:limit])
        subsets[name] = tuple(video for video in videos if video.id in chosen)
        for video_id in chosen.intersection(absent):
            missing[video_id].append(name)
    return dataclasses.replace(
        listing,
        subsets=subsets,
        missing=tuple(video_id for video_id in listing.missing if video_id in missing),
        # An id of an unknown subset counts in every subset, but may be among the first of one alone.
        missing_from={video_id: names[0] for video_id, names in missing.items() if len(names) == 1},
    )


def hold_out(videos: Sequence[Video], share: float) -> tuple[list[Video], list[Video]]:
    """(rest, held out): about `share` of each class, in whole groups, so that no group is on both sides.

    Deterministic: groups are taken in the order of the hash of their name. The last group of a class is never held out.
    """
    if share <= 0:
        return list(videos), []
    group_of = [video.group or video.id for video in videos]
    by_class: dict[int, Counter[str]] = defaultdict(Counter)
    for video, group in zip(videos, group_of, strict=True):
        by_class[video.label][group] += 1
    held_groups: set[str] = set()
    shared = sum(map(len, by_class.values())) > len(set(group_of))

    def is_all_of_a_class(group: str) -> bool:
        """Whether a class, perhaps another one, has nothing left but this group."""
        return shared and any(
            group in groups and all(name in held_groups or name == group for name in groups)
            for groups in by_class.values()
        )

    for groups in by_class.values():
        wanted = share * sum(groups.values())
        taken = 0
        for group in sorted(groups, key=lambda group: hashlib.sha256(group.encode()).digest())[:-1]:
            if taken >= wanted:
                break
            if group not in held_groups and is_all_of_a_class(group):
                continue
            held_groups.add(group)
            taken += groups[group]
    parts: tuple[list[Video], list[Video]] = ([], [])
    for video, group in zip(videos, group_of, strict=True):
        parts[group in held_groups].append(video)
    return parts


def validation_listing(listing: Listing, share: float) -> Listing:
    """The data set for a trial: a held-out part of the training videos is scored, the rest is trained on.

    Raises HarnessError where no class has a second group to hold out.
    """
    rest, held = hold_out(listing.subsets["train"], share)
    if not held:
        raise HarnessError(
            "no class has more than one group of training videos, so no videos can be held out; tune on another data set, "
            "or without --limit"
        )
    return dataclasses.replace(listing, subsets={"train": tuple(rest), HELD_OUT: tuple(held)}, missing=())


def drawn(listing: Listing, *, shots: int, share: float, draw: int) -> Listing:
    """The listing with `shots` training videos per class, or this `share` of each class (at least one video).

    Each class has one random order per draw: its groups in random order, the videos of a group next to each other. A draw of
    n videos is the first n. So a smaller draw is part of a larger one, and groups are taken whole, except the last: clips of
    one group are near-duplicates. `draw` numbers the random orders. Raises HarnessError for a class with fewer videos, or with none.
    """
    by_class: dict[int, list[Video]] = defaultdict(list)
    for video in listing.subsets["train"]:
        by_class[video.label].append(video)
    chosen: set[str] = set()
    for label, name in enumerate(listing.classes):
        videos = by_class[label]
        wanted = shots or max(1, round(share * len(videos)))
        if wanted > len(videos):
            raise HarnessError(_too_few(name, len(videos), shots=shots, share=share))
        chosen.update(video.id for video in in_random_order(videos, draw)[:wanted])
    train = tuple(video for video in listing.subsets["train"] if video.id in chosen)
    return dataclasses.replace(listing, subsets={**listing.subsets, "train": train})


def in_random_order(videos: Sequence[Video], draw: int) -> list[Video]:
    """Videos of one class by group; both orders follow from hashes of the draw's number and the names."""

    def place(*names: str) -> str:
        return hashlib.sha256("\0".join((str(draw), *names)).encode()).hexdigest()

    return sorted(videos, key=lambda video: (place(str(video.label), video.group or video.id), place(video.id)))


def _too_few(name: str, count: int, *, shots: int, share: float) -> str:
    flag = f"--shots {shots}" if shots else f"--share {share:g}"
    if not count:
        return f"{flag}: the class '{name}' has no training video; add videos, or leave out the class"
    videos = "1 training video" if count == 1 else f"{count} training videos"
    return f"{flag}: the class '{name}' has only {videos}; pass --shots {count} or less, or --share"


def refuse_leaks(name: str, training: Sequence[Video], scored: Sequence[Video], *, before: TrainedOn) -> TrainedOn:
    """The ids and groups that weights are trained on after `training` on the data set `name`, including those `before`.

    Raises HarnessError if a video to be scored, or its group, is among them.
    """
    known = {*before.get(name, ()), *(video.id for video in training), *filter(None, map(_group_key, training))}
    leaked = [video.id for video in scored if video.id in known or _group_key(video) in known]
    if leaked:
        raise HarnessError(
            f"{len(leaked)} of the {len(scored)} test videos (for example {leaked[0]}), or videos of the same group, were in "
            "the training data of these weights or of the weights they start from; choose another --source or --split"
        )
    return {**before, name: known}


def _group_key(video: Video) -> str:
    """Key of a group among ids; '' where the group is unknown."""
    return f"group:{video.label}:{video.group}" if video.group else ""


def write_trained_on(path: Path, trained_on: TrainedOn) -> None:
    """Write the ids and group keys as JSON, sorted."""
    path.write_text(json.dumps({name: sorted(ids) for name, ids in trained_on.items()}))


def merge_trained_on(files: Iterable[Path]) -> TrainedOn:
    """The union of several records' files `TRAINED_ON`."""
    merged: dict[str, list[str]] = {}
    for path in files:
        for name, ids in json.loads(path.read_text()).items():
            merged[name] = sorted({*merged.get(name, ()), *ids})
    return merged
