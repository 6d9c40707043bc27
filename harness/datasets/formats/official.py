"""UCF-101's and HMDB-51's folders and lists."""

from __future__ import annotations

from pathlib import Path

from harness.core.contract import Listing
from harness.core.errors import BadLists, Fault
from harness.datasets.formats.annotations import hmdb_class, hmdb_flags, hmdb_group, ucf_classes, ucf_group, ucf_list
from harness.datasets.formats.listing import (
    VIDEO_SUFFIXES,
    Listed,
    below,
    files_in,
    find_folder,
    listing_of,
    read_text,
    stem_of,
)

# The archives' own folder first; then what people make of it.
UCF_LISTS, UCF_VIDEOS = ("ucfTrainTestlist", "."), ("UCF-101", "UCF101", "videos", ".")
HMDB_LISTS = ("testTrainMulti_7030_splits", "test_train_splits", ".")
HMDB_VIDEOS = ("hmdb51_org", "videos", ".")


def read_ucf(root: Path, split: int, *, remedy: str = "") -> Listing:
    """`UCF-101/<Class>/*.avi` and `ucfTrainTestlist/*.txt` -> Listing. Ids are the lists' lines without '.avi'."""
    lists = find_folder(root, UCF_LISTS, "classInd.txt", remedy, lambda name: name == "classInd.txt")
    classes = ucf_classes(read_text(lists / "classInd.txt", remedy), name="classInd.txt")
    videos = find_folder(root, UCF_VIDEOS, f"the class folder '{classes[0]}'", remedy, classes.__contains__)
    found = files_in(videos, VIDEO_SUFFIXES)
    listed: list[Listed] = []
    faults: list[Fault] = []
    for subset in ("train", "test"):
        name = f"{subset}list{split:02d}.txt"
        try:
            lines = ucf_list(read_text(lists / name, remedy), classes, subset=subset, name=name)
        except BadLists as bad:
            faults += bad.faults
            continue
        for line in lines:
            path = below(root, videos, line.path) if line.path in found else None
            listed.append(Listed(stem_of(line.path), subset, int(line.label or 0), ucf_group(line.path), path))
    if faults:
        raise BadLists(faults)
    return listing_of(root, classes, listed, remedy=remedy)


def read_hmdb(root: Path, split: int, *, remedy: str = "") -> Listing:
    """`<class>/*.avi` and `testTrainMulti_7030_splits/<class>_test_splitN.txt` -> Listing.

    Classes in alphabetical order, as there is no index file. Ids are '<class>/<file without .avi>'. Clips with flag 0
    belong to no subset.
    """
    lists = find_folder(
        root,
        HMDB_LISTS,
        f"brush_hair_test_split{split}.txt or the like",
        remedy,
        lambda name: bool(hmdb_class(name, split)),
    )
    files = {cls: path for path in lists.iterdir() if (cls := hmdb_class(path.name, split))}
    classes = tuple(sorted(files))
    videos = find_folder(root, HMDB_VIDEOS, f"the class folder '{classes[0]}'", remedy, files.__contains__)
    found = files_in(videos, VIDEO_SUFFIXES)
    listed: list[Listed] = []
    faults: list[Fault] = []
    for label, cls in enumerate(classes):
        try:
            lines = hmdb_flags(read_text(files[cls], remedy), name=files[cls].name)
        except BadLists as bad:
            faults += bad.faults
            continue
        for line in lines:
            inner = f"{cls}/{line.path}"
            path = below(root, videos, inner) if inner in found else None
            listed.append(Listed(stem_of(inner), line.subset, label, hmdb_group(cls, inner), path))
    if faults:
        raise BadLists(faults)
    return listing_of(root, classes, listed, remedy=remedy)
