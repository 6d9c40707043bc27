"""Every data set's card and reader; the official lists, the micro sets' layouts, and lists that cannot be trusted.

Readers look at names, not into files, so the files here are empty. What is in the micro sets: tests/e2e.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from harness.core.errors import DataMissing, HarnessError
from harness.datasets import formats
from harness.datasets.synthetic import sets
from tests.registered import registered, third_party

CARDS = registered("dataset")
THIRD_PARTY = third_party("dataset")
MICRO = {name: card for name, card in CARDS.items() if card.micro and name not in THIRD_PARTY}
RENDERED = {name: card for name, card in THIRD_PARTY.items() if card.micro}
OFFICIAL = ("hmdb51", "kinetics400", "minikinetics-200", "minikinetics-213", "ucf101")

# Section F of the facts about the paper: (split, subset) -> videos.
UCF = {
    (1, "train"): 9537,
    (1, "test"): 3783,
    (2, "train"): 9586,
    (2, "test"): 3734,
    (3, "train"): 9624,
    (3, "test"): 3696,
}


def test_the_lists_of_cards_are_not_empty():
    assert set(MICRO) == {"micro-kinetics", "micro-ucf101", "micro-hmdb51", "micro-imagenet"}
    assert set(OFFICIAL) <= set(CARDS)
    assert "moving-square" in RENDERED


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)
def test_card_is_consistent(card):
    if card.at and not card.counts:  # a family without a member of its own: `folder`
        assert card.num_classes == 0
        return
    assert card.num_classes >= 2
    assert card.splits == tuple(sorted(set(card.splits)))
    assert card.subsets
    assert {split for split, _ in card.counts} <= set(card.splits)
    assert all(isinstance(count, int) and count > 0 for count in card.counts.values())
    assert card.title and card.layout and card.download and card.licence
    for cousin in (card.source, card.image_source):
        assert cousin is None or cousin in CARDS
    grouped = [cls for classes in card.class_groups.values() for cls in classes]
    assert len(set(grouped)) == len(grouped) <= card.num_classes


@pytest.mark.parametrize("name", [*OFFICIAL, *MICRO])
def test_a_set_that_is_not_there_is_said_to_be_missing_where(name, tmp_path):
    with pytest.raises(DataMissing, match="nowhere") as caught:
        CARDS[name].read(tmp_path / "nowhere", 1)
    if name.startswith("minikinetics"):
        assert "harness ls datasets kinetics400" in str(caught.value)
    elif name in OFFICIAL:
        assert "https://" in str(caught.value)
        assert "micro-" in str(caught.value)


def test_cards_are_read_without_numerical_libraries():
    code = (
        "import sys; from harness.core import registry; registry.all('dataset');"
        "print([name for name in ('numpy', 'cv2', 'av', 'torch', 'multiprocessing') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ------------------------------------------------------------------------------------------- micro sets


@pytest.fixture(scope="module")
def skeletons(tmp_path_factory):
    """The micro sets with empty files for videos."""
    folder = tmp_path_factory.mktemp("skeletons")
    for name in MICRO:
        contents = sets.contents(name)
        for path, text in [*contents.texts.items(), *dict.fromkeys(contents.files, "").items()]:
            (folder / name / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / name / path).write_bytes(text.encode())
    return folder


@pytest.mark.parametrize(("name", "split"), [(name, split) for name, card in MICRO.items() for split in card.splits])
def test_micro_sets_are_as_their_cards_say(name, split, skeletons):
    card = MICRO[name]
    listing = card.read(skeletons / name, split)
    assert len(listing.classes) == card.num_classes
    assert {(split, subset): len(those) for subset, those in listing.subsets.items()} == {
        key: count for key, count in card.counts.items() if key[0] == split
    }
    assert listing.missing == ()
    for subset, videos in listing.subsets.items():
        per_class = [sum(video.label == label for video in videos) for label in range(card.num_classes)]
        assert len(set(per_class)) == 1, f"{subset} is not balanced"
        assert all((skeletons / name / video.path).is_file() for video in videos)
    videos = [video for those in listing.subsets.values() for video in those]
    assert len({video.id for video in videos}) == len(videos)
    assert all(cls in listing.classes for classes in card.class_groups.values() for cls in classes)


@pytest.mark.parametrize("card", RENDERED.values(), ids=RENDERED)
def test_a_rendered_set_of_a_third_party_is_as_its_card_says(card, tmp_path):
    with pytest.raises(DataMissing, match="nowhere"):
        card.read(tmp_path / "nowhere", card.splits[0])
    card.render(tmp_path)
    for split in card.splits:
        listing = card.read(tmp_path, split)
        videos = [video for those in listing.subsets.values() for video in those]
        assert {(split, subset): len(those) for subset, those in listing.subsets.items()} == {
            key: count for key, count in card.counts.items() if key[0] == split
        }
        assert listing.missing == () and len(listing.classes) == card.num_classes
        assert {video.label for video in videos} == set(range(card.num_classes))
        assert len({video.id for video in videos}) == len(videos)
        assert all((tmp_path / video.path).is_file() for video in videos)
        sides = [{video.group for video in those} - {""} for those in listing.subsets.values()]
        assert len(set.union(*sides)) == sum(map(len, sides)), "a group is on two sides of a split"


@pytest.mark.parametrize(
    ("name", "split"), [(name, split) for name, card in MICRO.items() if card.kind == "video" for split in card.splits]
)
def test_no_group_is_on_two_sides_of_a_micro_split(name, split, skeletons):
    listing = MICRO[name].read(skeletons / name, split)
    sides = [{video.group for video in videos} for videos in listing.subsets.values()]
    assert all(side and "" not in side for side in sides)
    assert len(set.union(*sides)) == sum(map(len, sides))


def test_micro_targets_are_small_and_tested_on_enough(skeletons):
    for name in ("micro-ucf101", "micro-hmdb51"):
        for split in (1, 2, 3):
            listing = MICRO[name].read(skeletons / name, split)
            assert len(listing.subsets["test"]) >= 240
    assert len(MICRO["micro-hmdb51"].read(skeletons / "micro-hmdb51", 1).subsets["train"]) <= 10 * 14


def test_classes_whose_names_begin_alike_keep_their_videos(skeletons):
    listing = MICRO["micro-hmdb51"].read(skeletons / "micro-hmdb51", 1)
    turn, around = listing.classes.index("turn"), listing.classes.index("turn_around")
    for video in listing.subsets["train"]:
        assert video.label != turn or video.id.startswith("turn/")
        assert video.label != around or video.id.startswith("turn_around/")


# -------------------------------------------------------------------------------------------- official lists


@pytest.fixture(scope="module")
def official(test_data, tmp_path_factory):
    """UCF-101 and HMDB-51 with the official lists and empty files."""
    root = tmp_path_factory.mktemp("official")
    lists = test_data / "official_splits"
    (root / "ucf101").mkdir()
    (root / "hmdb51").mkdir()
    (root / "ucf101" / "ucfTrainTestlist").symlink_to(lists / "ucf101")
    (root / "hmdb51" / "testTrainMulti_7030_splits").symlink_to(lists / "hmdb51")
    for path in [*(lists / "ucf101").glob("trainlist*.txt"), *(lists / "ucf101").glob("testlist*.txt")]:
        _touch(root / "ucf101" / "UCF-101", [line.split()[0] for line in path.read_text().splitlines()])
    for path in (lists / "hmdb51").glob("*_test_split1.txt"):
        cls = path.name.removesuffix("_test_split1.txt")
        _touch(root / "hmdb51" / cls, [line.split()[0] for line in path.read_text().splitlines()])
    return root


def _touch(folder, names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_official_ucf_lists_have_the_exact_counts(official):
    listings = {split: CARDS["ucf101"].read(official / "ucf101", split) for split in (1, 2, 3)}
    counted = {
        (split, name): len(those) for split, listing in listings.items() for name, those in listing.subsets.items()
    }
    assert counted == UCF == dict(CARDS["ucf101"].counts)
    tests = [{video.id for video in listing.subsets["test"]} for listing in listings.values()]
    assert len(set.union(*tests)) == 11_213 == sum(map(len, tests))
    for split, listing in listings.items():
        assert len(listing.classes) == 101
        assert listing.missing == ()
        train, test = ({video.id for video in listing.subsets[side]} for side in ("train", "test"))
        assert len(train | test) == 13_320
        groups = {video.group for video in listing.subsets["test"]}
        assert {group.split("/g")[1] for group in groups} == {f"{7 * split - 6 + i:02d}" for i in range(7)}
        assert not groups & {video.group for video in listing.subsets["train"]}


def test_official_ucf_labels_are_the_folders(official):
    listing = CARDS["ucf101"].read(official / "ucf101", 1)
    odd = [video for videos in listing.subsets.values() for video in videos if "HandStandPushups" in video.path]
    assert odd
    assert {listing.classes[video.label] for video in odd} == {"HandstandPushups"}
    every = [cls for classes in CARDS["ucf101"].class_groups.values() for cls in classes]
    assert sorted(every) == sorted(listing.classes)


def test_official_hmdb_lists_have_the_exact_counts(official):
    listings = [CARDS["hmdb51"].read(official / "hmdb51", split) for split in (1, 2, 3)]
    for listing in listings:
        assert listing.classes == tuple(sorted(listing.classes))
        assert (listing.classes[0], listing.classes[50]) == ("brush_hair", "wave")
        for subset, size in (("train", 70), ("test", 30)):
            assert [sum(v.label == label for v in listing.subsets[subset]) for label in range(51)] == [size] * 51
        assert listing.missing == ()
        groups = [{video.group for video in listing.subsets[side]} for side in ("train", "test")]
        assert not groups[0] & groups[1]
        assert all(video.path.startswith(f"{listing.classes[video.label]}/") for video in listing.subsets["test"])
    assert len(set.union(*({video.id for video in listing.subsets["test"]} for listing in listings))) == 4_243
    every = [cls for classes in CARDS["hmdb51"].class_groups.values() for cls in classes]
    assert sorted(every) == sorted(listings[0].classes)
    odd = {video.path for video in listings[0].subsets["train"] if "[" in video.path}
    assert odd


def test_kinetics_groups_are_classes(test_data):
    names = (test_data / "official_splits" / "kinetics400_label_map.txt").read_text().splitlines()
    assert names == sorted(names)
    grouped = [cls for classes in CARDS["kinetics400"].class_groups.values() for cls in classes]
    assert set(grouped) <= set(names)


# --------------------------------------------------------------------------- folders, well and badly filled


def _ucf(root, *, train="A/v_A_g02_c01.avi 1\nB/v_B_g02_c01.avi 2\n", test="A/v_A_g01_c01.avi\n", index="1 A\n2 B\n"):
    lists = root / "ucfTrainTestlist"
    lists.mkdir(parents=True)
    (lists / "classInd.txt").write_text(index)
    (lists / "trainlist01.txt").write_text(train)
    (lists / "testlist01.txt").write_text(test)
    _touch(root / "UCF-101", ["A/v_A_g02_c01.avi", "B/v_B_g02_c01.avi", "A/v_A_g01_c01.avi"])
    return root


def test_listed_videos_that_are_not_on_disk_are_named(tmp_path):
    root = _ucf(tmp_path)
    (root / "UCF-101" / "A" / "v_A_g01_c01.avi").unlink()
    listing = formats.read_ucf(root, 1)
    assert listing.missing == ("A/v_A_g01_c01",) == listing.missing_of("test")
    assert listing.missing_of("train") == ()
    assert listing.subsets["test"] == ()


def test_lists_without_any_video_are_a_missing_data_set(tmp_path):
    root = _ucf(tmp_path)
    for path in root.glob("UCF-101/*/*.avi"):
        path.unlink()
    with pytest.raises(DataMissing, match="3 listed videos.*Get it there"):
        formats.read_ucf(root, 1, remedy="Get it there.")


@pytest.mark.parametrize(
    ("lists", "says"),
    [
        ({"test": "A/v_A_g02_c01.avi\n"}, "is in train and again in test"),
        ({"test": "C/v_C_g01_c01.avi\n"}, "no class 'C'"),
        ({"train": "A/v_A_g02_c01.avi 1\n"}, "class 'B' has no training video"),
        ({"train": "../../x.avi 1\nB/v_B_g02_c01.avi 2\n"}, "leaves the data set's folder"),
    ],
    ids=["in train and test", "unknown class", "empty class", "leaves the root"],
)
def test_ucf_lists_that_contradict_themselves_are_refused(lists, says, tmp_path):
    with pytest.raises(HarnessError, match=says):
        formats.read_ucf(_ucf(tmp_path, **lists), 1)


def test_a_list_that_is_not_text_is_refused(tmp_path):
    root = _ucf(tmp_path)
    (root / "ucfTrainTestlist" / "testlist01.txt").write_bytes(b"A/v_A_g01_\xff.avi\n")
    with pytest.raises(HarnessError, match="testlist01.txt' is not UTF-8 text"):
        formats.read_ucf(root, 1)


def test_a_split_without_a_list_is_missing(tmp_path):
    with pytest.raises(DataMissing, match=r"trainlist02\.txt"):
        formats.read_ucf(_ucf(tmp_path), 2)


HEADER = "label,youtube_id,time_start,time_end,split\n"


def _kinetics(root: Path, clips: list[str], **lists: str) -> Path:
    _touch(root, clips)
    for name, rows in lists.items():
        (root / f"{name}.csv").write_text(HEADER + rows)
    return root


TRAIN = '"a b",-1,0,10,train\nc,_2,3,13,train\n'


@pytest.mark.parametrize(
    "clips",
    [
        ["a b/-1_000000_000010.mp4", "c/_2_000003_000013.mp4", "a b/v_000001_000002.mp4"],
        ["a_b/-1_000000_000010.mp4", "c/_2_000003_000013.mp4", "a_b/v_000001_000002.mp4"],
        ["train/a b/-1_000000_000010.mp4", "train/c/_2_000003_000013.mp4", "val/a b/v_000001_000002.mp4"],
        ["-1_000000_000010.webm", "_2_000003_000013.mkv", "v_000001_000002.mp4"],
    ],
    ids=["spaces", "underscores", "folder a subset", "flat"],
)
@pytest.mark.parametrize("val", ["val", "validate"])
def test_kinetics_clips_are_found_in_every_layout_with_the_same_ids(clips, val, tmp_path):
    root = _kinetics(tmp_path, clips, train=TRAIN, **{val: '"a b",v,1,2,validate\n'})
    listing = formats.read_kinetics(root, 1)
    assert listing.classes == ("a b", "c")
    assert [(v.id, v.path, v.label, v.group) for v in listing.subsets["train"]] == [
        ("-1_000000_000010", clips[0], 0, "-1"),
        ("_2_000003_000013", clips[1], 1, "_2"),
    ]
    assert [v.path for v in listing.subsets["val"]] == [clips[2]]


def test_kinetics_copies_of_a_clip_the_one_of_its_subset_and_class_is_taken(tmp_path):
    clips = ["old/-1_000000_000010.mp4", "train/a_b/-1_000000_000010.mp4", "c/_2_000003_000013.mp4"]
    root = _kinetics(tmp_path, clips, train=TRAIN, val="c,v,1,2,val\n")
    listing = formats.read_kinetics(root, 1)
    assert listing.subsets["train"][0].path == clips[1]
    assert listing.missing == ("v_000001_000002",)


def test_kinetics_test_list_without_labels_gives_no_subset(tmp_path):
    root = _kinetics(tmp_path, ["c/_2_000003_000013.mp4"], train=TRAIN, val="c,v,1,2,val\n")
    (root / "test.csv").write_text("youtube_id,time_start,time_end,split\nz,1,2,test\n")
    listing = formats.read_kinetics(root, 1)
    assert set(listing.subsets) == {"train", "val"}
    assert listing.unused == ("z_000001_000002",)
    assert listing.seconds == {"-1_000000_000010": 10, "_2_000003_000013": 10, "v_000001_000002": 1}


@pytest.mark.parametrize(
    ("val", "says"),
    [
        ("x,v,1,2,val\n", "has the class 'x'"),
        ('"a b",-1,0,10,val\n', "is in train and again in val"),
        (",v,1,2,val\nc,w,1,2,val\n", "but none for"),
    ],
)
def test_kinetics_lists_that_contradict_themselves_are_refused(val, says, tmp_path):
    root = _kinetics(tmp_path, ["c/_2_000003_000013.mp4"], train=TRAIN, val=val)
    with pytest.raises(HarnessError, match=says):
        formats.read_kinetics(root, 1)


def test_hmdb_clip_in_two_subsets_cannot_be_said_and_unused_ones_are_left_out(tmp_path):
    lists = tmp_path / "testTrainMulti_7030_splits"
    lists.mkdir()
    (lists / "kick_test_split1.txt").write_text("a.avi 1 \nb.avi 2 \nc.avi 0 \n")
    (lists / "kick_ball_test_split1.txt").write_text("d.avi 1 \n")
    _touch(tmp_path, ["kick/a.avi", "kick/b.avi", "kick/c.avi", "kick_ball/d.avi"])
    listing = formats.read_hmdb(tmp_path, 1)
    assert listing.classes == ("kick", "kick_ball")
    assert {name: [v.id for v in those] for name, those in listing.subsets.items()} == {
        "train": ["kick/a", "kick_ball/d"],
        "test": ["kick/b"],
    }
    assert listing.unused == ("kick/c",)


def test_images_of_a_class_that_is_never_trained_are_refused(tmp_path):
    _touch(tmp_path, ["train/a/1.jpg", "train/b/1.png", "val/a/2.JPEG", "val/c/1.jpg"])
    with pytest.raises(HarnessError, match="images of the class 'c'"):
        formats.read_images(tmp_path, 1)
    (tmp_path / "val" / "c" / "1.jpg").unlink()
    listing = formats.read_images(tmp_path, 1)
    assert {name: [v.id for v in those] for name, those in listing.subsets.items()} == {
        "train": ["train/a/1", "train/b/1"],
        "val": ["val/a/2"],
    }


def test_a_loop_of_links_is_walked_once(tmp_path):
    _touch(tmp_path, ["train/a/1.jpg", "val/a/2.jpg"])
    (tmp_path / "train" / "a" / "again").symlink_to(tmp_path / "train")
    assert len(formats.read_images(tmp_path, 1).subsets["train"]) == 1
