"""Every decoder gives the frames of the default one: the same at the same indices, whole and by window, or a clear error."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from harness.core.errors import BrokenVideo, HarnessError, UnknownName
from harness.jobs import context
from harness.video import decode, decoder as decoders
from tests import videos
from tests.unit.test_decode import KINDS, REAL, broken_files

SIDE = 48
OTHERS = [name for name in decoders.DECODERS if name != decoders.DEFAULT]
MOST_APART = 1.5
"""Grey levels on average, of any two decoders of the same frame."""
ODD = {
    "variable rate.mp4": {"ticks": [0, 40, 80, 280, 320, 600, 640], "tick": Fraction(1, 1000)},
    "variable rate, B-frames.mkv": {
        "ticks": [0, 40, 80, 280, 320, 600, 640],
        "tick": Fraction(1, 1000),
        "options": {"bf": "2", "preset": "medium", "qp": "4"},
    },
    "gaps.avi": {"codec": "mpeg4", "ticks": [0, 1, 2, 7, 8, 20, 21], "tick": Fraction(1, 25)},
    "gaps, B-frames.avi": {
        "codec": "mpeg4",
        "ticks": [0, 1, 2, 7, 8, 20, 21, 22, 23, 30],
        "tick": Fraction(1, 25),
        "options": {"bf": "2"},
    },
    "late.mkv": {"ticks": range(7, 14), "tick": Fraction(1, 25)},
    "turned 90.mp4": {"rotation": 90},
    "turned 180.mp4": {"rotation": 180},
    "turned -90.mp4": {"rotation": -90},
    "turned 444.mp4": {"rotation": 90, "pix_fmt": "yuv444p"},
    "half as fast again.mkv": {"fps": 30},
}


@pytest.fixture(params=OTHERS)
def decoder(request, monkeypatch) -> str:
    if importlib.util.find_spec({"opencv": "cv2"}.get(request.param, request.param)) is None:
        pytest.skip(f"{request.param} is not installed")
    monkeypatch.setenv(decoders.VARIABLE, request.param)
    return str(request.param)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("videos")


def by_default(monkeypatch, path: Path, **how) -> np.ndarray:
    with monkeypatch.context() as patch:
        patch.delenv(decoders.VARIABLE)
        return decode.read_video(path, **how)


def apart(one: np.ndarray, two: np.ndarray) -> list[float]:
    """Mean difference in grey levels, frame by frame."""
    assert one.shape == two.shape
    return [float(np.abs(a.astype(np.int16) - b).mean()) for a, b in zip(one, two, strict=True)]


def smooth(count: int) -> np.ndarray:
    """Numbered frames in grey: where colour changes sharply, decoders spread it differently."""
    return np.repeat(videos.numbered(count).mean(-1, keepdims=True).astype(np.uint8), 3, axis=-1)


def made(folder: Path, name: str) -> Path:
    how = {**KINDS, **ODD}[name]
    path = folder / name
    if not path.exists():
        videos.write(path, smooth(len(how.get("ticks", range(50)))), **how)
    return path


@pytest.mark.parametrize("name", [*KINDS, *ODD])
def test_rendered_files_give_the_same_frames(decoder, folder, monkeypatch, name):
    path = made(folder, name)
    usual = by_default(monkeypatch, path, short_side_px=SIDE)
    if (decoder, name) == ("opencv", "gaps, B-frames.avi"):
        with pytest.raises(BrokenVideo, match=r"B-frames\.avi: .*OpenCV tells no times"):
            decode.read_video(path, short_side_px=SIDE)
        return
    whole = decode.read_video(path, short_side_px=SIDE)
    assert max(apart(whole, usual)) <= MOST_APART
    assert len(np.unique(usual.reshape(len(usual), -1), axis=0)) > 5, "the frames must differ for this to say anything"
    if decoder == "torchcodec" and {**KINDS, **ODD}[name].get("pix_fmt", "yuv420p") == "yuv420p":
        assert (whole == usual).all(), "the same planes, converted by the same code"
    last = len(whole) - 1
    for window in ([0], [last], [3, 4, 4], [last, 2], range(last // 2, last), [last + 3]):
        cut = decode.read_window(path, list(window), short_side_px=SIDE)
        assert (cut == whole[np.minimum(list(window), last)]).all(), f"window {list(window)}"


@pytest.mark.parametrize("name", REAL)
def test_real_clips_give_the_same_frames(decoder, test_data, monkeypatch, name):
    path = test_data / "videos" / name
    info = decode.probe(path)
    how = {"fps": info.fps, "short_side_px": min(info.height, info.width)}
    usual = by_default(monkeypatch, path, **how)
    whole = decode.read_video(path, **how)
    assert len(whole) == REAL[name][0]
    differences = apart(whole, usual)
    assert max(differences) <= MOST_APART, f"{np.mean(differences):.2f} on average"
    before, after = apart(whole[7::7], usual[6:-1:7]), apart(whole[:-1:7], usual[1::7])
    own = np.array(differences)
    assert (own[7::7] < np.array(before) + 0.1).all(), "frames look like those before them"
    assert (own[:-1:7] < np.array(after) + 0.1).all(), "frames look like those after them"
    assert max(before) > 3 * MOST_APART, "nothing moves: a frame off would not be noticed"
    for k in (0, 50, len(whole) - 1):
        assert (decode.read_window(path, [k], **how)[0] == whole[k]).all()
    assert len(decode.read_video(path, short_side_px=64)) == REAL[name][1]


def test_a_turned_picture_crops_like_the_default(decoder, folder, monkeypatch):
    path = made(folder, "turned 90.mp4")

    def crop(height: int, width: int) -> tuple[int, int, int]:
        assert (height, width) == (64, 48)
        return 11, 7, 32

    cut = decode.read_window(path, [4, 5], short_side_px=SIDE, crop=crop)
    assert max(apart(cut, by_default(monkeypatch, path, short_side_px=SIDE)[4:6, 11:43, 7:39])) <= MOST_APART


def test_broken_files_are_named(decoder, folder):
    for name, (path, cause) in broken_files(folder).items():
        with pytest.raises(BrokenVideo) as caught:
            decode.read_video(path, short_side_px=SIDE)
        assert str(path) in str(caught.value), name
        if name in ("empty", "text", "sound.mp4", "cut.mp4"):  # the header says it already
            assert caught.match(cause)


def test_a_name_that_is_not_utf8_is_read_or_refused(decoder, folder):
    odd = folder / os.fsdecode(b"caf\xe9.avi")
    odd.write_bytes(videos.write(folder / "plain.avi", videos.numbered(9), codec="mpeg4").read_bytes())
    if decoder == "opencv":
        with pytest.raises(HarnessError, match=r"not UTF-8.*unset HARNESS_DECODER"):
            decode.read_video(odd, short_side_px=SIDE)
        return
    assert videos.numbers(decode.read_video(odd, short_side_px=SIDE)) == list(range(9))


def test_damaged_files_end_in_frames_or_a_named_cause(decoder, folder, tmp_path):
    sources = [made(folder, name) for name in ("h264 with B-frames.mp4", "mpeg4.avi", "ffv1.mkv")]
    command = [sys.executable, "-m", "tests.mutated", str(tmp_path), "24", *map(str, sources)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.splitlines()
    assert len(lines) == 24 and not [line for line in lines if '"outcome": "unnamed' in line]
    assert [line for line in lines if ' frames"' in line], "nothing was decoded at all"


# ---------------------------------------------------------------------------------------------------- which one


@pytest.fixture
def unset(monkeypatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv(decoders.VARIABLE, "")
    return monkeypatch


def test_the_key_names_the_decoder_and_its_version(decoder):
    assert decode.decoder_key()["decoder"] == f"{decoder} {decoders.version(decoder)}"


def test_the_default_is_pyav_and_its_key_says_no_more_than_that(unset):
    from importlib.metadata import version

    opencv = version("opencv-contrib-python-headless")
    assert decode.decoder_key() == {"decoder": f"pyav {version('av')}", "convert": f"opencv {opencv}", "rules": "1"}


def test_one_that_is_not_installed_is_an_error_with_the_remedy(unset, folder):
    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    path = made(folder, "mpeg4.avi")
    unset.setenv(decoders.VARIABLE, "torchcodec")
    unset.setattr(decoders.importlib.metadata, "version", absent)
    decoders.version.cache_clear()
    for ask in (decode.decoder_key, lambda: decode.read_video(path, short_side_px=SIDE)):
        with pytest.raises(HarnessError, match=r"pip install quovadis-harness\[torchcodec\]"):
            ask()
    decoders.version.cache_clear()


def test_one_that_nobody_knows_is_an_error(unset):
    unset.setenv(decoders.VARIABLE, "torchcodecs")
    with pytest.raises(UnknownName, match="did you mean 'torchcodec'"):
        decode.decoder_key()


def test_a_job_decodes_with_what_it_was_planned_with(unset):
    def configured(spec: dict) -> str:
        job = type("Job", (), {"spec": spec})()
        context.configure(job)
        return decoders.chosen()

    opencv = {"decoder": "opencv 5", "convert": "opencv 5", "rules": "1"}
    assert configured({"decoder": opencv}) == "opencv"
    assert configured({"decoder": decode.decoder_key() | {"decoder": "pyav 18"}}) == "pyav"
    assert configured({"store": {"from": opencv, "codec": "mpeg4-store"}}) == "opencv"
    assert configured({"decoder": {"from": {**opencv, "decoder": "pyav 18"}}}) == "pyav"
    assert configured({"seed": 0}) == "pyav"
