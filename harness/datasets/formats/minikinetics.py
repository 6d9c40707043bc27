"""miniKinetics: a part of the videos of Kinetics-400, read in Kinetics-400's own folder."""

from __future__ import annotations

import functools
from pathlib import Path

from harness.core.contract import Listing
from harness.datasets.formats.custom_lists import class_names
from harness.datasets.formats.kinetics import Rows, read_kinetics
from harness.datasets.formats.listing import absent, read_text
from harness.datasets.formats.minikinetics_lists import by_ids, chosen, given, listed_ids

ID_LISTS = {"train": "train_ytid_list.txt", "val": "val_ytid_list.txt"}
ID_FOLDERS = ("minikinetics-200", "Mini-Kinetics-200", ".")


def read_213(root: Path, split: int, *, class_file: str = "", remedy: str = "") -> Listing:
    """The 213 classes that `class_file` names, one a line; without one, a choice by the paper's counts. See
    `harness.datasets.formats.minikinetics_lists`."""
    if not class_file:
        return read_kinetics(root, split, remedy=remedy, choose=lambda _, rows: chosen(rows))
    file = Path(class_file)
    classes = class_names(read_text(file, "Give a text file with the 213 class names, one a line."))
    return read_kinetics(root, split, remedy=remedy, choose=lambda _, rows: given(rows, classes, name=file.name))


def read_200(root: Path, split: int, *, remedy: str = "") -> Listing:
    """The videos of `train_ytid_list.txt` and `val_ytid_list.txt`, which lie in `minikinetics-200/` or beside the lists
    of Kinetics-400."""
    return read_kinetics(root, split, remedy=remedy, choose=functools.partial(_by_id_lists, remedy))


def _by_id_lists(remedy: str, root: Path, rows: Rows) -> Rows:
    for folder in (root / name for name in ID_FOLDERS):
        if all((folder / name).is_file() for name in ID_LISTS.values()):
            ids = {subset: listed_ids(read_text(folder / name, remedy), name=name) for subset, name in ID_LISTS.items()}
            return by_ids(rows, ids, name="minikinetics-200")
    raise absent(root, f"{ID_LISTS['train']} and {ID_LISTS['val']} in the folder '{ID_FOLDERS[0]}'", remedy)
