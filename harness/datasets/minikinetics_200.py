"""minikinetics-200: 200 classes of Kinetics-400, 80,000 training and 5,000 validation videos (400 and 25 per class).

The lists of Xie et al., "Rethinking Spatiotemporal Feature Learning" (s9xie/Mini-Kinetics-200): YouTube ids, one per
line; labels are those of Kinetics-400. Not what the paper calls miniKinetics, which has 213 classes.
"""

from functools import partial

from harness.core.contract import Dataset
from harness.datasets.formats import read_200

_WHERE = (
    "It is a part of Kinetics-400: get that into the folder kinetics400 (see `harness ls datasets kinetics400`), then "
    "train_ytid_list.txt and val_ytid_list.txt from https://github.com/s9xie/Mini-Kinetics-200 into "
    "kinetics400/minikinetics-200."
)

DATASET = Dataset(
    name="minikinetics-200",
    title="Mini-Kinetics-200",
    kind="video",
    num_classes=200,
    splits=(1,),
    subsets=("val",),
    counts={(1, "train"): 80_000, (1, "val"): 5_000},
    read=partial(read_200, remedy=_WHERE),
    layout="kinetics400/: the folder of Kinetics-400\nkinetics400/minikinetics-200/train_ytid_list.txt  val_ytid_list.txt",
    download=_WHERE,
    licence="as Kinetics-400: annotations CC BY 4.0; the videos are their uploaders'",
    folder="kinetics400",
    caveat="200 classes: not the paper's miniKinetics, which has 213",
    notes=("Not the same as minikinetics-213.", "There is no test set."),
)
