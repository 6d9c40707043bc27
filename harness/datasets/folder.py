"""folder: your own videos, `--dataset folder:/path`.

    harness run --dataset folder:/path --protocol full-ft --source kinetics400

The folder has `train/` and `test/` (or `val/`) with one folder per class, or lists: CSV files with a header, mmaction2's
or SlowFast's. The card is made on use: classes and counts are those of the lists.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

from harness.core.contract import Dataset, Listing
from harness.core.errors import HarnessError
from harness.core.workspace import given
from harness.datasets.formats import read_custom

_LAYOUT = (
    "train/<class>/*.mp4   test/<class>/*.mp4   (or val/)\n"
    "or lists: train.csv  test.csv   lines 'path label', or columns path,label\n"
    "or one list: any.csv   columns path,label,split"
)
_WHERE = "docs/tutorials/your-videos.md shows both; or name another folder or list: --dataset folder:/path/to/videos."


def _at(argument: str) -> Dataset:
    """The card of a folder, or of a list in one. Raises HarnessError where there is none or it cannot be read."""
    if not argument:
        raise HarnessError("'folder:' names no folder; use --dataset folder:/path/to/videos")
    path = given(argument, flag="--dataset folder:")
    if not path.exists():
        raise HarnessError(f"no folder and no list at '{path}'; use --dataset folder:/path/to/videos")
    return _card(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _card(path: Path, mtime_ns: int) -> Dataset:
    root = path if path.is_dir() else path.parent
    read = functools.partial(read_custom, list_file="" if path.is_dir() else path.name, remedy=_WHERE)
    listing = read(root, 1)
    if len(listing.classes) < 2:
        raise HarnessError(f"'{path}' has one class, '{listing.classes[0]}'; a classifier needs two")
    return dataclasses.replace(
        DATASET,
        name=f"folder:{path}",
        title=path.name,
        num_classes=len(listing.classes),
        subsets=tuple(subset for subset in ("test", "val") if subset in _counts(listing)),
        counts={(1, subset): size for subset, size in _counts(listing).items()},
        read=read,
        folder=str(root),
        at=None,
    )


def _counts(listing: Listing) -> dict[str, int]:
    return {subset: len(videos) + len(listing.missing_of(subset)) for subset, videos in listing.subsets.items()}


DATASET = Dataset(
    name="folder",
    title="your own videos",
    kind="video",
    source="kinetics400",
    num_classes=0,
    splits=(1,),
    subsets=("test", "val"),
    counts={},
    read=functools.partial(read_custom, remedy=_WHERE),
    layout=_LAYOUT,
    download=_WHERE,
    licence="yours",
    at=_at,
    notes=("Which videos were cut from one source is unknown: the held-out part is drawn without groups.",),
)
