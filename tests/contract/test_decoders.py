"""Every registered decoder gives the frames of the default one, at the same indices, whole and by window, or a clear error.

pytest tests/contract/test_decoders.py --plugins FOLDER         on yours as well
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from harness.core import registry
from harness.core.contract import Clip, FlowMethod, Scale
from harness.core.errors import BrokenVideo, HarnessError, UnknownName
from harness.core.plugins import Decoder
from harness.data import frame_store, loader, prepare
from harness.data.flow_store import flow_store
from harness.video import decode, decoder as decoders
from tests import videos
from tests.registered import registered
from tests.toy_set import CARD, everything
from tests.unit.test_decode import KINDS, REAL, broken_files

SIDE = 48
DECODERS: dict[str, Decoder] = registered("decoder")
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


@pytest.fixture(params=DECODERS)
def decoder(request, example_plugins) -> str:
    try:
        DECODERS[request.param].version()
    except HarnessError as missing:
        pytest.skip(str(missing))
    return str(request.param)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("videos")


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
def test_rendered_files_give_the_same_frames(decoder, folder, name):
    path = made(folder, name)
    usual = decode.read_video(path, short_side_px=SIDE)
    whole = decode.read_video(path, short_side_px=SIDE, decoder=decoder)
    assert max(apart(whole, usual)) <= MOST_APART
    assert len(np.unique(usual.reshape(len(usual), -1), axis=0)) > 5, "the frames must differ for this to say anything"
    if decoder == "torchcodec" and {**KINDS, **ODD}[name].get("pix_fmt", "yuv420p") == "yuv420p":
        assert (whole == usual).all(), "the same planes, converted by the same code"
    last = len(whole) - 1
    for window in ([0], [last], [3, 4, 4], [last, 2], range(last // 2, last), [last + 3]):
        cut = decode.read_window(path, list(window), short_side_px=SIDE, decoder=decoder)
        assert (cut == whole[np.minimum(list(window), last)]).all(), f"window {list(window)}"


LISTS = {
    "concat": "ffconcat version 1.0\nfile other.mp4\n",
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.mp4\n#EXT-X-ENDLIST\n",
    "dash": "<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011' type='static'><Period/></MPD>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "subtitles": "1\n00:00:00,000 --> 00:00:01,000\nother.mp4\n",
    "ffmetadata": ";FFMETADATA1\ntitle=other.mp4\n",
}


@pytest.mark.parametrize("suffix", [".avi", ".mp4", ".m3u8", ".mkv"])
@pytest.mark.parametrize("kind", LISTS)
def test_a_list_of_other_files_is_not_decoded_as_them(decoder, folder, kind, suffix):
    """Whatever it is called: a data set cannot show a file that is not in it, or one of its own a second time."""
    videos.write(folder / "other.mp4", videos.numbered(5), codec="libx264")
    path = folder / f"{kind}{suffix}"
    path.write_text(LISTS[kind])
    for read in (decode.probe, lambda file: decode.read_video(file, short_side_px=SIDE, decoder=decoder)):
        with pytest.raises(BrokenVideo) as refused:
            read(path)
        assert str(path) in str(refused.value)
    assert kind != "concat" or "'concat'" in str(refused.value)


@pytest.mark.parametrize("name", REAL)
def test_real_clips_give_the_same_frames(decoder, test_data, name):
    path = test_data / "videos" / name
    info = decode.probe(path)
    how = {"fps": info.fps, "short_side_px": min(info.height, info.width)}
    usual = decode.read_video(path, **how)
    whole = decode.read_video(path, **how, decoder=decoder)
    assert len(whole) == REAL[name][0]
    differences = apart(whole, usual)
    assert max(differences) <= MOST_APART, f"{np.mean(differences):.2f} on average"
    before, after = apart(whole[7::7], usual[6:-1:7]), apart(whole[:-1:7], usual[1::7])
    own = np.array(differences)
    assert (own[7::7] < np.array(before) + 0.1).all(), "frames look like those before them"
    assert (own[:-1:7] < np.array(after) + 0.1).all(), "frames look like those after them"
    assert max(before) > 3 * MOST_APART, "nothing moves: a frame off would not be noticed"
    for k in (0, 50, len(whole) - 1):
        assert (decode.read_window(path, [k], **how, decoder=decoder)[0] == whole[k]).all()
    assert len(decode.read_video(path, short_side_px=64, decoder=decoder)) == REAL[name][1]


def test_a_turned_picture_crops_like_the_default(decoder, folder):
    path = made(folder, "turned 90.mp4")

    def crop(height: int, width: int) -> tuple[int, int, int]:
        assert (height, width) == (64, 48)
        return 11, 7, 32

    cut = decode.read_window(path, [4, 5], short_side_px=SIDE, crop=crop, decoder=decoder)
    assert max(apart(cut, decode.read_video(path, short_side_px=SIDE)[4:6, 11:43, 7:39])) <= MOST_APART


def test_broken_files_are_named(decoder, folder):
    for name, (path, cause) in broken_files(folder).items():
        with pytest.raises(BrokenVideo) as caught:
            decode.read_video(path, short_side_px=SIDE, decoder=decoder)
        assert str(path) in str(caught.value), name
        if name in ("empty", "text", "sound.mp4", "cut.mp4"):  # the header says it already
            assert caught.match(cause)


def test_a_name_that_is_not_utf8_is_read_or_refused(decoder, folder):
    odd = folder / os.fsdecode(b"caf\xe9.avi")
    odd.write_bytes(videos.write(folder / "plain.avi", videos.numbered(9), codec="mpeg4").read_bytes())
    assert videos.numbers(decode.read_video(odd, short_side_px=SIDE, decoder=decoder)) == list(range(9))


def test_damaged_files_end_in_frames_or_a_named_cause(decoder, folder, tmp_path, monkeypatch):
    monkeypatch.setenv(decoders.VARIABLE, decoder)
    sources = [made(folder, name) for name in ("h264 with B-frames.mp4", "mpeg4.avi", "ffv1.mkv")]
    command = [sys.executable, "-m", "tests.mutated", str(tmp_path), "24", *map(str, sources)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.splitlines()
    assert len(lines) == 24 and not [line for line in lines if '"outcome": "unnamed' in line]
    assert [line for line in lines if ' frames"' in line], "nothing was decoded at all"


# ---------------------------------------------------------------------------------------------------- names and versions


def test_the_example_is_among_them_and_the_key_has_name_and_version(decoder):
    assert {"pyav", "torchcodec", "threaded"} <= set(DECODERS)
    key = decode.decoder_key(decoder)
    assert key["decoder"] == f"{decoder} {DECODERS[decoder].version()}" and decoders.named(key) == decoder
    assert decoders.named({"from": key, "codec": "raw"}) == decoder


def test_the_environment_is_the_users_default_and_pyav_without_it(monkeypatch, example_plugins):
    opencv = importlib.metadata.version("opencv-contrib-python-headless")
    usual = {"decoder": f"pyav {importlib.metadata.version('av')}", "convert": f"opencv {opencv}", "rules": "1"}
    for unset in ("", " "):
        monkeypatch.setenv(decoders.VARIABLE, unset)
        assert decode.decoder_key() == usual
    monkeypatch.setenv(decoders.VARIABLE, " Threaded")
    assert decode.decoder_key() == decode.decoder_key("threaded")
    assert decode.decoder_key("pyav") == usual


def test_a_decoder_that_is_not_installed_is_an_error_with_the_remedy(folder, monkeypatch):
    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    path = made(folder, "mpeg4.avi")
    monkeypatch.setattr(importlib.metadata, "version", absent)
    decoders.installed_version.cache_clear()
    reading = (
        lambda: decode.decoder_key("torchcodec"),
        lambda: decode.read_video(path, short_side_px=SIDE, decoder="torchcodec"),
    )
    for read in reading:
        with pytest.raises(HarnessError, match=r"pip install quovadis-harness\[torchcodec\]"):
            read()
    decoders.installed_version.cache_clear()


def test_an_unknown_name_is_an_error_with_the_nearest_guess(monkeypatch):
    monkeypatch.setenv(decoders.VARIABLE, "torchcodecs")
    with pytest.raises(UnknownName, match=r"HARNESS_DECODER.*did you mean 'torchcodec'"):
        decode.decoder_key()
    with pytest.raises(UnknownName, match="no decoder 'pyavv'.*did you mean 'pyav'"):
        decode.decoder_key("pyavv")


# ---------------------------------------------------------------------------------------------------- passed as a value

INVERTED = """
from harness.core.plugins import Decoder
from harness.video.decoders.pyav import PyavFrames


