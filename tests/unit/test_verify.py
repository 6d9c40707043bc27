"""`harness data verify` on a small set with every kind of damage, and the ends that containers announce."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.commands.data import verify as command
from harness.core import registry
from harness.core.errors import DataMissing
from harness.data import truncation, verify
from tests import videos

HEADER = "label,youtube_id,time_start,time_end,split\n"
CLIPS = {"train": ("a1", "a2", "b1", "b2"), "val": ("av", "bv"), "test": ("at", "bt")}
CARD = registry.load("dataset", "kinetics400")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """Two classes in Kinetics' layout, every file as its list says: one second, 25 frames."""
    root = tmp_path_factory.mktemp("whole") / "kinetics400"
    for number, (subset, names) in enumerate(CLIPS.items()):
        rows = [f"class {name[0]},{name},0,1,{subset}" for name in names]
        root.mkdir(exist_ok=True)
        (root / f"{subset}.csv").write_text(HEADER + "\n".join(rows) + "\n")
        for place, name in enumerate(names):
            path = root / f"class_{name[0]}" / f"{name}_000000_000001.mp4"
            path.parent.mkdir(exist_ok=True)
            videos.write(path, videos.numbered(25, first=8 * number + place))
    return root


@pytest.fixture
def data(whole, tmp_path) -> Path:
    shutil.copytree(whole, tmp_path / "kinetics400")
    return tmp_path


def found(data: Path, *kinds: str, thorough: bool = False) -> set[tuple[str, str]]:
    """(kind, what) of the findings but 'counts', since this is not Kinetics-400; of these kinds, if any are named."""
    result = verify.verify(CARD, data, thorough=thorough)
    return {(f.kind, f.subject) for f in result.findings if f.kind != "counts" and (not kinds or f.kind in kinds)}


def clip(data: Path, name: str) -> Path:
    return data / "kinetics400" / f"class_{name[0]}" / f"{name}_000000_000001.mp4"


def test_a_whole_set_has_nothing_to_mend_but_the_cards_counts(data):
    result = verify.verify(CARD, data)
    assert {finding.kind for finding in result.findings} == {"counts"}
    assert [(p.subset, p.expected, p.listed, p.there, p.readable) for p in result.parts] == [
        ("train", 246_535, 4, 4, 4), ("val", 19_907, 2, 2, 2), ("test", 38_685, 2, 2, 2),
    ]  # fmt: skip
    assert result.fingerprint
    assert not result.failing(["counts"])
    assert found(data, thorough=True) == set()


def test_every_kind_of_damage_is_named(data):
    root = data / "kinetics400"
    clip(data, "bt").unlink()
    shutil.copy(clip(data, "a1"), root / "class_a" / "stranger_000000_000001.mp4")
    (root / "old").mkdir()
    shutil.copy(clip(data, "a2"), root / "old")
    shutil.copy(clip(data, "b1"), clip(data, "bv"))
    shutil.copy(clip(data, "a1"), clip(data, "a2"))
    clip(data, "b2").write_bytes(b"")
    clip(data, "at").write_bytes(b"not a video" * 100)
    videos.write(clip(data, "av"), videos.numbered(11, first=90))
    assert found(data) == {
        ("missing", "bt_000000_000001"),
        ("extra", "class_a/stranger_000000_000001.mp4"),
        ("extra", "old/a2_000000_000001.mp4"),
        ("in two subsets", "class_b/bv_000000_000001.mp4"),
        ("duplicated", "class_a/a2_000000_000001.mp4"),
        ("unreadable", "class_b/b2_000000_000001.mp4"),
        ("unreadable", "class_a/at_000000_000001.mp4"),
        ("short", "class_a/av_000000_000001.mp4"),
    }
    details = {f.subject: f.detail for f in verify.verify(CARD, data).findings}
    assert details["class_b/b2_000000_000001.mp4"] == "the file is empty"
    assert details["class_a/av_000000_000001.mp4"] == "lasts 0.4 s of the 1.0 s in the lists"
    assert "split 1 has one in train, the other in val" in details["class_b/bv_000000_000001.mp4"]
    assert details["bt_000000_000001"] == "split 1 test"


def test_a_further_copy_of_a_clip_is_a_duplicate_and_not_a_stranger(data):
    (data / "kinetics400" / "old").mkdir()
    shutil.copy(clip(data, "a2"), data / "kinetics400" / "old")
    assert found(data) == {("duplicated", "old/a2_000000_000001.mp4")}


def test_a_file_that_changed_in_place_is_read_again(data):
    assert found(data) == set()
    clip(data, "a1").write_bytes(clip(data, "a1").read_bytes()[:200])  # the folder's time stays as it was
    assert found(data) == {("unreadable", "class_a/a1_000000_000001.mp4")}


def test_lists_that_contradict_themselves_are_told_line_by_line(data):
    val = data / "kinetics400" / "val.csv"
    val.write_text(val.read_text() + "class c,cv,0,1,val\nclass a,../x,0,1,val\nclass a,av,0,1,val\n")
    assert [f.kind for f in verify.verify(CARD, data).findings] == ["unreadable line", "listed twice"]
    val.write_text(HEADER + "class a,a1,0,1,val\nclass b,b1,0,1,val\n")
    assert [f.kind for f in verify.verify(CARD, data).findings] == ["in two subsets", "in two subsets"]


def test_a_set_that_is_not_there_is_missing(tmp_path):
    with pytest.raises(DataMissing, match="Licence: annotations CC BY"):
        verify.verify(CARD, tmp_path)


def test_what_a_person_reads_and_what_a_program_reads(data):
    clip(data, "bt").unlink()
    name = b"stran\xffger_000000_000001.mp4".decode("utf-8", "surrogateescape")
    shutil.copy(clip(data, "a1"), data / "kinetics400" / name)
    result = verify.verify(CARD, data)
    text = command.as_text(result, ("counts", "extra"))
    assert "1 of 2" in text and "missing: 1" in text and "extra: 1 (allowed)" in text and "1 finding to fix." in text
    text.encode()
    read = json.loads(command.to_json(result, ("counts", "missing", "extra")))
    assert read["ok"] is True
    assert {"kind": "missing", "subject": "bt_000000_000001", "detail": "split 1 test"} in read["findings"]


def test_the_exit_code_is_the_verdict(data):
    command = [sys.executable, "-m", "harness", "data", "verify", "kinetics400", "--data", str(data)]
    assert subprocess.run([*command, "--allow", "counts"], capture_output=True, check=False).returncode == 0
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".avi", "mpeg4"), (".mp4", "libx264"), (".mkv", "libx264"), (".mov", "libx264")]
)
def test_a_file_that_ends_too_early_is_told_from_a_whole_one(suffix, codec, tmp_path):
    path = tmp_path / f"clip{suffix}"
    videos.write(path, videos.numbered(12), codec=codec)
    size = path.stat().st_size
    assert truncation.bytes_short(path) == 0
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(path.read_bytes()[: size - 100])
    assert 99 <= truncation.bytes_short(cut) <= 101
    with path.open("ab") as file:
        file.write(b"\0" * 50)  # what some writers leave behind
    assert truncation.bytes_short(path) == 0


@pytest.mark.parametrize(
    "content", [b"", b"RIFF", b"RIFF\xff\xff\xff\xffAVI ", b"\x1a\x45\xdf\xa3", b"\0\0\0\x01ftyp", b"text" * 9]
)
def test_a_file_that_says_nothing_is_not_called_short(content, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(content)
    assert truncation.bytes_short(path) == 0
