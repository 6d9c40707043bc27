"""The folders of data sets on disk, as (root, split) -> Listing. One code reads official and embedded data sets.

A Listing holds what is there; what the lists name and the disk does not have is named in `Listing.missing`. Lists that
contradict themselves raise BadLists. A root without the annotation files, or without a single video, raises
DataMissing, which ends in `remedy`: where to get the data.
"""

from harness.datasets.formats.custom import read_own
from harness.datasets.formats.images import read_images
from harness.datasets.formats.kinetics import read_kinetics
from harness.datasets.formats.minikinetics import read_200, read_213
from harness.datasets.formats.official import read_hmdb, read_ucf

__all__ = ["read_200", "read_213", "read_hmdb", "read_images", "read_kinetics", "read_own", "read_ucf"]
