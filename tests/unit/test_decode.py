"""Decoding: which frames come out, whole or by window, and the errors for broken files."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from harness.core.errors import BrokenVideo, DataMissing
from harness.video import decode, encode, resample
from tests import videos

SIDE = 48
KINDS = {
    "h264.mp4": {"codec": "libx264"},
    "h264 with B-frames.mp4": {"codec": "libx264", "options": {"bf": "3", "preset": "medium", "qp": "10"}},
    "mpeg4.avi": {"codec": "mpeg4"},
    "mpeg4 with B-frames.avi": {"codec": "mpeg4", "options": {"bf": "2"}},
    "ffv1.mkv": {"codec": "ffv1", "pix_fmt": "bgr0"},
    "one key frame.mp4": {"codec": "libx264", "gop": 1000},
    "ten bits.mp4": {"codec": "libx264", "pix_fmt": "yuv420p10le"},
    "full range.mp4": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "444.mp4": {"codec": "libx264", "pix_fmt": "yuv444p"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("videos")


def read(path: Path, fps: float = 25.0) -> np.ndarray:
    return decode.read_video(path, fps=fps, short_side_px=SIDE)


@pytest.mark.parametrize("name", KINDS)
def test_every_frame_once_and_windows_bit_for_bit(folder, name):
    path = videos.write(folder / name, videos.numbered(60), **KINDS[name])
    info = decode.probe(path)
    assert (info.num_frames, info.fps, info.width, info.height) == (60, 25.0, 64, 48)
    assert info.duration_s == pytest.approx(2.4)
    whole = read(path)
    assert whole.dtype == np.uint8 and whole.shape == (60, 48, 64, 3)
    assert videos.numbers(whole) == list(range(60))
    for window in ([0], [3, 4, 5], [30, 31, 40], [59], [58, 2, 58], range(35, 60, 4)):
        cut = decode.read_window(path, list(window), fps=25.0, short_side_px=SIDE)
        assert (cut == whole[list(window)]).all(), f"window {list(window)} differs from the whole"
    beyond = decode.read_window(path, [58, 61], fps=25.0, short_side_px=SIDE)
    assert (beyond == whole[[58, 59]]).all(), "past the end stands the last frame"


@pytest.mark.parametrize("indices", [[30, 31, 40], [40, 30, 40]], ids=["in order", "in any order"])
def test_a_window_is_put_where_it_is_to_be(folder, indices):
    path = videos.write(folder / "room.mp4", videos.numbered(60))
    batch = np.zeros((2, 3, SIDE, SIDE, 3), np.uint8)
    found = decode.read_window(path, indices, short_side_px=SIDE, crop=lambda *_: (0, 9, SIDE), out=batch[1])
    assert np.shares_memory(found, batch)
    assert (batch[1] == read(path)[indices, :, 9 : 9 + SIDE]).all() and not batch[0].any()
    with pytest.raises(ValueError):
        decode.read_window(path, indices, short_side_px=SIDE, out=batch[1])


def test_colours_survive_within_a_few_grey_levels(folder):
    frames = videos.numbered(3)
    errors = {}
    for name, how in KINDS.items():
        whole = read(videos.write(folder / f"colours {name}", frames, **how))
        errors[name] = float(np.abs(whole.astype(int) - frames).mean())
    assert errors["ffv1.mkv"] == 0
    assert max(errors.values()) < 4, errors
    swapped = float(np.abs(frames[..., ::-1].astype(int) - frames).mean())
    assert swapped > 8, "the test would not notice BGR"


@pytest.mark.parametrize(
    ("source_fps", "fps", "shown"),
    [
        (25, 25.0, [0, 1, 2, 3, 4, 5]),
        (50, 25.0, [0, 2, 4]),
        (30, 25.0, [0, 1, 2, 4, 5]),
        (12, 24.0, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]),
        (10, 25.0, [0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 4, 4, 5, 5, 5]),
    ],
)
def test_resampling_takes_the_nearest_frame_the_earlier_on_a_tie(folder, source_fps, fps, shown):
    path = videos.write(
        folder / f"rate{source_fps}.mkv", videos.numbered(6), codec="ffv1", pix_fmt="bgr0", fps=source_fps
    )
    assert videos.numbers(read(path, fps)) == shown


def test_variable_frame_rate_follows_the_timestamps(folder):
    at_ms = [0, 40, 80, 280, 320, 600, 640]
    path = videos.write(folder / "vfr.mp4", videos.numbered(7), ticks=at_ms, tick=Fraction(1, 1000))
    whole = read(path)
    expected = [int(np.argmin([abs(ms - 40 * k) + 1e-3 * i for i, ms in enumerate(at_ms)])) for k in range(17)]
    assert videos.numbers(whole)[:17] == expected
    for k in range(len(whole)):
        assert (decode.read_window(path, [k], fps=25.0, short_side_px=SIDE)[0] == whole[k]).all()


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4"])
@pytest.mark.parametrize("ticks", [range(90), sorted({k + k * k // 40 for k in range(90)})], ids=["even", "uneven"])
def test_what_leads_to_a_window_and_is_not_predicted_from_is_not_decoded(folder, codec, ticks):
    options = {"bf": "3", "b-pyramid": "2", "preset": "medium", "crf": "10"} if codec == "libx264" else {"bf": "3"}
    path = folder / f"{codec} {ticks[-1]}.mp4"
    videos.write(path, videos.numbered(90), codec=codec, gop=250, options=options, ticks=ticks, tick=Fraction(1, 25))
    whole, few = read(path), 0
    for first in (26, 45, 80):
        cut = decode.read_window(path, range(first, first + 9), short_side_px=SIDE)
        assert (cut == whole[first : first + 9]).all()
        with decode.VideoFile(path) as file:
            times = [stamp for stamp, _ in file.frames.decode(round(first / 25 / file.tick_s))]
        with decode.VideoFile(path) as file:
            every = [stamp for stamp, _ in file.frames.decode()]
        assert times == sorted(times) and set(times) <= set(every)
        shown = max(stamp for stamp in every if stamp * file.tick_s < first / 25 - 1e-6)
        assert [stamp for stamp in times if stamp >= shown] == [stamp for stamp in every if stamp >= shown]
        few = len(every) - len(times)
    assert few >= 10, f"of {len(every)} frames"


def test_time_starts_at_the_first_frame_whatever_the_header_says(folder):
    late = videos.write(
        folder / "late.mkv", videos.numbered(60), codec="ffv1", pix_fmt="bgr0", ticks=range(7, 67), tick=Fraction(1, 25)
    )
    assert videos.numbers(read(late)) == list(range(60))
    assert videos.numbers(decode.read_window(late, [50], short_side_px=SIDE)) == [50]


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_rotation_metadata_turns_the_picture_upright(folder, rotation):
    frames = videos.numbered(4)
    path = videos.write(folder / f"turned {rotation}.mp4", frames, rotation=rotation)
    upright = np.rot90(read(videos.write(folder / "plain.mp4", frames)), rotation // 90, axes=(1, 2))
    assert (read(path) == upright).all()
    assert (decode.read_window(path, [2], short_side_px=SIDE)[0] == upright[2]).all()


def test_short_side_is_resized_and_the_aspect_kept(folder):
    path = videos.write(folder / "sizes.mp4", videos.numbered(2, height=50, width=90))
    assert decode.read_video(path, short_side_px=25).shape == (2, 25, 45, 3)
    odd = videos.write(folder / "odd.mp4", videos.numbered(2, height=49, width=65), pix_fmt="yuv444p")
    assert decode.read_video(odd, short_side_px=49).shape == (2, 49, 65, 3)


@pytest.mark.parametrize("name", ["clip [1] #2 (a)&b;c@d~e!+.avi", "50%d.avi", "-x_.avi", "a:b.avi", "übung.avi"])
def test_odd_file_names(folder, name):
    assert len(read(videos.write(folder / name, videos.numbered(3), codec="mpeg4"))) == 3


def test_a_file_name_that_is_not_utf8(folder):
    plain = videos.write(folder / "plain.avi", videos.numbered(3), codec="mpeg4")
    odd = folder / os.fsdecode(b"caf\xe9.avi")
    odd.write_bytes(plain.read_bytes())
    assert len(read(odd)) == 3 and decode.probe(odd).num_frames == 3


def test_a_tag_that_is_not_utf8(folder):
    path = folder / "tag.mp4"
    with path.open("wb") as file:
        encode.write_stream(file, videos.numbered(3), codec="mpeg4-store", fps=25, comment="cafe")
    path.write_bytes(path.read_bytes().replace(b"cafe", b"caf\xe9"))
    assert b"caf\xe9" in path.read_bytes() and decode.probe(path).num_frames == 3


def broken_files(folder: Path) -> dict[str, tuple[Path, str]]:
    whole = videos.write(folder / "whole.avi", videos.numbered(80), codec="mpeg4").read_bytes()
    mkv = videos.write(folder / "whole.mkv", videos.numbered(80), codec="ffv1", pix_fmt="bgr0").read_bytes()
    mp4 = videos.write(folder / "whole.mp4", videos.numbered(80)).read_bytes()
    files = {
        "empty": (b"", "cannot be opened"),
        "text": (b"<html>404</html>" * 50, "cannot be opened"),
        # PyAV 19 refuses the frame that is cut, earlier versions show it.
        "cut.avi": (whole[: len(whole) // 2], r"truncated: \d+ of \d+ frames|cannot be decoded"),
        "cut.mkv": (mkv[: len(mkv) // 2], r"truncated: \d+ of 80 frames"),
        "cut.mp4": (mp4[: len(mp4) // 2], "cannot be opened"),
        "header only.mkv": (mkv[:700], "no frame|cannot be|truncated"),
    }
    made = {}
    for name, (content, cause) in files.items():
        (folder / name).write_bytes(content)
        made[name] = folder / name, cause
    promised = videos.write_tone(folder / "promised.avi", pictures=True)
    return {
        **made,
        "promised.avi": (promised, "no frame|cannot be"),
        "sound.mp4": (videos.write_tone(folder / "sound.mp4"), "no video stream, only audio"),
    }


def test_broken_files_are_named_with_their_cause(folder):
    for name, (path, cause) in broken_files(folder).items():
        with pytest.raises(BrokenVideo, match=cause) as caught:
            read(path)
        assert str(path) in str(caught.value), name
        with pytest.raises(BrokenVideo):
            decode.read_window(path, [79], short_side_px=SIDE)
    with pytest.raises(DataMissing, match=r"no file at .*absent\.mp4"):
        read(folder / "absent.mp4")


def test_pictures(folder):
    import cv2

    picture = videos.numbered(1, height=60, width=80)[0]
    cv2.imwrite(str(folder / "one.png"), picture[..., ::-1])
    assert (decode.read_image(folder / "one.png", short_side_px=60) == picture).all()
    assert decode.read_image(folder / "one.png", short_side_px=30).shape == (30, 40, 3)
    (folder / "two.png").write_bytes((folder / "one.png").read_bytes()[:40])
    for content in (b"", b"x" * 100, (folder / "one.png").read_bytes()[:40]):
        (folder / "two.png").write_bytes(content)
        with pytest.raises(BrokenVideo, match="not a picture"):
            decode.read_image(folder / "two.png", short_side_px=30)
    with pytest.raises(DataMissing):
        decode.read_image(folder / "three.png", short_side_px=30)


def test_the_timeline_is_as_long_as_the_video_and_monotonous():
    times = [0.0, 0.1, 0.11, 0.5, 0.9]
    got = list(resample.nearest([(t, i) for i, t in enumerate(times)], fps=10.0, frame_s=0.2))
    assert got == list(enumerate([0, 1, 2, 2, 3, 3, 3, 3, 4, 4, 4]))
    tail = list(resample.nearest([(t, i) for i, t in enumerate(times)][3:], fps=10.0, frame_s=0.2, first=6))
    assert tail == got[6:]


def test_the_key_names_what_decodes_and_converts():
    key = decode.decoder_key()
    assert set(key) == {"decoder", "convert", "rules"} and key["decoder"].startswith("pyav ")


REAL = {"demo.mp4": (280, 250), "test.avi": (164, 164), "v_CricketShot_g04_c01_rgb.gif": (79, 79)}


@pytest.mark.parametrize("name", REAL)
def test_real_clips_agree_with_other_readers_frame_by_frame(test_data, name):
    """The frames of OpenCV's own reader, which counts frames and never seeks, at the same indices."""
    import cv2

    path = test_data / "videos" / name
    in_file, at_25 = REAL[name]
    info = decode.probe(path)
    native = decode.read_video(path, fps=info.fps, short_side_px=min(info.height, info.width))
    assert info.num_frames == len(native) == in_file
    assert len(decode.read_video(path, short_side_px=64)) == at_25
    capture = cv2.VideoCapture(str(path))
    for k, ours in enumerate(native):
        assert capture.grab()
        if k % 7:
            continue
        _, bgr = capture.retrieve()
        assert np.abs(ours.astype(np.int16) - bgr[..., ::-1]).mean() <= 1.5, f"frame {k}"
    for k in (1, 50, 49, in_file - 1):
        window = decode.read_window(path, [k], fps=info.fps, short_side_px=min(info.height, info.width))
        assert (window[0] == native[k]).all()
