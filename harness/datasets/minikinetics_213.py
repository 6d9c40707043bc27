"""minikinetics-213: what the paper's first version trained on: 213 classes, 120,000 videos of Kinetics-400.

    harness run --dataset minikinetics-213:my-classes.txt       the classes of a list, one name per line
    harness run --dataset minikinetics-213                      a choice by the paper's counts: not comparable

The paper gives counts and no lists: 150 to 1,000 training, 25 validation and 75 test videos per class. Not the same as
minikinetics-200, which most later work means by the name.
"""

from __future__ import annotations

import dataclasses
import functools

from harness.core.contract import Dataset
from harness.core.errors import HarnessError
from harness.core.workspace import given
from harness.datasets.formats import read_213
from harness.datasets.formats.minikinetics import CLASSES, SCORED, TRAIN_TOTAL

_WHERE = (
    "It is a part of Kinetics-400: get that into the folder kinetics400 (see `harness ls datasets kinetics400`). The paper's "
    "list of 213 classes was never published. If you have one, as a text file of class names, use minikinetics-213:FILE."
)
_COUNTS = {(1, subset): size * CLASSES for subset, size in SCORED.items()}


def _at(argument: str) -> Dataset:
    """The card for a list of classes. Raises HarnessError where there is no such file."""
    path = given(argument, flag="--dataset minikinetics-213:")
    if not argument or not path.is_file():
        raise HarnessError(f"no class list at '{path}'; give a text file with {CLASSES} class names, one per line")
    return dataclasses.replace(
        DATASET,
        name=f"minikinetics-213:{path}",
        title=f"miniKinetics-213 (classes of {path.name})",
        read=functools.partial(read_213, class_file=str(path), remedy=_WHERE),
        counts=_COUNTS,
        caveat="which videos of these classes the paper took is not known",
        at=None,
    )


DATASET = Dataset(
    name="minikinetics-213",
    title="miniKinetics-213 (our choice of classes)",
    kind="video",
    num_classes=CLASSES,
    splits=(1,),
    subsets=("test", "val"),
    counts={**_COUNTS, (1, "train"): TRAIN_TOTAL},
    read=functools.partial(read_213, remedy=_WHERE),
    layout="the files of Kinetics-400; `harness ls datasets kinetics400` shows their layout",
    download=_WHERE,
    licence="as Kinetics-400: annotations CC BY 4.0; the videos are their uploaders'",
    folder="kinetics400",
    at=_at,
    caveat="our choice of 213 classes, not the paper's: not comparable with its miniKinetics numbers",
    notes=(
        "The paper's lists were never published; without a list of its classes, these are others.",
        "Thinned class by class, the training set has the paper's 98,700 videos to within rounding.",
        "Not the same as minikinetics-200.",
    ),
)
