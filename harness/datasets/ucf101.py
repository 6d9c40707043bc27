"""UCF-101: 13,320 videos, 101 classes, 25 groups a class, three splits.

Train/test: 9537/3783, 9586/3734, 9624/3696. Split k tests groups 1-7, 8-14, 15-21; groups 22-25 are always trained on,
so the three test sets are disjoint. Native 320x240, 25 fps, DivX in .avi.
"""

from functools import partial

from harness.core.contract import Dataset
from harness.datasets.formats import read_ucf

_WHERE = (
    "Get UCF101.rar and UCF101TrainTestSplits-RecognitionTask.zip from https://www.crcv.ucf.edu/data/UCF101.php and "
    "put both into this folder; `harness data prepare ucf101` unpacks them."
)

_TRAIN, _TEST = (9537, 9586, 9624), (3783, 3734, 3696)

DATASET = Dataset(
    name="ucf101",
    title="UCF-101",
    kind="video",
    source="kinetics400",
    num_classes=101,
    splits=(1, 2, 3),
    subsets=("test",),
    counts={
        (split, subset): sizes[split - 1] for split in (1, 2, 3) for subset, sizes in (("train", _TRAIN), ("test", _TEST))
    },
    read=partial(read_ucf, remedy=f"{_WHERE} micro-ucf101 needs no download."),
    layout=(
        "UCF-101/<Class>/v_<Class>_gNN_cNN.avi\n"
        "ucfTrainTestlist/classInd.txt  trainlist01.txt ... trainlist03.txt  testlist01.txt ... testlist03.txt"
    ),
    download=_WHERE,
    licence="no licence is stated; for research, the videos are their uploaders'",
    notes=(
        "Clips of a group are cut from one video: random splits leak, and a model of one split scores near 100% on the "
        "test sets of the others.",
        "Class 37 is HandstandPushups in folders and classInd.txt, HandStandPushups in file names: the label is the folder's.",
        "Classes are not balanced: top-1 and the mean over classes differ.",
        "UCF101TrainTestSplits-DetectionTask.zip is another set of lists.",
    ),
    class_groups={
        "human-object": (
            "ApplyEyeMakeup", "ApplyLipstick", "BlowDryHair", "BrushingTeeth", "CuttingInKitchen", "Hammering", "HulaHoop",
            "JugglingBalls", "JumpRope", "Knitting", "Mixing", "MoppingFloor", "Nunchucks", "PizzaTossing", "ShavingBeard",
            "SkateBoarding", "SoccerJuggling", "Typing", "WritingOnBoard", "YoYo",
        ),
        "body-motion": (
            "BabyCrawling", "BlowingCandles", "BodyWeightSquats", "HandstandPushups", "HandstandWalking", "JumpingJack",
            "Lunges", "PullUps", "PushUps", "RockClimbingIndoor", "RopeClimbing", "Swing", "TaiChi", "TrampolineJumping",
            "WalkingWithDog", "WallPushups",
        ),
        "human-human": ("BandMarching", "Haircut", "HeadMassage", "MilitaryParade", "SalsaSpin"),
        "instruments": (
            "Drumming", "PlayingCello", "PlayingDaf", "PlayingDhol", "PlayingFlute", "PlayingGuitar", "PlayingPiano",
            "PlayingSitar", "PlayingTabla", "PlayingViolin",
        ),
        "sports": (
            "Archery", "BalanceBeam", "BaseballPitch", "Basketball", "BasketballDunk", "BenchPress", "Biking", "Billiards",
            "Bowling", "BoxingPunchingBag", "BoxingSpeedBag", "BreastStroke", "CleanAndJerk", "CliffDiving", "CricketBowling",
            "CricketShot", "Diving", "Fencing", "FieldHockeyPenalty", "FloorGymnastics", "FrisbeeCatch", "FrontCrawl",
            "GolfSwing", "HammerThrow", "HighJump", "HorseRace", "HorseRiding", "IceDancing", "JavelinThrow", "Kayaking",
            "LongJump", "ParallelBars", "PoleVault", "PommelHorse", "Punch", "Rafting", "Rowing", "Shotput", "SkyDiving",
            "Skiing", "Skijet", "SoccerPenalty", "StillRings", "SumoWrestling", "Surfing", "TableTennisShot", "TennisSwing",
            "ThrowDiscus", "UnevenBars", "VolleyballSpiking",
        ),
    },
)  # fmt: skip
