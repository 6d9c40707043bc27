"""A data set on disk compared with its lists and its card: missing, unexpected, duplicated, broken and truncated files."""

from __future__ import annotations

import filecmp
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.core.contract import Dataset, Listing
from harness.core.errors import BadLists, BrokenVideo
from harness.data import prepare, truncation
from harness.data.index import IndexRow, Progress
from harness.datasets.formats.listing import IMAGE_SUFFIXES, VIDEO_SUFFIXES, files_in
from harness.video import decode

KINDS = {
    "missing": "in the lists, but not on disk",
    "extra": "on disk, but in no list",
    "duplicated": "the same file is there more than once",
    "in two subsets": "trained on and scored: a leak",
    "unreadable": "on disk, but cannot be decoded",
    "short": "ends before it should",
    "counts": "the lists name more or fewer videos than the card expects",
    "listed twice": "a list names it more than once",
    "wrong label": "a list contradicts itself",
    "unknown class": "a list names a class that does not exist",
    "empty class": "a class without training videos",
    "leaves the root": "a list names a file outside the data set's folder",
    "unreadable name": "a file whose name is not UTF-8",
    "unreadable line": "a line of a list cannot be parsed",
}
"""Kind of finding -> what it means."""

SHORT_SHARE, SHORT_S = 0.05, 0.5
"""A video may be this much shorter than by the lists, whichever is more: crawlers cut at key frames."""
SAMPLE_BYTES = 1 << 16


@dataclass(frozen=True)
class Finding:
    """One problem."""

    kind: str
    """A key of KINDS."""
    subject: str
    """Id, path or class."""
    detail: str
    """A sentence, or ''."""


@dataclass(frozen=True)
class Part:
    """One subset of one split, in numbers."""

    split: int
    subset: str
    expected: int | None
    """By the card; None: it has no number."""
    listed: int
    there: int
    readable: int


@dataclass(frozen=True)
class Verification:
    """The result of `harness data verify`."""

    dataset: str
    root: str
    fingerprint: str
    """'' where the lists cannot be read."""
    parts: tuple[Part, ...]
    findings: tuple[Finding, ...]

    def failing(self, allowed: Iterable[str] = ()) -> tuple[Finding, ...]:
        """The findings of kinds that are not allowed."""
        return tuple(finding for finding in self.findings if finding.kind not in set(allowed))


def verify(
    dataset: Dataset, data_root: Path, *, thorough: bool = False, progress: Progress | None = None
) -> Verification:
    """Compares a data set on disk with its lists and its card.

    Reads the header of every listed file that is new or changed, and checks the length that its container announces.
    `thorough` also reads every file to its end and counts its packets. Raises DataMissing where the data set is missing.
    """
    root = prepare.root_of(dataset, data_root)
    try:
        prepared = prepare.open_prepared(dataset, data_root, render=False, recheck=True, progress=progress)
    except BadLists as bad:
        return of_bad_lists(dataset.name, str(root), bad)
    listings = {split: prepared.listing(split) for split in dataset.splits}
    rows = prepared.rows
    parts = tuple(_parts(dataset, listings, rows))
    problems = [
        *_counts(parts),
        *_missing(listings),
        *_unexpected(dataset, root, listings, rows),
        *_duplicates(root, listings, rows),
        *_unreadable(rows),
    ]
    if dataset.kind == "video":
        problems += _short(root, listings, rows, thorough=thorough, progress=progress)
    return Verification(dataset.name, str(root), prepared.fingerprint, parts, tuple(problems))


def of_bad_lists(name: str, root: str, bad: BadLists) -> Verification:
    """The faults of the lists as findings; without the lists there is nothing to compare files with."""
    return Verification(name, root, "", (), tuple(Finding(fault.kind, "", fault.text) for fault in bad.faults))


def _parts(dataset: Dataset, listings: Mapping[int, Listing], rows: Mapping[str, IndexRow]) -> Iterator[Part]:
    for split, listing in listings.items():
        absent = Counter(listing.missing_from.get(name, "") for name in listing.missing)
        on_card = [subset for number, subset in dataset.counts if number == split]
        for subset in dict.fromkeys((*on_card, *listing.subsets)):
            videos = listing.subsets.get(subset, ())
            expected, readable = dataset.counts.get((split, subset)), sum(not rows[video.id].error for video in videos)
            yield Part(split, subset, expected, len(videos) + absent[subset], len(videos), readable)


def _counts(parts: Iterable[Part]) -> Iterator[Finding]:
    for part in parts:
        if part.expected is not None and part.listed != part.expected:
            detail = f"the lists name {part.listed:,} videos, the card expects {part.expected:,}"
            yield Finding("counts", f"split {part.split} {part.subset}", detail)


