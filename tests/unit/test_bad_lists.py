"""Everything that lists and names of files can get wrong, in every layout: told by `data verify`, refused before any work.

Where each kind of bad input is tested:

=============================================  =======================================================================
wrong labels, unknown classes, duplicates,     here, per layout; line by line in `test_annotations`, `test_own_lists`,
train and test, paths that leave the root,     `test_minikinetics`; files twice under two names, and between training
names and lists that are not UTF-8, an empty   and scoring: `test_verify`
class
links and archive members that leave the root  `test_archives`; a list that gets past its parser: `test_prepare`
0-byte files                                   `test_verify` (named), `test_decode` (an error), `e2e/test_bad_input`
                                               (counts as wrong); a broken one in training stops it, or is left out
1,000 mutated files                            `test_decode_faults`; through the other decoders: `test_decoders`
a disk that fills                              `test_prepare`, `test_flow_store`, `test_archives`; `faults/test_prepare`
memory                                         `test_long_videos`
=============================================  =======================================================================
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.core import registry
from harness.core.errors import BadLists
from harness.data import prepare, verify

KINETICS = "label,youtube_id,time_start,time_end,split\n"
LAYOUTS: dict[str, dict[str, str]] = {
    "ucf101": {
        "ucfTrainTestlist/classInd.txt": "1 A\n2 B\n",
        "ucfTrainTestlist/trainlist{split}.txt": "A/v_A_g02_c01.avi 1\nB/v_B_g02_c01.avi 2\n",
        "ucfTrainTestlist/testlist{split}.txt": "A/v_A_g01_c01.avi\n",
    },
    "hmdb51": {
        "testTrainMulti_7030_splits/A_test_split{split}.txt": "a.avi 1 \nb.avi 2 \n",
        "testTrainMulti_7030_splits/B_test_split{split}.txt": "c.avi 1 \nd.avi 0 \n",
    },
    "kinetics400": {
        "train.csv": KINETICS + "A,a,0,1,train\nB,b,0,1,train\n",
        "val.csv": KINETICS + "A,c,0,1,val\n",
    },
    "folder": {"train.csv": "A/a.mp4 0\nB/b.mp4 1\n", "test.csv": "A/c.mp4 0\n"},
}
VIDEOS = {
    "ucf101": ["UCF-101/A/v_A_g02_c01.avi", "UCF-101/B/v_B_g02_c01.avi", "UCF-101/A/v_A_g01_c01.avi"],
    "hmdb51": ["A/a.avi", "A/b.avi", "B/c.avi", "B/d.avi"],
    "kinetics400": ["A/a_000000_000001.mp4", "B/b_000000_000001.mp4", "A/c_000000_000001.mp4"],
    "folder": ["A/a.mp4", "B/b.mp4", "A/c.mp4"],
}
UCF_TRAIN, UCF_TEST = "ucfTrainTestlist/trainlist01.txt", "ucfTrainTestlist/testlist01.txt"
HMDB_A, HMDB_B = "testTrainMulti_7030_splits/A_test_split1.txt", "testTrainMulti_7030_splits/B_test_split1.txt"
BAD: list[tuple[str, str, str, bytes]] = [
    ("wrong label", "ucf101", UCF_TRAIN, b"A/v_A_g02_c01.avi 2\nB/v_B_g02_c01.avi 2\n"),
    ("wrong label", "kinetics400", "val.csv", KINETICS.encode() + b"A,c,0,1,val\n,d,0,1,val\n"),
    ("unreadable line", "hmdb51", HMDB_A, b"a.avi 1 \nb.avi 3 \n"),
    ("unreadable line", "folder", "test.csv", b"A/c.mp4\n"),
    ("unknown class", "ucf101", UCF_TEST, b"C/v_C_g01_c01.avi\n"),
    ("unknown class", "kinetics400", "val.csv", KINETICS.encode() + b"C,c,0,1,val\n"),
    ("unknown class", "folder", "test.csv", b"A/c.mp4 juggling\n"),
    ("listed twice", "ucf101", UCF_TEST, b"A/v_A_g01_c01.avi\nA/v_A_g01_c01.avi\n"),
    ("listed twice", "hmdb51", HMDB_A, b"a.avi 1 \na.avi 1 \nb.avi 2 \n"),
    ("listed twice", "kinetics400", "val.csv", KINETICS.encode() + b"A,c,0,1,val\nA,c,0,1,val\n"),
    ("listed twice", "folder", "test.csv", b"A/c.mp4 0\nA/c.mp4 0\n"),
    ("in two subsets", "ucf101", UCF_TEST, b"A/v_A_g02_c01.avi\n"),
    ("listed twice", "hmdb51", HMDB_A, b"a.avi 1 \na.avi 2 \n"),
    ("in two subsets", "kinetics400", "val.csv", KINETICS.encode() + b"A,a,0,1,val\n"),
    ("in two subsets", "folder", "test.csv", b"A/a.mp4 0\n"),
    ("leaves the root", "ucf101", UCF_TEST, b"../../etc/v_A_g01_c01.avi\n"),
    ("leaves the root", "hmdb51", HMDB_A, b"a.avi 1 \n../b.avi 2 \n"),
    ("leaves the root", "kinetics400", "val.csv", KINETICS.encode() + b"../A,c,0,1,val\n"),
    ("unreadable line", "kinetics400", "val.csv", KINETICS.encode() + b"A,../c,0,1,val\n"),
    ("leaves the root", "folder", "test.csv", b"../c.mp4 0\n"),
    ("empty class", "ucf101", UCF_TRAIN, b"A/v_A_g02_c01.avi 1\n"),
    ("empty class", "hmdb51", HMDB_B, b"c.avi 2 \nd.avi 0 \n"),
    ("empty class", "folder", "train.csv", b"A/a.mp4 0\nB/b.mp4 2\n"),
    ("unreadable line", "ucf101", UCF_TEST, b"A/v_A_\xff_c01.avi\n"),
    ("unreadable line", "hmdb51", HMDB_A, b"\xff.avi 1 \n"),
    ("unreadable line", "kinetics400", "val.csv", KINETICS.encode() + b"\xff,c,0,1,val\n"),
    ("unreadable line", "folder", "test.csv", b"A/\xff.mp4 0\n"),
]


def filled(data: Path, layout: str) -> Path:
    root = data / layout
    for name, text in LAYOUTS[layout].items():
        for split in (1, 2, 3) if layout in ("ucf101", "hmdb51") else (1,):
            path = root / name.format(split=split if layout == "hmdb51" else f"{split:02d}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    for name in VIDEOS[layout]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def card(data: Path, layout: str):
    return registry.load("dataset", f"folder:{data / layout}" if layout == "folder" else layout)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_lists_are_in_order_before_they_are_spoilt(tmp_path, layout):
    """0-byte videos are there, and named; the lists themselves are taken."""
    filled(tmp_path, layout)
    kinds = {finding.kind for finding in verify.verify(card(tmp_path, layout), tmp_path).findings}
    assert kinds - {"counts"} == {"unreadable"}


@pytest.mark.parametrize(
    ("kind", "layout", "name", "content"), BAD, ids=[f"{layout}: {kind}" for kind, layout, *_ in BAD]
)
def test_bad_lists_are_told_by_kind_and_refused(tmp_path, kind, layout, name, content):
    root = filled(tmp_path, layout)
    known = card(tmp_path, layout)
    (root / name).write_bytes(content)
    found = verify.verify(known, tmp_path)
    assert kind in {finding.kind for finding in found.findings}, found.findings
    assert found.failing(), "the exit code would be 0"
    with pytest.raises(BadLists, match=r"\S"):
        prepare.open_prepared(known, tmp_path)
    assert not (tmp_path / ".prepared" / layout / prepare.FINGERPRINT).exists(), "something was kept of lists that lie"
    if layout == "folder":  # its card is made of its lists
        os.utime(root)
        with pytest.raises(BadLists):
            card(tmp_path, layout)


NOT_UTF8 = os.fsdecode(b"caf\xe9.mp4")


def test_a_file_whose_name_is_not_utf8_is_refused_in_class_folders(tmp_path):
    for place in ("train/A", "train/B", "test/A"):
        (tmp_path / "folder" / place).mkdir(parents=True)
        (tmp_path / "folder" / place / "x.mp4").touch()
    known = card(tmp_path, "folder")
    (tmp_path / "folder/train/A" / NOT_UTF8).touch()
    assert [finding.kind for finding in verify.verify(known, tmp_path).findings] == ["unreadable name"]
    with pytest.raises(BadLists, match="is not UTF-8; rename the file"):
        prepare.open_prepared(known, tmp_path)


@pytest.mark.parametrize("layout", ["ucf101", "hmdb51", "kinetics400"])
def test_a_file_whose_name_is_not_utf8_is_extra_beside_official_lists(tmp_path, layout):
    root = filled(tmp_path, layout)
    (root / VIDEOS[layout][0]).with_name(NOT_UTF8).touch()
    findings = verify.verify(card(tmp_path, layout), tmp_path).findings
    assert [finding.subject.rpartition("/")[2] for finding in findings if finding.kind == "extra"] == [NOT_UTF8]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_hidden_copies_change_nothing(tmp_path, layout):
    """macOS writes `._NAME` next to every file that it copies to another file system."""
    root = filled(tmp_path, layout)
    before = verify.verify(card(tmp_path, layout), tmp_path)
    for path in [path for path in root.rglob("*") if path.is_file()]:
        for copy in (path.with_name(f"._{path.name}"), root / ".Trash" / path.name, root / "__MACOSX" / path.name):
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(b"\xff")
    after = verify.verify(card(tmp_path, layout), tmp_path)
    assert (after.findings, after.parts) == (before.findings, before.parts)
