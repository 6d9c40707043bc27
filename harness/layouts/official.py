"""The folders of data sets on disk, as (root, split) -> Listing. One code reads official and embedded data sets.

A Listing holds what is there; what the lists name and the disk does not have is named in `Listing.missing`. Lists that
contradict themselves raise HarnessError. A root without the annotation files, or without a single video, raises
DataMissing, which ends in `remedy`: where to get the data.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.annotations import (
    AGAIN,
    KineticsRow,
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
SUBSETS = ("train", "val", "test")
# The archives' own folder first; then what people make of it.
UCF_LISTS, UCF_VIDEOS = ("ucfTrainTestlist", "."), ("UCF-101", "UCF101", "videos", ".")
HMDB_LISTS = ("testTrainMulti_7030_splits", "test_train_splits", ".")
HMDB_VIDEOS = ("hmdb51_org", "videos", ".")
KINETICS_LISTS = {"train": ("train.csv",), "val": ("val.csv", "validate.csv"), "test": ("test.csv",)}


@dataclass(frozen=True)
class _Listed:
    """A video that a list names, found or not."""

    id: str
    subset: str
    label: int
    group: str
    path: str | None
    """Below the root; None: not on disk."""


def read_ucf(root: Path, split: int, *, remedy: str = "") -> Listing:
    """`UCF-101/<Class>/*.avi` and `ucfTrainTestlist/*.txt` -> Listing. Ids are the lists' lines without '.avi'."""
    lists = _folder(root, UCF_LISTS, "classInd.txt", remedy, lambda name: name == "classInd.txt")
    classes = ucf_classes(_text(lists / "classInd.txt", remedy), name="classInd.txt")
    videos = _folder(root, UCF_VIDEOS, f"the class folder '{classes[0]}'", remedy, classes.__contains__)
    found = _files(videos, VIDEO_SUFFIXES)
    listed = []
    for subset in ("train", "test"):
        name = f"{subset}list{split:02d}.txt"
        for line in ucf_list(_text(lists / name, remedy), classes, subset=subset, name=name):
            path = _below(root, videos, line.path) if line.path in found else None
            listed.append(_Listed(_stem(line.path), subset, int(line.label or 0), ucf_group(line.path), path))
    return _listing(root, classes, listed, remedy=remedy)


def read_hmdb(root: Path, split: int, *, remedy: str = "") -> Listing:
    """`<class>/*.avi` and `testTrainMulti_7030_splits/<class>_test_splitN.txt` -> Listing.

    Classes in alphabetical order, as there is no index file. Ids are '<class>/<file without .avi>'. Clips with flag 0
    belong to no subset.
    """
    lists = _folder(
        root,
        HMDB_LISTS,
        f"brush_hair_test_split{split}.txt or the like",
        remedy,
        lambda name: bool(hmdb_class(name, split)),
    )
    files = {cls: path for path in lists.iterdir() if (cls := hmdb_class(path.name, split))}
    classes = tuple(sorted(files))
    videos = _folder(root, HMDB_VIDEOS, f"the class folder '{classes[0]}'", remedy, files.__contains__)
    found = _files(videos, VIDEO_SUFFIXES)
    listed = []
    for label, cls in enumerate(classes):
        for line in hmdb_flags(_text(files[cls], remedy), name=files[cls].name):
            if line.subset != "unused":
                inner = f"{cls}/{line.path}"
                path = _below(root, videos, inner) if inner in found else None
                listed.append(_Listed(_stem(inner), line.subset, label, hmdb_group(cls, inner), path))
    return _listing(root, classes, listed, remedy=remedy)


def read_kinetics(root: Path, split: int, *, remedy: str = "") -> Listing:
    """`train.csv`, `val.csv` (or `validate.csv`), `test.csv`, and clips `<id>_<start>_<end>.mp4` -> Listing.

    Clips may lie anywhere below the root: in class folders with spaces or underscores, below a folder a subset, or
    flat. Ids are their names without suffix, wherever they lie. There is one split. A list that is absent, or has no
    labels (the test list as first published), gives no subset.
    """
    rows = {subset: _kinetics_rows(root, subset, remedy) for subset in KINETICS_LISTS}
    rows = {subset: those for subset, those in rows.items() if those}
    if "train" not in rows or len(rows) < 2:
        raise _absent(root, "train.csv, and val.csv or test.csv with labels", remedy)
    classes = tuple(sorted({str(row.label) for row in rows["train"]}))
    label_of = {cls: label for label, cls in enumerate(classes)}
    found = _paths_by_stem(root)
    listed = []
    for subset, those in rows.items():
        for row in those:
            label = str(row.label)
            if label not in label_of:
                raise HarnessError(
                    f"the {subset} list in '{root}' has the class '{label}', and train.csv has not. {AGAIN}"
                )
            path = _nearest(found.get(row.stem, ()), subset, label)
            listed.append(_Listed(row.stem, subset, label_of[label], row.youtube_id, path))
    return _listing(root, classes, listed, remedy=remedy)


