"""One's own videos: folders and lists in every form people bring, and those that cannot be trusted."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness import commands
from harness.core import registry
from harness.core.errors import BadLists, DataMissing, HarnessError
from harness.datasets.formats import read_custom
from harness.datasets.formats.custom import class_names, subset_of_name, user_list


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def told(listing) -> dict[str, list[tuple[str, str]]]:
    return {
        subset: [(video.path, listing.classes[video.label]) for video in those]
        for subset, those in listing.subsets.items()
    }


CLIPS = ("a/x.mp4", "a/y.mp4", "b/x.mp4", "b/z z.mp4")
TOLD = {"train": [("a/x.mp4", "0"), ("b/x.mp4", "1")], "test": [("a/y.mp4", "0"), ("b/z z.mp4", "1")]}


@pytest.mark.parametrize(
    ("names", "train", "test"),
    [
        (("train.csv", "test.csv"), "a/x.mp4 0\nb/x.mp4 1\n", "a/y.mp4 0\nb/z z.mp4 1\n"),
        (("train.csv", "test.csv"), "a/x.mp4,0\r\nb/x.mp4,1\r\n", "a/y.mp4,0\r\nb/z z.mp4,1\r\n"),
        (("my_train_list_videos.txt", "annotations/my_test_list_videos.txt"), "./a/x.mp4 0\n\nb/x.mp4 1", "a/y.mp4 0\nb/z z.mp4 1"),
        (("train.csv", "test.csv"), "video_path,class\na/x.mp4,0\nb/x.mp4,1\n", "\ufefflabel,path\n0,a/y.mp4\n1,b/z z.mp4\n"),
        (("train.txt", "test.txt"), "{root}/a/x.mp4 0\n{root}/b/x.mp4 1\n", "{root}/a/y.mp4 0\n{root}/b/z z.mp4 1\n"),
    ],
    ids=["SlowFast, blanks", "SlowFast, commas, CRLF", "mmaction2", "CSV with a header", "absolute paths"],
)  # fmt: skip
def test_lists_in_every_form_mean_the_same(names, train, test, tmp_path):
    touch(tmp_path, *CLIPS)
    for name, text in zip(names, (train, test), strict=True):
        touch(tmp_path, name).joinpath(name).write_text(text.replace("{root}", str(tmp_path)))
    assert told(read_custom(tmp_path, 1)) == TOLD


def test_one_list_tells_subsets_in_a_column_and_classes_by_name(tmp_path):
    touch(tmp_path, *CLIPS)
    (tmp_path / "all.csv").write_text(
        "path,label,split\na/x.mp4,juggling,training\nb/x.mp4,archery,train\na/y.mp4,juggling,validation\ngone.mp4,archery,val\n"
    )
    listing = read_custom(tmp_path, 1, list_file="all.csv")
    assert listing.classes == ("archery", "juggling")
    assert told(listing)["val"] == [("a/y.mp4", "juggling")]
    assert listing.missing == ("gone",) == listing.missing_of("val")
    assert listing.missing_of("train") == ()
    assert told(read_custom(tmp_path, 1)) == told(listing)


def test_numbers_take_their_names_from_a_class_file_and_mmaction2s_folders_are_searched(tmp_path):
    touch(tmp_path, "videos_train/x.mp4", "videos_train/y.mp4", "videos_val/x2.mp4")
    (tmp_path / "classes.txt").write_text("0 riding a bike\n1 surfing\n")
    (tmp_path / "train_list.txt").write_text("x.mp4 1\ny.mp4 0\n")
    (tmp_path / "val_list.txt").write_text("x2.mp4 0\n")
    assert told(read_custom(tmp_path, 1)) == {
        "train": [("videos_train/x.mp4", "surfing"), ("videos_train/y.mp4", "riding a bike")],
        "val": [("videos_val/x2.mp4", "riding a bike")],
    }


def test_class_folders_below_train_and_test(tmp_path):
    touch(tmp_path, "Train/b c/1.mp4", "Train/a/deep/2.avi", "Train/a/3.txt", "Train/loose.mp4", "test/a/4.mkv")
    listing = read_custom(tmp_path, 1)
    assert listing.classes == ("a", "b c")
    assert told(listing) == {
        "train": [("Train/a/deep/2.avi", "a"), ("Train/b c/1.mp4", "b c")],
        "test": [("test/a/4.mkv", "a")],
    }


BAD = {
    "unknown class": ("a/x.mp4 0\nb/x.mp4 1\n", "a/y.mp4 juggling\n", "unknown class", "no class 'juggling'"),
    "empty class": ("a/x.mp4 0\nb/x.mp4 2\n", "a/y.mp4 0\n", "empty class", "class '1' has no training video"),
    "leaves the root": ("a/x.mp4 0\nb/x.mp4 1\n", "../y.mp4 0\n", "leaves the root", "'../y.mp4' leaves"),
    "absolute, elsewhere": ("a/x.mp4 0\n/etc/b.mp4 1\n", "a/y.mp4 0\n", "leaves the root", "'/etc/b.mp4' leaves"),
    "inside and out": (
        "a/x.mp4 0\nb/x.mp4 1\n",
        "{root}/../y.mp4 0\n",
        "leaves the root",
        "leaves the data set's folder",
    ),
    "twice": ("a/x.mp4 0\nb/x.mp4 1\na/x.mp4 0\n", "a/y.mp4 0\n", "listed twice", "'a/x' occurs twice"),
    "in train and test": ("a/x.mp4 0\nb/x.mp4 1\n", "a/x.mp4 0\n", "in two subsets", "is in train and again in test"),
    "no label": ("a/x.mp4\nb/x.mp4 1\n", "a/y.mp4 0\n", "unreadable line", "line 1: expected"),
    "frames": ("a/x 300 0\nb/x 250 1\n", "a/y 20 0\n", "unreadable line", "Extracted frames cannot be read"),
    "empty list": ("\n", "a/y.mp4 0\n", "unreadable line", "lists no video"),
    "not text": (b"a/\xff.mp4 0\n", "a/y.mp4 0\n", "unreadable line", "is not UTF-8 text"),
}


@pytest.mark.parametrize(("train", "test", "kind", "says"), BAD.values(), ids=BAD)
def test_lists_that_cannot_be_trusted_are_refused(train, test, kind, says, tmp_path):
    root = touch(tmp_path / "set", *CLIPS)
    (root / "train.csv").write_bytes(train if isinstance(train, bytes) else train.encode())
    (root / "test.csv").write_text(test.replace("{root}", str(root)))
    with pytest.raises(BadLists, match=says) as caught:
        read_custom(root, 1)
    assert kind in {fault.kind for fault in caught.value.faults}


def test_every_fault_is_told_at_once(tmp_path):
    touch(tmp_path, *CLIPS)
    (tmp_path / "train.csv").write_text("a/x.mp4 0\nb/x.mp4 1\n../c.mp4 0\nd.mp4 7\n")
    (tmp_path / "test.csv").write_text("a/y.mp4 9\n")
    (tmp_path / "classes.txt").write_text("first\nsecond\n")
    with pytest.raises(BadLists, match=r"\(2 more: see `harness data verify`\.\)") as caught:
        read_custom(tmp_path, 1)
    assert sorted(fault.kind for fault in caught.value.faults) == ["leaves the root", "unknown class", "unknown class"]


def test_names_that_are_not_utf8_are_refused(tmp_path):
    touch(tmp_path, "train/a/1.mp4", "train/b/1.mp4", "test/a/1.mp4")
    touch(tmp_path, f"train/a/{os.fsdecode(b'%c.mp4' % 0xFF)}")
    with pytest.raises(BadLists, match=r"udcff\.mp4' .* is not UTF-8; rename the file"):
        read_custom(tmp_path, 1)


def test_folders_that_contradict_themselves_are_refused(tmp_path):
    with pytest.raises(DataMissing, match="train/ and test/"):
        read_custom(touch(tmp_path / "one", "train/a/1.mp4"), 1)
    with pytest.raises(HarnessError, match="'val' and 'validation', which mean the same"):
        read_custom(touch(tmp_path / "two", "train/a/1.mp4", "val/a/1.mp4", "validation/a/2.mp4"), 1)
    with pytest.raises(BadLists, match="no class 'c'"):
        read_custom(touch(tmp_path / "three", "train/a/1.mp4", "train/b/1.mp4", "test/c/1.mp4"), 1)
    with pytest.raises(BadLists, match="class 'b' has no training video"):
        read_custom(touch(tmp_path / "four", "train/a/1.mp4", "train/b/none.txt", "test/a/1.mp4"), 1)
    lists = touch(tmp_path / "five", "a.mp4", "train.csv", "train_list.txt")
    with pytest.raises(HarnessError, match=r"two lists of train videos, 'train\.csv' and 'train_list\.txt'"):
        read_custom(lists, 1)


def test_the_card_of_a_folder_is_what_lies_in_it(tmp_path):
    root = touch(tmp_path / "My_Set", "train/a/1.mp4", "train/b/1.mp4", "val/a/1.mp4", "test/a/1.mp4", "test/b/2.mp4")
    card = registry.load("dataset", f"Folder:{root}")
    assert (card.name, card.title, card.num_classes, card.subsets) == (f"folder:{root}", "My_Set", 2, ("test", "val"))
    assert dict(card.counts) == {(1, "train"): 2, (1, "val"): 1, (1, "test"): 2}
    assert Path("/anywhere") / card.folder == root
    (root / "only.csv").write_text(
        "path,label,split\ntrain/a/1.mp4,x,train\ntrain/b/1.mp4,y,train\ntest/a/1.mp4,x,test\n"
    )
    card = registry.load("dataset", f"folder:{root}/only.csv")
    assert dict(card.counts) == {(1, "train"): 2, (1, "test"): 1}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("folder:", "names no folder"),
        ("folder:/no/such/place", "no folder and no list at '/no/such/place'"),
        ("ucf101:/x", "'ucf101' takes no argument"),
        ("floder:/x", "did you mean 'folder'"),
        ("minikinetics-213:/no/list.txt", "no class list at '/no/list.txt'"),
    ],
)
def test_names_that_lead_nowhere_say_so(name, says):
    with pytest.raises(HarnessError, match=says):
        registry.load("dataset", name)


def test_names_of_lists_and_of_classes():
    assert [subset_of_name(name) for name in ("kinetics_val_list_videos.txt", "trainlist01.txt", "a.csv", "train_val.csv")] == [
        "val", "train", "", "",
    ]  # fmt: skip
    assert class_names("1 a b\n2 c\n") == ("a b", "c")
    assert class_names("b c\n\na\n") == ("b c", "a")
    (line,) = user_list("file,label,set\nx.mp4,a,DEV\n", name="l")
    assert line.subset == "val"


HIDDEN = ("train/a/._1.mp4", "train/.ipynb_checkpoints/1.mp4", "train/__MACOSX/a/1.mp4", "test/.Trash/a/4.mp4")


def test_what_file_managers_and_editors_leave_behind_is_no_video_and_no_class(tmp_path):
    root = touch(tmp_path / ".cache" / "set", "train/a/1.mp4", "train/b/2.mp4", "test/a/4.mp4", *HIDDEN)
    assert told(read_custom(root, 1)) == {
        "train": [("train/a/1.mp4", "a"), ("train/b/2.mp4", "b")],
        "test": [("test/a/4.mp4", "a")],
    }


def test_a_hidden_list_is_none_and_a_hidden_video_counts_if_a_list_names_it(tmp_path):
    root = touch(tmp_path, "a/x.mp4", ".clips/y.mp4", "a/z.mp4", "._train.csv", ".classes.txt")
    (root / "train.csv").write_text("a/x.mp4 0\n.clips/y.mp4 1\n")
    (root / "test.csv").write_text("a/z.mp4 0\n")
    assert told(read_custom(root, 1))["train"] == [("a/x.mp4", "0"), (".clips/y.mp4", "1")]


def test_ones_own_folders_and_lists_are_not_fetched_again(tmp_path):
    folders = touch(tmp_path / "folders", "train/a/1.mp4", "train/a/1.avi", "train/b/none.txt", "test/a/1.mp4")
    with pytest.raises(BadLists) as caught:
        read_custom(folders, 1)
    assert [fault.kind for fault in caught.value.faults] == ["listed twice", "empty class"]
    assert all("own" in fault.text and "Fetch" not in fault.text for fault in caught.value.faults)
    lists = touch(tmp_path / "lists", *CLIPS)
    (lists / "train.csv").write_text("a/x.mp4 0\na/x.mp4 0\nb/x.mp4 2\n")
    for text in ("../y.mp4 0\n", "a/x.mp4 0\n"):
        (lists / "test.csv").write_text(text)
        with pytest.raises(BadLists) as caught:
            read_custom(lists, 1)
        assert all("Correct the list" in fault.text for fault in caught.value.faults), caught.value.faults


def test_videos_without_a_split_are_refused_with_the_way_to_make_one(tmp_path):
    flat = touch(
        tmp_path, *(f"{cls}/{room}_{n}.mp4" for cls in "ab" for room in ("hall", "yard", "roof") for n in "12")
    )
    with pytest.raises(
        DataMissing, match=r"12 videos and no division .* path,label,split .* docs/tutorials/your-videos\.md"
    ):
        read_custom(flat, 1)
    text = (Path(__file__).resolve().parents[2] / "docs" / "tutorials" / "your-videos.md").read_text("utf-8")
    (script,) = re.findall(r"```python\n(# make_split\.py.*?)```", text, re.DOTALL)
    exec(compile(script.replace("/my/videos", str(flat)), "make_split.py", "exec"), {})
    split = told(read_custom(flat, 1))
    rooms = {subset: {(path[2:6], cls) for path, cls in videos} for subset, videos in split.items()}
    assert {cls for _, cls in rooms["train"]} == {cls for _, cls in rooms["test"]} == {"a", "b"}
    assert not {room for room, _ in rooms["train"]} & {room for room, _ in rooms["test"]}
    assert sum(map(len, split.values())) == 12


def test_a_list_that_is_named_alone_needs_its_subsets(tmp_path):
    touch(tmp_path, *CLIPS)
    (tmp_path / "train.csv").write_text("a/x.mp4 0\nb/x.mp4 1\n")
    with pytest.raises(BadLists, match=rf"line 1: the subset is not given\. .*alone .*--dataset folder:{tmp_path}"):
        read_custom(tmp_path, 1, list_file="train.csv")


def test_data_verify_prints_every_fault_of_ones_own_lists(tmp_path):
    touch(tmp_path, *CLIPS)
    (tmp_path / "train.csv").write_text("a/x.mp4 0\nb/x.mp4 1\n../c.mp4 0\n../d.mp4 1\n")
    (tmp_path / "test.csv").write_text("../y.mp4 0\n")
    words = ["data", "verify", f"folder:{tmp_path}", "--data", str(tmp_path / "data")]
    done = CliRunner().invoke(commands.harness, words)
    assert done.exit_code == 1, done.output
    assert done.output.startswith(f"folder:{tmp_path} in {tmp_path}\n\nleaves the root: 3")
    assert [line[:18] for line in done.output.splitlines() if ".csv, line" in line] == [
        "  train.csv, line ", "  train.csv, line ", "  test.csv, line 1",
    ]  # fmt: skip
    assert json.loads(CliRunner().invoke(commands.harness, [*words, "--json"]).output)["ok"] is False


def test_prediction_skips_hidden_videos(tmp_path):
    from harness.jobs.predict import videos_in

    touch(tmp_path, "b.mp4", "a/c.gif", "._b.mp4", ".Trash/d.mp4", "notes.txt")
    assert videos_in(tmp_path) == [tmp_path / "a/c.gif", tmp_path / "b.mp4"]
