"""micro-kinetics: the source of the micro world, in Kinetics' layout.

14 classes; 560 training, 140 validation and 280 test videos of about a second. Scored on the test list, as the paper
scores Kinetics. Every video has an actor, a background and a camera of its own.
"""

from harness.datasets.formats import read_kinetics
from harness.datasets.synthetic import micro_card
from harness.datasets.synthetic.catalogue import PARK
from harness.datasets.synthetic.sets import KINETICS_SIZES

DATASET = micro_card(
    "micro-kinetics",
    title="micro-Kinetics",
    kind="video",
    num_classes=len(PARK.classes),
    splits=(1,),
    subsets=("test", "val"),
    counts={(1, subset): size * len(PARK.classes) for subset, size in KINETICS_SIZES.items()},
    read=read_kinetics,
    layout="<class>/<id>_<start>_<end>.mp4\ntrain.csv  val.csv  test.csv",
    image_source="micro-imagenet",
    class_groups=PARK.groups(),
)
