"""Ways to break what is fed to a network, each a mistake that people make: what `harness check` must notice."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import pytest

from harness.data import loader, prepare


def blue_first(patch: pytest.MonkeyPatch) -> None:
    """OpenCV's order of channels."""
    honest = loader.to_network

    def swapped(*given):
        inputs = honest(*given)
        return {**inputs, "rgb": inputs["rgb"].flip(1)}

    patch.setattr(loader, "to_network", swapped)


def half_range(patch: pytest.MonkeyPatch) -> None:
    """[0, 1] where the network was trained on [-1, 1]."""
    honest = loader.to_network
    patch.setattr(loader, "to_network", lambda *given: {k: (v + 1) / 2 for k, v in honest(*given).items()})


def labels_from_one(patch: pytest.MonkeyPatch) -> None:
    """Labels counted from 1 taken for labels counted from 0."""
    honest = prepare._read

    def shifted(dataset, root, split):
        listing = honest(dataset, root, split)
        subsets = {
            name: tuple(dataclasses.replace(video, label=(video.label + 1) % dataset.num_classes) for video in videos)
            for name, videos in listing.subsets.items()
        }
        return dataclasses.replace(listing, subsets=subsets)

    patch.setattr(prepare, "_read", shifted)
    # A listing that was stored by the code before the fault has the right labels.
    patch.setattr(prepare.stored, "read_listing", lambda *given: None)


BREAKS: Mapping[str, Callable[[pytest.MonkeyPatch], None]] = {
    "BGR for RGB": blue_first,
    "value range": half_range,
    "label order": labels_from_one,
}
