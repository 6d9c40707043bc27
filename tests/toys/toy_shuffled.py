"""toy-kinetics with its training labels dealt out anew: nothing can be learned from it."""

import dataclasses
from pathlib import Path

import numpy as np

from harness.contract import Dataset, Listing
from harness.layouts import read_kinetics
from tests import toyworld


def read_shuffled(root: Path, split: int) -> Listing:
    listing = read_kinetics(root, split)
    train = listing.subsets["train"]
    labels = np.random.default_rng(0).permutation([video.label for video in train])
    dealt = tuple(dataclasses.replace(video, label=int(label)) for video, label in zip(train, labels, strict=True))
    return dataclasses.replace(listing, subsets={**listing.subsets, "train": dealt})


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
    where="rendered on the spot; nothing to download",
    licence="as this program",
    render=toyworld.render_source,
    image_source="toy-imagenet",
)
