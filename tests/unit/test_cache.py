"""What a process keeps of decoded videos: within its budget, shared by readers, and never another file's pictures."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from harness.core import registry
from harness.core.contract import Clip, FlowMethod, Scale
from harness.data import loader, prepare, reader
from harness.data.cache import FrameCache
from harness.video import decode
from tests import videos
from tests.registered import EXAMPLES
from tests.toy_set import CARD, everything

SCALE = Scale("toy", 1, 1.0, 25.0, 48, 0.1, 0.0, FlowMethod("dis", 6.0, 48), {})
CLIP = Clip(window=3, side_px=32)


def bytes_of(count: int) -> np.ndarray:
    return np.zeros(count, np.uint8)


def test_others_make_way_longest_unused_first_and_ones_own_never():
    kept, first, second = FrameCache(10), object(), object()
    for name in "abc":
        kept.put(name, bytes_of(3), first)
    assert kept.get("a", first) is not None and kept.get("d", first) is None
    kept.put("d", bytes_of(3), first)
    assert len(kept) == 3 and kept.get("d", first) is None, "a reader never pushes out its own"
    assert kept.get("b", second) is not None, "what one reader left is another's"
    kept.put("e", bytes_of(4), second)
    assert [name for name in "abce" if kept.get(name, second) is not None] == ["b", "c", "e"]
    assert kept.bytes == 10 and not kept.fits(1, second) and kept.fits(10, object())
    kept.put("f", bytes_of(11), object())
    kept.put(None, bytes_of(1), object())
    assert kept.bytes == 10 and len(kept) == 3
    kept.clear()
    assert kept.bytes == len(kept) == 0 and kept.fits(10, second)


def test_a_key_that_is_kept_again_counts_once():
    kept, one = FrameCache(10), object()
    kept.put("a", bytes_of(6), one)
    kept.put("a", bytes_of(8), one)
    assert kept.bytes == 8 and len(kept) == 1


@pytest.fixture
def toy(tmp_path, monkeypatch) -> prepare.Prepared:
    monkeypatch.setattr(reader, "PROCESS_CACHE", FrameCache(2**20))
    return prepare.open_prepared(CARD, tmp_path)


def clips(toy: prepare.Prepared, decoder: str = "pyav", **how) -> list[np.ndarray]:
    made = loader.VideoReader(toy, streams=("rgb",), scale=replace(SCALE, **how), decoder=decoder)
    (batch,) = loader.train_batches(made, everything(toy), clip=CLIP, batch=4, seed=0, steps=1)
    return list(batch.clips["rgb"])


def test_the_next_job_of_a_process_decodes_nothing_again(toy, monkeypatch):
    first = clips(toy)
    monkeypatch.setattr(decode, "read_video", None)
    assert np.array_equal(first, clips(toy))


def test_another_size_rate_or_decoder_is_decoded_anew(toy, monkeypatch):
    monkeypatch.setenv(registry.PLUGINS_ENV, str(EXAMPLES))
    clips(toy)
    asked: list[dict[str, float]] = []
    real = decode.read_video
    monkeypatch.setattr(decode, "read_video", lambda path, **how: asked.append(how) or real(path, **how))
    clips(toy, short_side_px=40)
    clips(toy, fps=12.5)
    assert len(asked) == 8
    clips(toy, decoder="threaded")
    assert len(asked) == 12
    clips(toy, fps=12.5, decoder="threaded")
    assert len(asked) == 16
    clips(toy, fps=12.5)
    assert len(asked) == 16


def test_a_file_that_was_replaced_is_decoded_anew(toy):
    before = clips(toy)
    path = toy.path(everything(toy)[0])
    status = path.stat()
    videos.write(path, videos.numbered(25, first=200), codec="mpeg4")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    after = clips(toy)
    same = [np.array_equal(one, other) for one, other in zip(before, after, strict=True)]
    assert same.count(False) == 1