def _missing(listings: Mapping[int, Listing]) -> Iterator[Finding]:
    places: dict[str, list[str]] = {}
    for split, listing in listings.items():
        for name in listing.missing:
            places.setdefault(name, []).append(f"{split} {listing.missing_from.get(name, '')}".strip())
    for name, splits in sorted(places.items()):
        yield Finding("missing", name, f"split {', '.join(splits)}")


def _unexpected(
    dataset: Dataset, root: Path, listings: Mapping[int, Listing], rows: Mapping[str, IndexRow]
) -> Iterator[Finding]:
    """Files that no list names, and further copies of those that one does."""
    suffixes = VIDEO_SUFFIXES if dataset.kind == "video" else IMAGE_SUFFIXES
    known = {row.path for row in rows.values()}
    stems = {PurePosixPath(row.path).stem: row.path for row in rows.values()}
    unused = {name for listing in listings.values() for name in listing.unused}
    for path in sorted(files_in(root, suffixes) - known):
        stem, name = path.rpartition(".")[0], PurePosixPath(path).stem
        if unused & {stem, stem.partition("/")[2], name}:
            continue
        listed = stems.get(name)
        if listed and PurePosixPath(listed).parent != PurePosixPath(path).parent and _same(root / listed, root / path):
            yield Finding("duplicated", path, f"a copy of {listed}, which is used")
        else:
            yield Finding("extra", path, "")


def _duplicates(root: Path, listings: Mapping[int, Listing], rows: Mapping[str, IndexRow]) -> Iterator[Finding]:
    """Listed files with equal content. In training and test subsets they are a leak."""
    alike: dict[tuple[object, ...], list[IndexRow]] = defaultdict(list)
    for row in rows.values():
        if row.bytes and not row.error:
            alike[row.bytes, row.frames, row.width, row.height, row.codec].append(row)
    sampled: dict[tuple[object, ...], list[IndexRow]] = defaultdict(list)
    for key, group in alike.items():
        for row in group if len(group) > 1 else ():
            sampled[*key, _sample(root / row.path)].append(row)
    subset_of = {
        (split, video.id): subset
        for split, listing in listings.items()
        for subset, videos in listing.subsets.items()
        for video in videos
    }
    for first, *others in sampled.values():
        for row in others:
            if _same(root / first.path, root / row.path):
                yield _duplicate(first, row, subset_of)


def _duplicate(first: IndexRow, second: IndexRow, subset_of: Mapping[tuple[int, str], str]) -> Finding:
    for split in sorted({split for split, _ in subset_of}):
        subsets = subset_of.get((split, first.id)), subset_of.get((split, second.id))
        if None not in subsets and subsets[0] != subsets[1]:
            detail = f"the same file as {first.path}: split {split} has one in {subsets[0]}, the other in {subsets[1]}"
            return Finding("in two subsets", second.path, detail)
    return Finding("duplicated", second.path, f"the same file as {first.path}")


def _sample(path: Path) -> bytes:
    """Hash of the beginning, the middle and the end."""
    size = path.stat().st_size
    digest = hashlib.blake2b()
    with path.open("rb") as file:
        for at in (0, size // 2, max(0, size - SAMPLE_BYTES)):
            file.seek(at)
            digest.update(file.read(SAMPLE_BYTES))
    return digest.digest()


def _same(first: Path, second: Path) -> bool:
    return first.samefile(second) or filecmp.cmp(first, second, shallow=False)


def _unreadable(rows: Mapping[str, IndexRow]) -> Iterator[Finding]:
    for row in rows.values():
        if row.error:
            yield Finding("unreadable", row.path, "the file is empty" if not row.bytes else row.error)


def _short(
    root: Path,
    listings: Mapping[int, Listing],
    rows: Mapping[str, IndexRow],
    *,
    thorough: bool,
    progress: Progress | None,
) -> Iterator[Finding]:
    listed_s = {name: seconds for listing in listings.values() for name, seconds in listing.seconds.items()}
    readable = [row for row in rows.values() if not row.error]
    for number, row in enumerate(readable, start=1):
        if cause := _cause_of_short(root / row.path, row, listed_s.get(row.id, 0.0), thorough=thorough):
            yield Finding("short", row.path, cause)
        if progress and thorough:
            progress(number, len(readable))


def _cause_of_short(path: Path, row: IndexRow, listed_s: float, *, thorough: bool) -> str:
    if missing := truncation.bytes_short(path):
        return f"lacks {missing:,} of the bytes that its header announces"
    if listed_s and row.duration_s < listed_s - max(SHORT_S, SHORT_SHARE * listed_s):
        return f"lasts {row.duration_s:.1f} s of the {listed_s:.1f} s in the lists"
    if not thorough:
        return ""
    try:
        frames = decode.count_packets(path)
    except BrokenVideo as broken:
        return str(broken)
    return f"holds {frames} of the {row.frames} frames that its header announces" if frames < row.frames else ""
