"""HMDB-51: 6,766 clips, 51 classes, three splits of 3,570 training (70 a class) and 1,530 test clips (30 a class).

The other 1,666 clips of each split are unused (flag 0); 395 are unused in all three. The test sets overlap (4,243 clips
in their union), so the mean over splits is not one over disjoint sets. Native 30 fps, height 240.
"""

from functools import partial

from harness.core.contract import Dataset
from harness.datasets.formats import read_hmdb

_WHERE = (
    "Get hmdb51_org.rar and test_train_splits.rar from "
    "https://serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database/ and put both into this folder; "
    "`harness data prepare hmdb51` unpacks them, and the archives of the classes within."
)

DATASET = Dataset(
    name="hmdb51",
    title="HMDB-51",
    kind="video",
    source="kinetics400",
    num_classes=51,
    splits=(1, 2, 3),
    subsets=("test",),
    counts={(split, subset): size for split in (1, 2, 3) for subset, size in (("train", 3570), ("test", 1530))},
    read=partial(read_hmdb, remedy=f"{_WHERE} micro-hmdb51 needs no download."),
    layout="<class>/<name>.avi\ntestTrainMulti_7030_splits/<class>_test_splitN.txt",
    download=_WHERE,
    licence="CC BY 4.0",
    notes=(
        "There is no index of classes: they are numbered in alphabetical order, and tools that do otherwise disagree.",
        "Clips are shorter than 64 frames here and there: they are looped.",
        "Clips of one movie are on one side of a split within a class, but not across classes.",
    ),
    class_groups={
        "face": ("chew", "laugh", "smile", "talk"),
        "face-object": ("drink", "eat", "smoke"),
        "body": (
            "cartwheel", "clap", "climb", "climb_stairs", "dive", "fall_floor", "flic_flac", "handstand", "jump", "pullup",
            "pushup", "run", "sit", "situp", "somersault", "stand", "turn", "walk", "wave",
        ),
        "body-object": (
            "brush_hair", "catch", "draw_sword", "dribble", "golf", "hit", "kick_ball", "pick", "pour", "push", "ride_bike",
            "ride_horse", "shoot_ball", "shoot_bow", "shoot_gun", "swing_baseball", "sword_exercise", "throw",
        ),
        "human-human": ("fencing", "hug", "kick", "kiss", "punch", "shake_hands", "sword"),
    },
)  # fmt: skip
