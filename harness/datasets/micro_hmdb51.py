"""micro-hmdb51: the smaller target of the micro world, in HMDB-51's layout.

14 classes of 9 movies with 4 clips each. A split tests 5 movies a class (280 videos), trains on 5 clips of the other 4
(70) and leaves 11 unused; the three test sets overlap, as HMDB-51's do. The actions are those of micro-kinetics, with
other actors, objects and places.
"""

from harness.datasets.formats import read_hmdb
from harness.datasets.synthetic import micro_card
from harness.datasets.synthetic.catalogue import FILM
from harness.datasets.synthetic.sets import HMDB_CLIPS, HMDB_TESTED, HMDB_TRAINED, SPLITS

_PER_CLASS = {"train": sum(HMDB_TRAINED), "test": HMDB_TESTED * HMDB_CLIPS}

DATASET = micro_card(
    "micro-hmdb51",
    title="micro-HMDB-51",
    kind="video",
    num_classes=len(FILM.classes),
    splits=SPLITS,
    subsets=("test",),
    counts={(split, subset): n * len(FILM.classes) for split in SPLITS for subset, n in _PER_CLASS.items()},
    read=read_hmdb,
    layout="<class>/<name>.avi\ntestTrainMulti_7030_splits/<class>_test_splitN.txt",
    source="micro-kinetics",
    image_source="micro-imagenet",
    class_groups=FILM.groups(),
)