def read_stills(root: Path, split: int, *, remedy: str = "") -> Listing:
    """`train/<class>/*` and `val/<class>/*` pictures (ImageNet's layout) -> Listing, classes in alphabetical order."""
    found = {}
    for subset in ("train", "val"):
        folder = _folder(root, (subset,), "a folder a class, with pictures", remedy, lambda name: True)
        found[subset] = _files(folder, PICTURE_SUFFIXES)
    classes = tuple(sorted({path.split("/")[0] for path in found["train"] if "/" in path}))
    listed = []
    for subset, paths in found.items():
        for path in sorted(path for path in paths if "/" in path):
            cls = path.split("/")[0]
            if cls not in classes:
                raise HarnessError(f"'{root / subset}' has pictures of the class '{cls}', which 'train' does not have.")
            listed.append(_Listed(_stem(f"{subset}/{path}"), subset, classes.index(cls), "", f"{subset}/{path}"))
    return _listing(root, classes, listed, remedy=remedy)


# -------------------------------------------------------------------------------------------------- shared


def _listing(root: Path, classes: Sequence[str], listed: Sequence[_Listed], *, remedy: str) -> Listing:
    """The Listing, if no id is listed twice, every class has something to learn from and one file at least is there."""
    subset_of: dict[str, str] = {}
    for video in listed:
        before = subset_of.setdefault(video.id, "")
        if before:
            raise HarnessError(f"'{video.id}' below '{root}' is in {before} and again in {video.subset}. {AGAIN}")
        subset_of[video.id] = video.subset
    trained = {video.label for video in listed if video.subset == "train"}
    empty = [cls for label, cls in enumerate(classes) if label not in trained]
    if empty:
        raise HarnessError(f"no training video of the class '{empty[0]}' is listed below '{root}'. {AGAIN}")
    missing = tuple(video.id for video in listed if video.path is None)
    if len(missing) == len(subset_of):
        raise _absent(root, f"any of the {len(missing)} listed videos (the first: '{missing[0]}')", remedy)
    subsets: dict[str, list[Video]] = {subset: [] for subset in sorted(set(subset_of.values()), key=SUBSETS.index)}
    for video in listed:
        if video.path is not None:
            subsets[video.subset].append(Video(id=video.id, path=video.path, label=video.label, group=video.group))
    return Listing(tuple(classes), {subset: tuple(those) for subset, those in subsets.items()}, missing)


def _absent(root: Path, what: str, remedy: str) -> DataMissing:
    return DataMissing(f"looked in '{root}' for {what}, and it is not there. {remedy}".rstrip())


def _folder(root: Path, names: Sequence[str], what: str, remedy: str, has: Callable[[str], bool]) -> Path:
    """The first of these folders of the root with an entry that `has` takes; `what` says in words which."""
    for folder in (root / name for name in names):
        if folder.is_dir() and any(has(entry.name) for entry in folder.iterdir()):
            return folder
    raise _absent(root, f"{what} in the folder '{names[0]}'", remedy)


def _text(path: Path, remedy: str) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError as cause:
        raise _absent(path.parent, f"'{path.name}'", remedy) from cause
    except UnicodeDecodeError as cause:
        raise HarnessError(f"'{path}' is not UTF-8 text (byte {cause.start}). {AGAIN}") from cause


def _files(folder: Path, suffixes: Sequence[str]) -> set[str]:
    """Paths below the folder, with '/', of the files with one of the suffixes. Links are followed, loops are not."""
    found: set[str] = set()
    visited: set[Path] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        visited.add(Path(parent).resolve())
        folders[:] = [name for name in folders if (Path(parent) / name).resolve() not in visited]
        below = "" if parent == str(folder) else Path(parent).relative_to(folder).as_posix() + "/"
        found.update(below + name for name in names if name.lower().endswith(tuple(suffixes)))
    return found


def _paths_by_stem(root: Path) -> Mapping[str, list[str]]:
    by_stem: dict[str, list[str]] = {}
    for path in sorted(_files(root, VIDEO_SUFFIXES)):
        by_stem.setdefault(PurePosixPath(path).stem, []).append(path)
    return by_stem


def _nearest(paths: Sequence[str], subset: str, label: str) -> str | None:
    """Of several copies of a clip, the one in the folders of its subset and class; None if there is none."""
    wanted = {subset, label, label.replace(" ", "_")}
    return max(paths, key=lambda path: len(wanted & set(path.split("/")[:-1])), default=None)


def _kinetics_rows(root: Path, subset: str, remedy: str) -> tuple[KineticsRow, ...]:
    """The rows of a subset's list; () where there is no such list, or it has no labels."""
    for folder in (root, root / "annotations"):
        for name in KINETICS_LISTS[subset]:
            if (folder / name).is_file():
                rows = kinetics_csv(_text(folder / name, remedy), name=name)
                unlabelled = [row for row in rows if row.label is None]
                if unlabelled and len(unlabelled) < len(rows):
                    raise HarnessError(f"{name} gives '{unlabelled[0].stem}' no label, and others one. {AGAIN}")
                return () if unlabelled else rows
    return ()


def _below(root: Path, folder: Path, inner: str) -> str:
    return (folder.relative_to(root) / inner).as_posix()


def _stem(path: str) -> str:
    """The path without its last suffix (names of HMDB-51 have dots, brackets and more)."""
    return path.rpartition(".")[0]
