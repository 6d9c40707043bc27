"""A data set on disk, ready to use: rendered if it is a micro data set, indexed and fingerprinted.

Everything derived is in DATA/.prepared/NAME and may be deleted at any time. Files there appear by rename, so that a
killed run leaves no incomplete file.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from harness.core.atomic import remove_if_stale, temporary_path, write_text
from harness.core.contract import Dataset, Listing, Video
from harness.core.errors import BrokenVideo, DataMissing, HarnessError
from harness.core.serialization import canonical
from harness.data import index
from harness.data.index import Index, IndexRow, Progress
from harness.data.splits import first_videos
from harness.datasets.formats import stored
from harness.video.sampling import timeline_frames

FINGERPRINT = "fingerprint.json"
FORMAT = 1
"""Raised when the index or the fingerprint changes its meaning."""
RENDERED = ".rendered.json"
LIST_SUFFIXES = (".txt", ".csv", ".json")


@dataclass(frozen=True)
class Prepared:
    """A data set whose files are all known. Opening one again reads a small JSON file and nothing else."""

    dataset: Dataset
    root: Path
    """The data set's own folder."""
    store: Path
    """Folder of everything derived from it."""
    fingerprint: str
    """Hash of the ids, labels and file sizes of all splits, of what is missing, and of the card's version."""
    limit: int = 0
    """Number of videos per subset in listings, the first by id; 0: all videos."""

    def listing(self, split: int) -> Listing:
        """The videos of one split, by the annotation files."""
        if split not in self._listings:
            known = stored.read_listing(self.store, split, self.fingerprint)
            listing = known or _read(self.dataset, self.root, split)
            self._listings[split] = first_videos(listing, self.limit) if self.limit else listing
        return self._listings[split]

    def path(self, video: Video) -> Path:
        return self.root / video.path

    def info(self, video: Video) -> IndexRow:
        """The facts in the header. Raises BrokenVideo where it cannot be read."""
        row = self.rows[video.id]
        if row.error:
            raise BrokenVideo(row.error)
        return row

    def num_frames(self, video: Video, fps: float | None = None) -> int:
        """Frames in the file, or on a timeline of `fps`; 1 for an image. Raises BrokenVideo."""
        row = self.info(video)
        if fps is None or self.dataset.kind == "images":
            return row.frames
        return timeline_frames(row.duration_s, fps)

    @cached_property
    def videos(self) -> tuple[Video, ...]:
        """Every video of any split, once, in the order of ids."""
        by_id = _by_id(self.listing(split) for split in self.dataset.splits)
        return tuple(by_id[video_id] for video_id in sorted(by_id))

    @cached_property
    def rows(self) -> Index:
        """id -> row of the index; rows of unreadable files have an `error`."""
        return index.load(self.store)

    def for_process(self) -> Prepared:
        """For another process: with the index, and without the card's functions, which may come from a plug-in file."""
        card = replace(self.dataset, read=None, render=None)  # type: ignore[arg-type]
        copy = replace(self, dataset=card)
        vars(copy)["rows"] = self.rows  # where `cached_property` looks first
        return copy

    @cached_property
    def _listings(self) -> dict[int, Listing]:
        return {}


def open_prepared(
    dataset: Dataset, data_root: Path, *, render: bool = True, recheck: bool = False, progress: Progress | None = None
) -> Prepared:
    """The data set under DATA_ROOT/NAME: rendered first if it is a micro data set and not there, indexed if the index is out of date.

    Opening it again unchanged takes milliseconds; `recheck` checks every file again, and reads the headers of those
    that changed. Raises DataMissing with the folder, the expected files and where to get them; HarnessError where nothing
    can be written.
    """
    root, store = _places(dataset, data_root)
    try:
        if dataset.render is not None and render:
            _render(dataset, root, progress)
        if not root.is_dir():
            raise not_there(dataset, root)
        fingerprint = None if recheck else expected_fingerprint(dataset, data_root)
        if fingerprint is None:
            store.mkdir(parents=True, exist_ok=True)
            fingerprint = _index(dataset, root, store, progress)
    except OSError as error:
        raise HarnessError(
            f"cannot prepare {dataset.name} under {data_root}: {error.strerror or error}"
            f"{f' ({error.filename})' if error.filename else ''}; free some space there, or name a folder that can be "
            "written with --data"
        ) from error
    return Prepared(dataset, root, store, fingerprint)


def expected_fingerprint(dataset: Dataset, data_root: Path) -> str | None:
    """The fingerprint, if the data set is there, indexed and untouched since; None otherwise. Reads no video."""
    root, store = _places(dataset, data_root)
    try:
        stored = json.loads((store / FINGERPRINT).read_text(encoding="utf-8"))
        unchanged = (_mark(root / name) == mark for name, mark in stored["signature"].items())
        fresh = stored["key"] == _key(dataset) and all(unchanged)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return str(stored["fingerprint"]) if fresh and (store / index.PARQUET).is_file() else None


