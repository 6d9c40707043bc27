"""The folders of data sets on disk, as (root, split) -> Listing. Official and embedded data sets are read by the same code.

A Listing holds what is there; what the lists name and the disk does not have is named in `Listing.missing`.
Everything that cannot be trusted raises HarnessError; a root without the annotation files raises DataMissing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from harness.annotations import (
    KineticsRow,
    Line,
    hmdb_class,
    hmdb_flags,
    hmdb_group,
    kinetics_csv,
    ucf_classes,
    ucf_group,
    ucf_list,
)
from harness.contract import Listing, Video
from harness.errors import DataMissing, HarnessError

VIDEO_SUFFIXES = (".avi", ".mp4", ".mkv", ".webm", ".mov", ".mpg", ".mpeg", ".m4v", ".flv", ".wmv", ".3gp")
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
KINETICS_LISTS = {"train": ("train.csv",), "val": ("val.csv", "validate.csv"), "test": ("test.csv",)}


def read_ucf(root: Path, split: int) -> Listing:
    """`UCF-101/<Class>/*.avi` and `ucfTrainTestlist/*.txt` -> Listing. Ids are the list's lines without '.avi'."""
    lists = _folder(root, "ucfTrainTestlist", wants="classInd.txt", alternatives=(".",))
    videos = _folder(root, "UCF-101", alternatives=("UCF101", "videos", "."))
    classes = ucf_classes(_text(lists / "classInd.txt"), name="classInd.txt")
    listed: dict[str, list[Line]] = {}
    for subset in ("train", "test"):
        name = f"{subset}list{split:02d}.txt"
        listed[subset] = list(ucf_list(_text(lists / name), classes, subset=subset, name=name))
    found = _files(videos, VIDEO_SUFFIXES)
    prefix = _prefix(root, videos)
    subsets, missing = {}, []
    for subset, lines in listed.items():
        there = [line for line in lines if line.path in found]
        missing += [_stem(line.path) for line in lines if line.path not in found]
        subsets[subset] = tuple(_video(prefix, line.path, int(line.label or 0), ucf_group(line.path)) for line in there)
    return _checked(root, Listing(classes=classes, subsets=subsets, missing=tuple(missing)))


def read_hmdb(root: Path, split: int) -> Listing:
    """`<class>/*.avi` and `testTrainMulti_7030_splits/<class>_test_splitN.txt` -> Listing. Classes in alphabetical order,
    as there is no index file. Ids are '<class>/<file without .avi>'. Clips with flag 0 belong to no subset."""
    lists = _folder(root, "testTrainMulti_7030_splits", alternatives=("test_train_splits", "splits", "."), wants=f"*_test_split{split}.txt")
    names = {cls: path for path in sorted(lists.iterdir()) if (cls := hmdb_class(path.name, split))}
    classes = tuple(sorted(names))
    videos = _folder(root, "hmdb51_org", alternatives=("videos", "."), wants=classes[0])
    found = _files(videos, VIDEO_SUFFIXES)
    prefix = _prefix(root, videos)
    subsets: dict[str, list[Video]] = {"train": [], "test": []}
    missing: list[str] = []
    for label, cls in enumerate(classes):
        for line in hmdb_flags(_text(names[cls]), name=names[cls].name):
            path = f"{cls}/{line.path}"
            if line.subset == "unused":
                continue
            if path in found:
                subsets[line.subset].append(_video(prefix, path, label, hmdb_group(cls, path)))
            else:
                missing.append(_stem(path))
    return _checked(root, Listing(classes, {name: tuple(those) for name, those in subsets.items()}, tuple(missing)))


def read_kinetics(root: Path, split: int) -> Listing:
    """`train.csv`, `val.csv` (or `validate.csv`), `test.csv`, and clips `<id>_<start>_<end>.mp4` anywhere below the root:
    in class folders with spaces or underscores, below a folder a subset, or flat. Ids are the clips' names without suffix.

    A list that is absent, or has no labels (the test list as first published), gives no subset.
    """
    del split  # there is one
    rows: dict[str, tuple[KineticsRow, ...]] = {}
    for subset, names in KINETICS_LISTS.items():
        path = next((base / name for name in names for base in (root, root / "annotations") if (base / name).is_file()), None)
        if path is not None:
            those = kinetics_csv(_text(path), name=path.name)
            if all(row.label for row in those):
                rows[subset] = those
            elif any(row.label for row in those):
                raise HarnessError(f"{path.name} gives some videos a label and others none. Fetch it again.")
    if "train" not in rows or len(rows) < 2:
        raise DataMissing(f"looked for train.csv, and val.csv or test.csv with labels, in '{root}'; found {sorted(rows) or 'none'}.")
    classes = tuple(sorted({str(row.label) for row in rows["train"]}))
    label_of = {cls: label for label, cls in enumerate(classes)}
    found = _clips_by_stem(root)
    subsets: dict[str, tuple[Video, ...]] = {}
    missing: list[str] = []
    for subset, those in rows.items():
        there: list[Video] = []
        for row in those:
            if row.label not in label_of:
                raise HarnessError(f"the {subset} list names the class '{row.label}', which train.csv does not have.")
            paths = found.get(row.stem)
            if paths:
                there.append(Video(row.stem, _nearest(paths, subset, str(row.label)), label_of[row.label], row.youtube_id))
            else:
                missing.append(row.stem)
        subsets[subset] = tuple(there)
    return _checked(root, Listing(classes=classes, subsets=subsets, missing=tuple(missing)))


def read_stills(root: Path, split: int) -> Listing:
    """`train/<class>/*` and `val/<class>/*` pictures (ImageNet's own layout) -> Listing. Classes in alphabetical order."""
    del split
    for subset in ("train", "val"):
        if not (root / subset).is_dir():
            raise DataMissing(f"looked for the folders 'train/<class>' and 'val/<class>' in '{root}'; there is no '{subset}'.")
    classes = tuple(sorted(entry.name for entry in (root / "train").iterdir() if entry.is_dir()))
    subsets: dict[str, tuple[Video, ...]] = {}
    for subset in ("train", "val"):
        found = sorted(_files(root / subset, PICTURE_SUFFIXES))
        strangers = sorted({path.split("/")[0] for path in found} - set(classes))
        if strangers:
            raise HarnessError(f"'{root / subset}' has the class folder '{strangers[0]}', which 'train' does not have.")
        subsets[subset] = tuple(_video(f"{subset}/", path, classes.index(path.split("/")[0]), "", keep_prefix=True) for path in found)
    return _checked(root, Listing(classes=classes, subsets=subsets))


# -------------------------------------------------------------------------------------------------- shared


def _checked(root: Path, listing: Listing) -> Listing:
    """The listing, if no id is in two subsets or twice in one, no group is on both sides, no class is empty, and
    at least one file is there."""
    side_of: dict[str, str] = {}
    for subset, videos in listing.subsets.items():
        for video in videos:
            if video.id in side_of:
                raise HarnessError(f"'{video.id}' below '{root}' is in {side_of[video.id]} and in {subset}. Fetch the official lists again.")
            side_of[video.id] = subset
    again = set(listing.missing) & set(side_of) or {i for i in listing.missing if listing.missing.count(i) > 1} if len(listing.missing) < 1000 else set()
    if again:
        raise HarnessError(f"'{sorted(again)[0]}' is listed twice below '{root}'. Fetch the official lists again.")
    if not side_of:
        raise DataMissing(f"the lists below '{root}' name {len(listing.missing)} videos, and not one of the files is there.")
    return listing
