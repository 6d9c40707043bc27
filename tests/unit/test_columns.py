"""What a process reads and receives of a large data set: columns, without pandas, and no list a second time."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import replace

import pytest

from harness.core.contract import Clip, Listing, Video
from harness.data import index, prepare
from harness.data.columns import Strings
from harness.data.index import IndexRow
from harness.data.loader import _TrainStep
from harness.data.reader import VideoReader
from harness.datasets.formats import stored
from tests.toy_set import CARD, DOWNLOADED, everything
from tests.unit.test_loader import SCALE


def rows(count: int) -> dict[str, IndexRow]:
    ids = sorted(f"class {number % 7}/vidéo-{number}" for number in range(count))
    facts = {"fps": 29.97, "width": 340, "height": 256, "duration_s": 9.5, "codec": "h264"}
    return {
        id_: IndexRow(
            id_, f"{id_}.mp4", 5_000_000_000 + n, 10**18 + n, 250 + n, **facts, error="" if n % 5 else "broken"
        )
        for n, id_ in enumerate(ids)
    }


def test_strings_of_any_kind_come_back():
    strings = ["", "a", "ü/漢", "", "\udcff odd", "z"]
    column = Strings.of(strings)
    assert [column[number] for number in range(len(column))] == strings
    for number in (-1, 6):
        with pytest.raises(IndexError, match="6 strings"):
            column[number]


def test_rows_come_back_from_columns_from_a_pickle_and_from_the_disk(tmp_path):
    expected = rows(300)
    index._write(tmp_path / index.PARQUET, expected.values())
    loaded = index.load(tmp_path)
    assert dict(loaded) == dict(pickle.loads(pickle.dumps(loaded))) == expected
    assert loaded.sizes() == {id_: row.bytes for id_, row in expected.items()}
    assert all(type(value) in (str, int, float) for value in vars(loaded["class 0/vidéo-0"]).values())
    assert loaded.get("class 0/vidéo") is None and loaded.get("zzz") is None and "" not in loaded
    assert not index.load(tmp_path / "nowhere")


def test_an_index_is_written_and_read_without_pandas(tmp_path):
    code = (
        "import sys; from pathlib import Path; from harness.data import index; from tests.unit.test_columns import rows\n"
        "for name in [n for n in sys.modules if n.split('.')[0] == 'pandas']: del sys.modules[name]\n"
        f"folder = Path({str(tmp_path)!r}); index._write(folder / index.PARQUET, rows(3).values())\n"
        "print(len(index.load(folder)), 'pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "3 False\n"


def test_a_worker_receives_less_than_200_bytes_of_a_video(tmp_path):
    """As Python objects a video and its row are 2 kB: half a GB in every worker for a quarter of a million videos."""
    expected = rows(10_000)
    index._write(tmp_path / index.PARQUET, expected.values())
    prepared = prepare.Prepared(CARD, tmp_path, tmp_path, "")
    reader = VideoReader(prepared, streams=("rgb",), scale=SCALE)
    videos = tuple(Video(row.id, row.path, 3, row.id[-5:]) for row in expected.values())
    step = _TrainStep(reader, videos, Clip(window=6, side_px=40), 6, 0, flip=False, tolerant=False)
    sent = pickle.dumps(step)
    assert len(sent) < 200 * len(videos)
    received = pickle.loads(sent)
    assert [received.videos[number] for number in (0, 77, 9_999)] == [videos[number] for number in (0, 77, 9_999)]
    assert len(received.videos) == 10_000 and type(received.videos[0].label) is int
    (tmp_path / index.PARQUET).unlink()  # the worker needs no file for it
    assert received.reader.num_frames(videos[1]) == reader.num_frames(videos[1])
    assert [*pickle.loads(pickle.dumps(received)).videos][5] == videos[5]


def test_lists_are_read_again_only_when_something_changed(tmp_path):
    read: list[int] = []

    def counted(root, split):
        read.append(split)
        return CARD.read(root, split)

    card = replace(CARD, read=counted)
    first = prepare.open_prepared(card, tmp_path)
    assert read == [1, 2]
    second = prepare.open_prepared(card, tmp_path)
    assert everything(second) == everything(first) and read == [1, 2]
    (first.root / "list.txt").write_text("class0/v0.avi 0\nclass1/v1.avi 1\nclass0/v2.avi 1\n")
    assert [video.label for video in everything(prepare.open_prepared(card, tmp_path))] == [0, 1, 1]
    assert read == [1, 2, 1, 2]


def test_a_stored_listing_is_the_listing(tmp_path):
    videos = (Video("a/ü", "a/ü.avi", 0), Video("b", "b.avi", 1, "group"))
    listing = Listing(("x", "y"), {"val": videos, "train": ()}, ("m",), {"m": "val"}, ("u",), {"b": 0.1})
    stored.write_listing(tmp_path, 1, "print", listing)
    assert stored.read_listing(tmp_path, 1, "print") == listing
    assert [*stored.read_listing(tmp_path, 1, "print").subsets] == ["val", "train"]
    assert stored.read_listing(tmp_path, 1, "other") is None and stored.read_listing(tmp_path, 2, "print") is None
    path = stored.path_of(tmp_path, 1)
    for text in (path.read_text().replace('"unused"', '"later"'), path.read_text()[:-9], "[]"):
        path.write_text(text)
        assert stored.read_listing(tmp_path, 1, "print") is None


def test_a_data_set_without_stored_listings_is_read_from_its_lists(tmp_path):
    prepared = prepare.open_prepared(CARD, tmp_path)
    for path in prepared.store.glob("listing-*"):
        path.unlink()
    assert everything(prepare.open_prepared(DOWNLOADED, tmp_path)) == everything(prepared)