def known_classes(dataset: Dataset, data_root: Path) -> tuple[str, ...]:
    """Class names known without rendering anything: all of them if the data set is on disk, else those in groups on its card."""
    root = root_of(dataset, data_root)
    if root.is_dir():
        return _read(dataset, root, dataset.splits[0]).classes
    return tuple(name for group in dataset.class_groups.values() for name in group)


def root_of(dataset: Dataset, data_root: Path) -> Path:
    """The data set's own folder, whether it exists or not."""
    return data_root / (dataset.folder or dataset.name)


def _places(dataset: Dataset, data_root: Path) -> tuple[Path, Path]:
    name = dataset.name
    if ":" in name:  # folder:/some/where: a readable name that is unique to the path
        name = f"{PurePosixPath(name).name}-{hashlib.sha256(name.encode(errors='surrogateescape')).hexdigest()[:8]}"
    return root_of(dataset, data_root), data_root / ".prepared" / name


def not_there(dataset: Dataset, root: Path, detail: str = "") -> DataMissing:
    """The error for a data set that is not on disk: its folder, the expected files, and where to get them."""
    remedy = "" if dataset.micro else " The micro data sets (micro-…, see `harness data list`) need no download."
    return DataMissing(
        f"{dataset.name} is not at {root}{f' ({detail})' if detail else ''}. Expected there:\n{dataset.layout.strip()}\n"
        f"Where to get it: {dataset.download.strip()} Licence: {dataset.licence}. --data names another folder.{remedy}"
    )


def _render(dataset: Dataset, root: Path, progress: Progress | None) -> None:
    """Render into a temporary folder, then rename it: the data set is there completely or not at all."""
    if root.exists() and _rendered_version(root) in (dataset.version, None):
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    for stale in root.parent.glob(".*.half"):
        remove_if_stale(stale)
    temporary = temporary_path(root)
    assert dataset.render is not None
    try:
        dataset.render(temporary, progress)
        (temporary / RENDERED).write_text(json.dumps({"version": dataset.version}), encoding="ascii")
        if root.exists() and _rendered_version(root) != dataset.version:
            shutil.rmtree(root)
        temporary.rename(root)
    except OSError:
        if _rendered_version(root) != dataset.version:  # unless another process was faster
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _rendered_version(root: Path) -> int | None:
    """Version of a rendered folder; None for any other, which must not be touched."""
    try:
        return int(json.loads((root / RENDERED).read_text(encoding="ascii"))["version"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _read(dataset: Dataset, root: Path, split: int) -> Listing:
    try:
        return dataset.read(root, split)
    except DataMissing as missing:
        if dataset.download in str(missing):
            raise
        raise not_there(dataset, root, str(missing)) from missing


def _index(dataset: Dataset, root: Path, store: Path, progress: Progress | None) -> str:
    # Marks are taken before anything is read, so that a change in between makes the index stale, not wrong.
    for stale in store.glob(".*.half"):
        remove_if_stale(stale)
    signature = _signature(root)
    listings = {split: _read(dataset, root, split) for split in dataset.splits}
    rows = index.build(_by_id(listings.values()), dataset, root, store, progress=progress)
    fingerprint = _fingerprint(dataset, listings, rows)
    for split, listing in listings.items():
        stored.write_listing(store, split, fingerprint, listing)
    content = {"key": _key(dataset), "fingerprint": fingerprint, "videos": len(rows), "signature": signature}
    write_text(store / FINGERPRINT, json.dumps(content, indent=1))
    return fingerprint


def _by_id(listings: Iterable[Listing]) -> dict[str, Video]:
    return {video.id: video for listing in listings for subset in listing.subsets.values() for video in subset}


def _key(dataset: Dataset) -> str:
    name = dataset.name.partition(":")[0]
    return canonical({"format": FORMAT, "name": name, "version": dataset.version, "splits": dataset.splits})


def _fingerprint(dataset: Dataset, listings: dict[int, Listing], rows: dict[str, IndexRow]) -> str:
    content = {
        "dataset": _key(dataset),
        "splits": [
            {
                "split": split,
                "classes": listing.classes,
                "subsets": {
                    name: [[video.id, video.label, rows[video.id].bytes] for video in part]
                    for name, part in listing.subsets.items()
                },
                "missing": sorted(listing.missing),
            }
            for split, listing in sorted(listings.items())
        ],
    }
    return hashlib.sha256(canonical(content).encode()).hexdigest()[:16]


def _signature(root: Path) -> dict[str, list[int]]:
    """Path below the root -> mark, for every folder (changes when files come, go or are renamed) and every list (when edited)."""
    marks: dict[str, list[int]] = {}
    for folder, _, files in os.walk(root, followlinks=True):
        lists = [Path(folder, name) for name in files if name.lower().endswith(LIST_SUFFIXES)]
        for path in (Path(folder), *lists):
            marks[path.relative_to(root).as_posix()] = _mark(path)
    return marks


def _mark(path: Path) -> list[int]:
    status = path.stat()
    return [0 if stat.S_ISDIR(status.st_mode) else status.st_size, status.st_mtime_ns]
