"""Which videos of Kinetics-400 a miniKinetics takes: by the paper's counts, from lists, and always the same."""

from __future__ import annotations

import pytest

from harness.core import registry
from harness.core.cells import Cell
from harness.core.errors import BadLists, DataMissing, HarnessError
from harness.datasets import formats
from harness.datasets.formats import minikinetics
from harness.datasets.formats.kinetics import KineticsRow
from harness.records import caveats


def rows(subset: str, size, classes: int = 240) -> tuple[KineticsRow, ...]:
    """`size(i)` videos of class i."""
    return tuple(
        KineticsRow(f"class {i:03d}", f"{subset}{i:03d}x{n:06d}", 0, 10, subset)
        for i in range(classes)
        for n in range(size(i))
    )


KINETICS = {
    "train": rows("train", lambda i: 120 + 5 * i),  # 120 to 1,315: some too few, some more than the paper's 1,000
    "val": rows("val", lambda i: 50),
    "test": rows("test", lambda i: 100 if i != 100 else 60),
}


@pytest.fixture(scope="module")
def chosen():
    return minikinetics.sampled_rows(KINETICS)


def test_the_choice_has_the_papers_counts(chosen):
    assert {subset: len(those) for subset, those in chosen.items()} == {"train": 98_700, "val": 5_325, "test": 15_975}
    sizes = [sum(row.label == label for row in chosen["train"]) for label in sorted({r.label for r in chosen["train"]})]
    assert len(sizes) == 213
    assert min(sizes) >= 150 and max(sizes) <= 1000
    taken = {row.label for row in chosen["train"]}
    assert "class 100" not in taken and "class 005" not in taken
    assert {row.label for row in chosen["test"]} == taken == {row.label for row in chosen["val"]}


def test_the_choice_is_everybodys(chosen):
    backwards = {subset: those[::-1] for subset, those in KINETICS.items()}
    again = minikinetics.sampled_rows(backwards)
    assert all(set(again[subset]) == set(chosen[subset]) for subset in KINETICS)


def test_lists_that_are_too_small_are_not_kinetics():
    with pytest.raises(HarnessError, match="Are these the lists of Kinetics-400"):
        minikinetics.sampled_rows(
            {"train": rows("train", lambda i: 200, classes=50), "val": rows("val", lambda i: 50, classes=50)}
        )


def test_given_classes_keep_all_their_training_videos():
    names = [f"class {i:03d}" for i in range(20, 233)]
    taken = minikinetics.rows_of_classes(KINETICS, names, name="mine.txt")
    assert {row.label for row in taken["train"]} == set(names)
    assert sum(row.label == "class 232" for row in taken["train"]) == 120 + 5 * 232
    assert (len(taken["val"]), len(taken["test"])) == (25 * 213, 75 * 212 + 60)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["class 000", "clas 001"], "no class 'clas 001'.*did you mean 'class 001'"),
        (["class 000", "class 000"], "'class 000' is listed twice"),
        (["class 000", "class 001"], "names 2 classes; miniKinetics has 213"),
    ],
)
def test_class_lists_that_cannot_be_right_are_refused(names, says):
    with pytest.raises(BadLists, match=says):
        minikinetics.rows_of_classes(KINETICS, names, name="mine.txt")


def test_mini_kinetics_200_is_by_ids_whose_labels_are_kinetics(tmp_path):
    header = "label,youtube_id,time_start,time_end,split\n"
    (tmp_path / "train.csv").write_text(header + "a,A1,0,10,train\na,A2,0,10,train\nb,B1,0,10,train\nc,C1,0,10,train\n")
    (tmp_path / "val.csv").write_text(header + "a,AV,0,10,val\nb,BV,0,10,val\n")
    for name in ("A1", "A2", "B1", "C1", "AV"):
        (tmp_path / f"{name}_000000_000010.mp4").touch()
    with pytest.raises(DataMissing, match=r"train_ytid_list\.txt"):
        formats.read_200(tmp_path, 1)
    lists = tmp_path / "minikinetics-200"
    lists.mkdir()
    (lists / "train_ytid_list.txt").write_text("A1\nB1\n")
    (lists / "val_ytid_list.txt").write_text("AV\nBV\n")
    listing = formats.read_200(tmp_path, 1)
    assert listing.classes == ("a", "b")
    assert [(v.id, v.label) for v in listing.subsets["train"]] == [("A1_000000_000010", 0), ("B1_000000_000010", 1)]
    assert listing.missing_of("val") == ("BV_000000_000010",)
    assert set(listing.unused) == {"A2_000000_000010", "C1_000000_000010"}
    (lists / "val_ytid_list.txt").write_text("AV\nZZ\n")
    with pytest.raises(BadLists, match="'ZZ' is not in Kinetics-400's lists"):
        formats.read_200(tmp_path, 1)
    (lists / "val_ytid_list.txt").write_text("AV\nAV\nx y\n")
    with pytest.raises(BadLists, match="listed twice.*1 more"):
        formats.read_200(tmp_path, 1)


def test_it_is_read_in_kinetics_400s_folder_under_its_own_name(tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("x\n")
    for name in ("minikinetics-213", "minikinetics-200", f"minikinetics-213:{names}"):
        card = registry.load("dataset", name)
        assert card.name == name and card.folder == "kinetics400" and card.caveat


def test_numbers_on_it_or_from_it_say_what_they_are(tmp_path):
    cell = Cell("i3d", "rgb", "minikinetics-213", 1, "test", "original", "scratch", "", "paper", 0)
    (said,) = caveats.caveats_of(cell)
    assert said.startswith("is on miniKinetics-213 (our choice of classes): ") and "not comparable" in said
    gone = f"minikinetics-213:{tmp_path}/gone.txt"
    cell = Cell("i3d", "rgb", "hmdb51", 1, "test", "full-ft", "scratch", gone, "paper", 0)
    (said,) = caveats.caveats_of(cell)
    assert said.startswith("starts from miniKinetics-213")
    assert (
        caveats.caveats_of(Cell("i3d", "rgb", "hmdb51", 1, "test", "full-ft", "scratch", "kinetics400", "paper", 0))
        == ()
    )
