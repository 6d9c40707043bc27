"""Pictures in ImageNet's layout."""

from __future__ import annotations

from pathlib import Path

from harness.core.contract import Listing
from harness.core.errors import HarnessError
from harness.datasets.formats.listing import PICTURE_SUFFIXES, Listed, files_in, find_folder, listing_of, stem_of


def read_images(root: Path, split: int, *, remedy: str = "") -> Listing:
    """`train/<class>/*` and `val/<class>/*` pictures (ImageNet's layout) -> Listing, classes in alphabetical order."""
    found = {}
    for subset in ("train", "val"):
        folder = find_folder(root, (subset,), "a folder a class, with pictures", remedy, lambda name: True)
        found[subset] = files_in(folder, PICTURE_SUFFIXES)
    classes = tuple(sorted({path.split("/")[0] for path in found["train"] if "/" in path}))
    listed = []
    for subset, paths in found.items():
        for path in sorted(path for path in paths if "/" in path):
            cls = path.split("/")[0]
            if cls not in classes:
                raise HarnessError(f"'{root / subset}' has pictures of the class '{cls}', which 'train' does not have.")
            listed.append(Listed(stem_of(f"{subset}/{path}"), subset, classes.index(cls), "", f"{subset}/{path}"))
    return listing_of(root, classes, listed, remedy=remedy)
