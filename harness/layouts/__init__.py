"""The folders of data sets on disk, as (root, split) -> Listing. One code reads official and embedded data sets.

A Listing holds what is there; what the lists name and the disk does not have is named in `Listing.missing`. Lists that
contradict themselves raise BadLists. A root without the annotation files, or without a single video, raises
DataMissing, which ends in `remedy`: where to get the data.
"""

from harness.layouts.kinetics import read_kinetics
from harness.layouts.minikinetics import read_200, read_213
from harness.layouts.official import read_hmdb, read_ucf
from harness.layouts.own import read_own
from harness.layouts.stills import read_stills

__all__ = ["read_200", "read_213", "read_hmdb", "read_kinetics", "read_own", "read_stills", "read_ucf"]
