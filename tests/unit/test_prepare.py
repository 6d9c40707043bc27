"""A data set on disk, ready: rendered, indexed, fingerprinted; and what survives a kill."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.core.errors import BrokenVideo, DataMissing, HarnessError
from harness.data import index, prepare
from harness.video import decode
from tests import videos
from tests.toy_set import CARD, DOWNLOADED, LENGTHS, everything, render


@pytest.fixture
def toy(tmp_path) -> prepare.Prepared:
    return prepare.open_prepared(CARD, tmp_path)


def test_a_micro_set_is_rendered_indexed_and_known_at_once_the_second_time(tmp_path, monkeypatch):
    told = []
    assert prepare.expected_fingerprint(CARD, tmp_path) is None
    first = prepare.open_prepared(CARD, tmp_path, progress=lambda done, total: told.append((done, total)))
    assert (4, 4) in told
    assert [first.num_frames(video) for video in everything(first)] == list(LENGTHS)
    assert first.num_frames(everything(first)[2], fps=50.0) == 16
    assert first.info(everything(first)[0]).codec == "mpeg4"
    monkeypatch.setattr(index, "build", None)
    second = prepare.open_prepared(CARD, tmp_path)
    assert first.fingerprint == second.fingerprint == prepare.expected_fingerprint(CARD, tmp_path)
    assert not list(tmp_path.glob(".*.half")) and not list(first.store.glob("*.jsonl"))


def test_reopening_imports_nothing_heavy(toy, tmp_path):
    code = (
        "import sys; from pathlib import Path; from tests import toy_set as t; from harness.data import prepare\n"
        "for name in ('av', 'cv2', 'pandas', 'pyarrow', 'torch'): sys.modules.pop(name, None)\n"
        f"print(prepare.open_prepared(t.CARD, Path({str(tmp_path)!r})).fingerprint)\n"
        "print([n for n in ('av', 'cv2', 'pandas', 'pyarrow', 'torch') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == [toy.fingerprint, "[]"]


def test_the_fingerprint_follows_content_and_nothing_else(toy, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(toy.root, elsewhere / "toy")
    assert prepare.open_prepared(DOWNLOADED, elsewhere).fingerprint == toy.fingerprint
    changes = {
        "label": lambda root: (root / "list.txt").write_text(
            (root / "list.txt").read_text().replace("v1.avi 1", "v1.avi 0")
        ),
        "gone": lambda root: (root / "class0/v2.avi").unlink(),
        "missing": lambda root: (root / "list.txt").write_text((root / "list.txt").read_text() + "class0/v9.avi 0\n"),
        "content": lambda root: videos.write(root / "class1/v3.avi", videos.numbered(6), codec="mpeg4").touch(),
    }
    prints = {toy.fingerprint, prepare.open_prepared(replace(DOWNLOADED, version=2), elsewhere).fingerprint}
    for name, change in changes.items():
        place = tmp_path / name
        shutil.copytree(toy.root, place / "toy")
        before = prepare.open_prepared(DOWNLOADED, place)
        assert before.fingerprint == toy.fingerprint
        change(before.root)
        if name == "content":  # a file replaced in place is seen once its folder is touched, or by `data verify`
            os.utime(before.root / "class1")
        assert prepare.expected_fingerprint(DOWNLOADED, place) is None, f"{name}: the old index still counts as fresh"
        prints.add(prepare.open_prepared(DOWNLOADED, place).fingerprint)
    assert len(prints) == 6


def test_what_is_not_there_is_told_with_the_remedy(tmp_path):
    with pytest.raises(
        DataMissing, match=r"(?s)toy is not at .*toy.*list\.txt.*From nowhere.*--data.*micro-"
    ) as caught:
        prepare.open_prepared(DOWNLOADED, tmp_path)
    assert str(tmp_path) in str(caught.value)
    (tmp_path / "toy").mkdir()
    with pytest.raises(DataMissing, match=r"(?s)no .*list\.txt.*From nowhere"):
        prepare.open_prepared(DOWNLOADED, tmp_path)
    assert not (tmp_path / ".prepared/toy/fingerprint.json").exists()


def test_a_rendering_that_dies_leaves_nothing_and_the_next_one_starts_afresh(tmp_path):
    def dies(root: Path, progress=None) -> None:
        (root / "class0").mkdir(parents=True)
        (root / "list.txt").write_text("class0/v0.avi 0\n")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare.open_prepared(replace(CARD, render=dies), tmp_path)
    assert list(tmp_path.iterdir()) == []
    left = tmp_path / ".toy.999999999.half"
    left.mkdir()
    assert len(everything(prepare.open_prepared(CARD, tmp_path))) == 4
    assert not left.exists()


def test_a_new_version_is_rendered_again_but_a_folder_of_the_user_is_never_touched(toy, tmp_path):
    (toy.root / "class0/v0.avi").unlink()
    again = prepare.open_prepared(replace(CARD, version=2), tmp_path)
    assert len(everything(again)) == 4
    (again.root / prepare.RENDERED).unlink()
    (again.root / "class0/v0.avi").unlink()
    assert prepare.open_prepared(replace(CARD, version=3), tmp_path).listing(1).missing == ("class0/v0",)


def test_unreadable_videos_are_kept_with_their_error(toy, tmp_path):
    (toy.root / "class0/v0.avi").write_bytes(b"not a video")
    os.utime(toy.root / "class0")
    again = prepare.open_prepared(CARD, tmp_path)
    broken = everything(again)[0]
    assert "cannot be opened" in again.rows[broken.id].error
    with pytest.raises(BrokenVideo, match=r"v0\.avi: cannot be opened"):
        again.num_frames(broken)


def test_only_new_and_changed_files_are_probed_again(toy, tmp_path, monkeypatch):
    probed = []
    really = decode.probe
    monkeypatch.setattr(decode, "probe", lambda path: probed.append(path.name) or really(path))
    videos.write(toy.root / "class1/v1.avi", videos.numbered(9), codec="mpeg4")
    os.utime(toy.root / "class1")
    assert prepare.open_prepared(CARD, tmp_path).num_frames(everything(toy)[1]) == 9
    assert probed == ["v1.avi"]


def test_a_killed_indexing_goes_on_from_its_journal(tmp_path, monkeypatch):
    render(tmp_path / "toy")
    really, probed = decode.probe, []

    def third_dies(path: Path) -> decode.VideoInfo:
        probed.append(path.name)
        if len(probed) == 3:
            raise KeyboardInterrupt
        return really(path)

    monkeypatch.setattr(index, "CHUNK", 1)
    monkeypatch.setattr(decode, "probe", third_dies)
    with pytest.raises(KeyboardInterrupt):
        prepare.open_prepared(DOWNLOADED, tmp_path)
    journal = tmp_path / ".prepared/toy" / index.JOURNAL
    journal.write_text(journal.read_text() + '{"id": "torn')
    assert prepare.expected_fingerprint(DOWNLOADED, tmp_path) is None
    assert len(prepare.open_prepared(DOWNLOADED, tmp_path).rows) == 4
    assert len(probed) == 5, "two of four were in the journal"


@pytest.mark.parametrize("written", [index.PARQUET, prepare.FINGERPRINT])
def test_a_disk_that_fills_while_indexing_leaves_nothing_half_written(tmp_path, monkeypatch, written):
    """Refused a file, by name, once half of it is there; the next call goes on from the journal."""
    render(tmp_path / "toy")
    really = os.replace

    def full(path: Path, target: Path) -> None:
        if target.name == written:
            raise OSError(28, "No space left on device", str(target))
        really(path, target)

    probed = []
    probe = decode.probe
    monkeypatch.setattr(decode, "probe", lambda path: probed.append(path) or probe(path))
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(HarnessError, match=r"cannot prepare toy under .*No space left.*free some space there"):
        prepare.open_prepared(DOWNLOADED, tmp_path)
    store = tmp_path / ".prepared/toy"
    assert not list(store.rglob(".*.half")) and not (store / written).exists()
    assert prepare.expected_fingerprint(DOWNLOADED, tmp_path) is None
    monkeypatch.setattr(Path, "replace", lambda path, target: really(path, target))
    assert len(prepare.open_prepared(DOWNLOADED, tmp_path).rows) == 4
    assert len(probed) == 4, "what was read before the disk was full is kept"


def test_a_path_that_leaves_the_folder_is_refused(tmp_path):
    render(tmp_path / "toy")
    (tmp_path / "toy/list.txt").write_text("../toy/class0/v0.avi 0\n")
    with pytest.raises(DataMissing, match="outside the data set's folder"):
        prepare.open_prepared(DOWNLOADED, tmp_path)


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    render(tmp_path / "toy")
    (tmp_path / ".prepared").write_text("in the way")
    with pytest.raises(HarnessError, match=r"cannot prepare toy under .*--data"):
        prepare.open_prepared(DOWNLOADED, tmp_path)


def test_stills_are_one_frame_each(tmp_path):
    import cv2

    (tmp_path / "toy/class0").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "toy/class0/one.png"), videos.numbered(1)[0])
    (tmp_path / "toy/class0/two.png").write_bytes(b"no picture")
    (tmp_path / "toy/list.txt").write_text("class0/one.png 0\nclass0/two.png 0\n")
    ready = prepare.open_prepared(replace(DOWNLOADED, kind="images"), tmp_path)
    one, two = ready.listing(1).subsets["train"]
    assert ready.num_frames(one) == ready.num_frames(one, fps=25.0) == 1
    assert (ready.info(one).width, ready.info(one).height) == (64, 48)
    with pytest.raises(BrokenVideo, match=r"two\.png: not a picture"):
        ready.num_frames(two)