class Inverted(PyavFrames):
    def planes(self, frame):
        return None

    def rgb(self, frame):
        return 255 - super().rgb(frame)


DECODER = Decoder(name="inverted", version=lambda: "1", open=Inverted)
"""


def test_worker_processes_decode_with_the_decoder_they_are_given(tmp_path, monkeypatch):
    """A reader, a frame store and a flow store, each with its processes; the environment names another decoder."""
    (tmp_path / "inverted.py").write_text(INVERTED)
    monkeypatch.setenv(registry.PLUGINS_ENV, str(tmp_path))
    monkeypatch.setenv(decoders.VARIABLE, "nonesuch")
    toy = prepare.open_prepared(CARD, tmp_path / "data")
    listed, scale = everything(toy), Scale("toy", 1, 1.0, 25.0, SIDE, 0.1, 0.0, FlowMethod("dis", 6.0, 24), {})

    def clips(name: str) -> np.ndarray:
        reader = loader.VideoReader(toy, streams=("rgb",), scale=scale, decoder=name, cache_bytes=0)
        how = {
            "clip": Clip(window=3, side_px=32),
            "batch": 4,
            "seed": 0,
            "steps": 1,
            "workers": int(name == "inverted"),
        }
        return np.concatenate([np.asarray(batch.clips["rgb"]) for batch in loader.train_batches(reader, listed, **how)])

    assert np.abs(255 - clips("inverted").astype(int) - clips("pyav")).mean() < MOST_APART

    store = frame_store.build_store(toy, scale, videos=listed, decoder="inverted", workers=2)
    original = decode.read_video(toy.path(listed[0]), short_side_px=SIDE)
    assert np.abs(255 - decode.read_video(store.path(listed[0]), short_side_px=SIDE).astype(int) - original).mean() < 8
    assert "inverted 1" in (store.folder / "key.json").read_text()

    flow = flow_store(toy, scale.flow, videos=listed, fps=25.0, decoder="inverted", workers=2)
    assert "inverted 1" in (flow.folder / "key.json").read_text() and not flow.broken
