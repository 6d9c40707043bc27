"""The compiled way from frames to pictures: OpenCV's pictures bit for bit, and only where it pays."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from harness.video import convert_numba, decode
from tests import videos

pytest.importorskip("numba")

ROOT = Path(__file__).resolve().parents[2]
UCF = (240, 320), (256, 341)


@pytest.fixture
def compiled(monkeypatch):
    monkeypatch.setattr(convert_numba, "COMPILE_AFTER_PX", 0)


def planes_of(frame: tuple[int, int], seed: int = 0) -> list[np.ndarray]:
    """Noise, in rows longer than the frame's, as decoders have them."""
    chance = np.random.default_rng(seed)
    return [
        chance.integers(0, 256, (frame[0] // half, frame[1] // half + 64 // half), dtype=np.uint8) for half in (1, 2, 2)
    ]


def by_opencv(planes: list[np.ndarray], frame: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    cropped = [plane[:, : frame[1] // half].reshape(-1) for plane, half in zip(planes, (1, 2, 2), strict=True)]
    rgb = cv2.cvtColor(np.concatenate(cropped).reshape(frame[0] * 3 // 2, frame[1]), cv2.COLOR_YUV2RGB_I420)
    return rgb if frame == size else cv2.resize(rgb, size[::-1], interpolation=cv2.INTER_LINEAR)


@pytest.mark.parametrize(
    "frame, size",
    [UCF, ((256, 352), (256, 352)), ((240, 560), (256, 597)), ((270, 480), (256, 455)), ((48, 32), (51, 34))],
    ids=["UCF-101", "unscaled", "wide", "a little smaller", "as narrow as vectors"],
)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_part_is_opencvs_bit_for_bit(frame, size, data):
    top, left = (data.draw(st.integers(0, side - 32)) for side in size)
    height, width = data.draw(st.integers(1, size[0] - top)), data.draw(st.integers(32, size[1] - left))
    planes = planes_of(frame, data.draw(st.integers(0, 9)))
    out = np.zeros((height + 2, width, 3), np.uint8)
    convert_numba.FastConverter(frame, size).convert(planes, out[1:-1], top, left)
    assert np.array_equal(out[1:-1], by_opencv(planes, frame, size)[top : top + height, left : left + width])
    assert not out[0].any() and not out[-1].any(), "converted beyond its place"


def test_every_colour_is_opencvs():
    """All 2^24 triples: luma along two columns, U down the rows, V from picture to picture."""
    size = (512, 512)
    u = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 256, 1)
    luma = np.repeat(np.repeat(np.arange(256, dtype=np.uint8)[None], 512, 0), 2, 1)
    one, out = convert_numba.FastConverter(size, size), np.empty((*size, 3), np.uint8)
    for v in range(256):
        planes = [luma, u, np.full_like(u, v)]
        one.convert(planes, out, 0, 0)
        assert np.array_equal(out, by_opencv(planes, size, size))


@pytest.mark.parametrize("codec, name", [("mpeg4", "clip.avi"), ("libx264", "clip.mp4")])
def test_clips_are_the_same_with_it(tmp_path, monkeypatch, codec, name):
    path = videos.write(tmp_path / name, videos.numbered(40, height=240, width=320), codec=codec)

    def clip() -> np.ndarray:
        return decode.read_window(path, range(5, 30), short_side_px=256, crop=lambda *_: (17, 51, 224))

    plain, converted = clip(), []
    real = convert_numba.FastConverter.convert
    monkeypatch.setattr(convert_numba.FastConverter, "convert", lambda *args: (converted.append(1), real(*args))[1])
    monkeypatch.setattr(convert_numba, "COMPILE_AFTER_PX", 0)
    assert np.array_equal(clip(), plain)
    assert len(converted) >= 25


def test_small_jobs_do_not_compile(monkeypatch):
    monkeypatch.setattr(convert_numba, "_converted_px", 0)
    monkeypatch.setattr(convert_numba, "COMPILE_AFTER_PX", 2 * 224 * 224)
    assert convert_numba.fast_converter(*UCF, (224, 224, 3)) is None
    assert isinstance(convert_numba.fast_converter(*UCF, (224, 224, 3)), convert_numba.FastConverter)


@pytest.mark.parametrize(
    "frame, size, part",
    [
        ((720, 1280), (256, 455), (224, 224, 3)),
        ((120, 160), (256, 341), (224, 224, 3)),
        ((54, 30), (54, 30), (30, 30, 3)),
        (*UCF, (16, 16, 3)),
    ],
    ids=["shrinks", "twice the size", "narrow", "narrow part"],
)
def test_what_gains_nothing_is_opencvs(compiled, frame, size, part):
    assert convert_numba.fast_converter(frame, size, part) is None


@pytest.mark.parametrize("top, left, shape", [(33, 0, (224, 224, 3)), (0, -1, (224, 224, 3)), (0, 0, (224, 16, 3))])
def test_what_is_not_in_the_picture_is_refused(top, left, shape):
    with pytest.raises(ValueError, match="in 341x256"):
        convert_numba.FastConverter(*UCF).convert(planes_of(UCF[0]), np.empty(shape, np.uint8), top, left)


@pytest.mark.parametrize("kind", ["read-only", "float32"])
def test_only_bytes_that_may_be_written_are(tmp_path, compiled, kind):
    path = videos.write(tmp_path / "clip.mp4", videos.numbered(2, height=240, width=320))
    out = np.zeros((1, 224, 224, 3), np.float32 if kind == "float32" else np.uint8)
    out.flags.writeable = kind != "read-only"
    if kind == "read-only":
        with pytest.raises(ValueError, match="read-only"):
            decode.read_window(path, [0], crop=lambda *_: (0, 0, 224), out=out)
    else:
        decode.read_window(path, [0], crop=lambda *_: (0, 0, 224), out=out)
        assert np.array_equal(out, decode.read_window(path, [0], crop=lambda *_: (0, 0, 224)))


def test_another_opencv_keeps_its_own_pictures(compiled, monkeypatch):
    real = cv2.resize
    monkeypatch.setattr(cv2, "resize", lambda *args, **how: real(*args, **how) ^ 1)
    convert_numba._agrees.cache_clear()
    assert convert_numba.fast_converter(*UCF, (224, 224, 3)) is None
    monkeypatch.undo()
    convert_numba._agrees.cache_clear()


CLIP = (
    "import sys, os; from pathlib import Path\n"
    "from harness.video import convert_numba, decode, numba_cache\n"
    "numba_cache.keep_compiled(Path(os.environ.get('KEPT', 'nowhere')))\n"
    "convert_numba.compile_at_once()\n"
    "print(decode.read_window(sys.argv[1], range(4), crop=lambda *_: (0, 0, 224)).sum(), convert_numba._kernels() is not None)\n"
)


@pytest.mark.parametrize(
    "what", ["missing", "broken", "switched off", "with damaged files", "with nowhere to keep them"]
)
def test_clips_come_without_numba(tmp_path, what):
    path = videos.write(tmp_path / "clip.mp4", videos.numbered(8, height=240, width=320))
    kept, stand_in = tmp_path / "kept", tmp_path / "numba" / "__init__.py"
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    environment |= {"PYTHONPATH": str(ROOT), "KEPT": str(kept)}

    def clip() -> tuple[int, str, str]:
        command = [sys.executable, "-c", CLIP, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        return int(done.stdout.split()[0]), done.stdout.split()[1], done.stderr

    expected = decode.read_window(path, range(4), crop=lambda *_: (0, 0, 224)).sum(dtype=np.int64)
    if what in ("missing", "broken"):
        stand_in.parent.mkdir()
        stand_in.write_text("raise ImportError('no numba')" if what == "missing" else "raise RuntimeError('LLVM')")
        environment["PYTHONPATH"] = f"{tmp_path}:{ROOT}"
    elif what == "switched off":
        environment["NUMBA_DISABLE_JIT"] = "1"
    elif what == "with damaged files":
        assert clip() == (expected, "True", "")
        for file in kept.rglob("*.nbi"):
            file.write_bytes(b"")
    else:
        environment["NUMBA_CACHE_DIR"] = "/proc/none"
        environment["NUMBA_CACHE_LOCATOR_CLASSES"] = "UserProvidedCacheLocator"
    total, compiled, said = clip()
    assert (total, compiled) == (expected, "False")
    assert "without compiled code" in said
    if what == "with damaged files":
        assert str(kept) in said
