"""Formats of data sets on disk, as (root, split) -> Listing. The same code reads official and micro data sets.

A Listing has the videos that are on disk; `Listing.missing` names those that are only in the lists. Lists that
contradict themselves raise BadLists. A root without the annotation files, or without a single video, raises
DataMissing, which ends in `remedy`: where to get the data.
"""

from harness.datasets.formats.custom import read_custom
from harness.datasets.formats.hmdb import read_hmdb
from harness.datasets.formats.images import read_images
from harness.datasets.formats.kinetics import read_kinetics
from harness.datasets.formats.minikinetics import read_200, read_213
from harness.datasets.formats.ucf import read_ucf

__all__ = ["read_200", "read_213", "read_custom", "read_hmdb", "read_images", "read_kinetics", "read_ucf"]
