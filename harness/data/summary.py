"""Statistics of a data set: number, length, size, frame rate, codec and class of its videos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.core.contract import Listing
from harness.data.index import IndexRow
from harness.data.prepare import Prepared

MARKS = (0, 5, 50, 95, 100)
"""Percentiles of durations that are shown."""


@dataclass(frozen=True)
class Subset:
    """One subset of the first split."""

    name: str
    videos: int
    listed: int
    """`videos` and those missing from disk."""
    hours: float
    per_class: tuple[int, ...]
    """Videos on disk of each class, in the order of `Census.classes`."""


@dataclass(frozen=True)
class Census:
    """The facts behind `harness data stats`. Over every video of every split, subsets over the first split."""

    dataset: str
    title: str
    fingerprint: str
    kind: str
    """'video' or 'images'."""
    split: int
    classes: tuple[str, ...]
    subsets: tuple[Subset, ...]
    videos: int
    unreadable: int
    missing: int
    bytes: int
    durations_s: tuple[float, ...]
    """Of the readable ones, ascending; empty for images."""
    sizes: Mapping[str, int]
    """'320x240' -> videos, most frequent first; the same for fps and codecs."""
    fps: Mapping[str, int]
    codecs: Mapping[str, int]

    def duration_marks(self) -> dict[int, float]:
        """Percentile -> seconds, for MARKS; {} where there are no durations."""
        last = len(self.durations_s) - 1
        return {mark: self.durations_s[round(mark * last / 100)] for mark in MARKS} if last >= 0 else {}


def census(prepared: Prepared) -> Census:
    """Counted from the index; no file is opened."""
    dataset, rows = prepared.dataset, prepared.rows
    listings = {split: prepared.listing(split) for split in dataset.splits}
    first = listings[dataset.splits[0]]
    readable = [row for row in rows.values() if not row.error]
    video = dataset.kind == "video"
    return Census(
        dataset=dataset.name,
        title=dataset.title,
        fingerprint=prepared.fingerprint,
        kind=dataset.kind,
        split=dataset.splits[0],
        classes=first.classes,
        subsets=tuple(_subset(name, first, rows) for name in first.subsets),
        videos=len(rows),
        unreadable=len(rows) - len(readable),
        missing=len({name for listing in listings.values() for name in listing.missing}),
        bytes=sum(row.bytes for row in rows.values()),
        durations_s=tuple(sorted(row.duration_s for row in readable)) if video else (),
        sizes=_tally(f"{row.width}x{row.height}" for row in readable),
        fps=_tally(f"{row.fps:.2f}".rstrip("0").rstrip(".") for row in readable) if video else {},
        codecs=_tally(row.codec for row in readable),
    )


def _subset(name: str, listing: Listing, rows: Mapping[str, IndexRow]) -> Subset:
    videos = listing.subsets[name]
    labels = Counter(video.label for video in videos)
    hours = sum(rows[video.id].duration_s for video in videos) / 3600
    per_class = tuple(labels[label] for label in range(len(listing.classes)))
    return Subset(name, len(videos), len(videos) + len(listing.missing_of(name)), hours, per_class)


def _tally(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items(), key=lambda item: (-item[1], item[0])))


def most(tally: Mapping[str, int], count: int) -> Sequence[tuple[str, int]]:
    """The `count` most frequent, the rest as 'N others'."""
    items = list(tally.items())
    if len(items) <= count:
        return items
    rest = items[count - 1 :]
    return [*items[: count - 1], (f"{len(rest)} others", sum(number for _, number in rest))]
