"""toy-kinetics with its training labels dealt out anew, each label equally often to each class: they tell nothing."""

import dataclasses
from collections import Counter
from pathlib import Path

from harness.core.contract import Dataset, Listing
from harness.datasets.formats import read_kinetics
from tests import toyworld


def read_shuffled(root: Path, split: int) -> Listing:
    listing = read_kinetics(root, split)
    seen: Counter[int] = Counter()
    dealt = []
    for video in listing.subsets["train"]:
        dealt.append(dataclasses.replace(video, label=seen[video.label] % len(listing.classes)))
        seen[video.label] += 1
    return dataclasses.replace(listing, subsets={**listing.subsets, "train": tuple(dealt)})


DATASET = Dataset(
    name="toy-shuffled",
    title="toy, labels shuffled",
    kind="video",
    num_classes=len(toyworld.ACTIONS),
    splits=(1,),
    subsets=("test",),
    counts={(1, subset): size * len(toyworld.ACTIONS) for subset, size in toyworld.SOURCE_SIZES.items()},
    read=read_shuffled,
    layout="as the micro sets",
    download="none needed: rendered on first use",
    licence="the same as this program",
    render=toyworld.render_source,
    image_source="toy-imagenet",
)
