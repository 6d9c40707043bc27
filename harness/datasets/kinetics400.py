"""Kinetics-400: 400 classes, clips of about 10 s, one a YouTube video; lists of about 246,535 / 19,907 / 38,685 videos.

Videos vanish from YouTube, so no two copies agree; copies in use have 234,643 to 241,190 training and 19,404 to 19,882
validation videos. The counts here are those of the lists as first published. The paper reports the test set, most later
work the validation set.
"""

from functools import partial

from harness.core.contract import Dataset
from harness.datasets.formats import read_kinetics

_WHERE = (
    "Get the clips and train.csv, val.csv and test.csv from https://github.com/cvdfoundation/kinetics-dataset and put "
    "them, or their .tar.gz archives, into this folder; class folders and subset folders are both found, and so are clips without "
    "folders. `harness data prepare kinetics400` unpacks archives."
)

DATASET = Dataset(
    name="kinetics400",
    title="Kinetics-400",
    kind="video",
    num_classes=400,
    splits=(1,),
    subsets=("test", "val"),
    counts={(1, "train"): 246_535, (1, "val"): 19_907, (1, "test"): 38_685},
    read=partial(read_kinetics, remedy=f"{_WHERE} micro-kinetics needs no download."),
    layout="<class>/<id>_<start>_<end>.mp4   (start and end in seconds, six digits)\ntrain.csv  val.csv  test.csv",
    download=_WHERE,
    licence="annotations CC BY 4.0; the videos are their uploaders'",
    notes=(
        "Videos are missing from every copy: results are over those that are there, and say 'n of N'.",
        "The test list was first published without labels; such a list cannot be scored, use --subset val.",
        "Most of the validation set is in the training set of Kinetics-700.",
        "Later work reports the validation set with several views, the paper the test set with one.",
    ),
    class_groups={  # The paper names the kinds, and these classes as examples; the rest has not been published.
        "person": ("drawing", "drinking", "laughing", "pumping fist"),
        "person-person": ("hugging", "kissing", "shaking hands"),
        "person-object": ("mowing lawn", "opening present", "washing dishes"),
    },
)
