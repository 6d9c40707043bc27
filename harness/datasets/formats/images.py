"""Images in ImageNet's layout."""

from __future__ import annotations

from pathlib import Path

from harness.core.contract import Listing
from harness.core.errors import HarnessError
from harness.datasets.formats.listing import IMAGE_SUFFIXES, Listed, files_in, find_folder, listing_of, stem_of


def read_images(root: Path, split: int, *, remedy: str = "") -> Listing:
    """`train/<class>/*` and `val/<class>/*` images (ImageNet's layout) -> Listing, classes in alphabetical order."""
    paths = {}
    for subset in ("train", "val"):
        folder = find_folder(root, (subset,), "one folder per class, with images", remedy, lambda name: True)
        paths[subset] = files_in(folder, IMAGE_SUFFIXES)
    classes = tuple(sorted({path.split("/")[0] for path in paths["train"] if "/" in path}))
    listed = []
    for subset, files in paths.items():
        for path in sorted(path for path in files if "/" in path):
            cls = path.split("/")[0]
            if cls not in classes:
                raise HarnessError(f"'{root / subset}' has images of the class '{cls}', which 'train' does not have.")
            listed.append(Listed(stem_of(f"{subset}/{path}"), subset, classes.index(cls), "", f"{subset}/{path}"))
    return listing_of(root, classes, listed, remedy=remedy)
