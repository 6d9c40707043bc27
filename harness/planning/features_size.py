"""Size of the features of a frozen network, and whether they are stored or computed when they are needed."""

from __future__ import annotations

from collections.abc import Mapping

from harness.core import job_specs, registry

LARGEST = 50e9
"""Bytes of the largest features that are stored by default."""
NUMBERS_A_VIEW = 1024 * 7
"""Inception-v1 has 1024 channels, I3D seven positions for 64 frames."""


def features_bytes(spec: job_specs.FeaturesSpec) -> float:
    """Estimated size of the features of all views of all videos, in bytes."""
    clip = spec.test_clip
    views = spec.train_views + (1 if clip.dense else clip.count * clip.crops)
    return videos_of(spec) * views * NUMBERS_A_VIEW * spec.scale.width * 4


def computed(spec: job_specs.FeaturesSpec, choice: str) -> bool:
    """Whether features are computed when they are needed, by the choice `Scale.features`."""
    return choice == "computed" or (choice == "auto" and features_bytes(spec) > LARGEST)


def counts_of(spec: job_specs.JobSpec) -> Mapping[tuple[int, str], int]:
    """(split, subset) -> number of videos, by the card of the job's data set and `--limit`."""
    counts: Mapping[tuple[int, str], int] = registry.load("dataset", spec.dataset.name).counts
    return {key: min(count, spec.dataset.limit or count) for key, count in counts.items()}


def videos_of(spec: job_specs.FilesSpec | job_specs.FeaturesSpec) -> int:
    """Number of videos of the job's split and subset; of the whole data set, split 1, if it has none."""
    counts = counts_of(spec)
    split, subset = (spec.split, spec.subset) if isinstance(spec, job_specs.FilesSpec) else (None, None)
    parts = {"train", subset} if split is not None else {name for _, name in counts}
    return sum(n for (of, name), n in counts.items() if of == (split or 1) and name in parts)
