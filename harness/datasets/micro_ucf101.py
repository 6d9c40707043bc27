"""micro-ucf101: the larger target of the micro world, in UCF-101's layout.

14 classes of 12 groups of 5 clips. Split k tests 4 groups a class (280 videos) and trains on the other 8 (560); the
three test sets are disjoint. The actions are those of micro-kinetics, with other actors, objects and places.
"""

from harness.datasets.formats import read_ucf
from harness.datasets.synthetic import micro_card
from harness.datasets.synthetic.catalogue import HALL
from harness.datasets.synthetic.sets import SPLITS, UCF_CLIPS, UCF_GROUPS, UCF_TESTED

_PER_CLASS = {"train": (UCF_GROUPS - UCF_TESTED) * UCF_CLIPS, "test": UCF_TESTED * UCF_CLIPS}

DATASET = micro_card(
    "micro-ucf101",
    title="micro-UCF-101",
    kind="video",
    num_classes=len(HALL.classes),
    splits=SPLITS,
    subsets=("test",),
    counts={(split, subset): n * len(HALL.classes) for split in SPLITS for subset, n in _PER_CLASS.items()},
    read=read_ucf,
    layout="UCF-101/<Class>/v_<Class>_gNN_cNN.avi\nucfTrainTestlist/classInd.txt  trainlistNN.txt  testlistNN.txt",
    source="micro-kinetics",
    image_source="micro-imagenet",
    class_groups=HALL.groups(),
)
