"""What `harness data stats` counts, which clips it shows, and that its pictures are pictures."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from harness.commands.data import stats
from harness.core import registry
from harness.data import prepare, preview
from harness.data.summary import census, most
from reports.figures.dataset import overview, shortened
from reports.figures.drawing import width_of
from tests import videos


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Two classes; 3 training and 2 test videos of 10 to 30 frames, one of them broken."""
    root = tmp_path_factory.mktemp("data") / "own"
    for number, name in enumerate(("train/up/a.mp4", "train/up/b.mp4", "train/down/a.avi", "test/up/c.mp4")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        codec = "mpeg4" if name.endswith("avi") else "libx264"
        videos.write(root / name, videos.numbered(10 * min(number + 1, 3), width=96 if number else 64), codec=codec)
    (root / "test" / "down").mkdir()
    (root / "test" / "down" / "broken.mp4").write_bytes(b"no video")
    return root


@pytest.fixture(scope="module")
def prepared(data):
    return prepare.open_prepared(registry.load("dataset", f"folder:{data}"), data.parent)


def test_the_census_counts_what_is_there(prepared):
    facts = census(prepared)
    assert (facts.videos, facts.unreadable, facts.missing, facts.classes) == (5, 1, 0, ("down", "up"))
    assert {s.name: (s.videos, s.listed, s.per_class) for s in facts.subsets} == {
        "train": (3, 3, (1, 2)), "test": (2, 2, (1, 1)),
    }  # fmt: skip
    assert dict(facts.sizes) == {"96x48": 3, "64x48": 1}
    assert dict(facts.codecs) == {"h264": 3, "mpeg4": 1}
    assert dict(facts.fps) == {"25": 4}
    assert facts.duration_marks() == {0: 0.4, 5: 0.4, 50: 1.2, 95: 1.2, 100: 1.2}
    assert most({"a": 5, "b": 4, "c": 2, "d": 1}, 3) == [("a", 5), ("b", 4), ("2 others", 3)]


def test_clips_are_of_all_classes_the_same_every_time_and_can_be_decoded(prepared):
    found = preview.strips(prepared, clips=2, columns=3)
    assert [strip.class_name for strip in found] == ["down", "up"]
    assert "broken" not in found[0].video.path
    for strip in found:
        assert strip.frames.shape[0] == len(strip.times_s) == 3
        assert strip.flows.shape == (*strip.frames.shape[:3], 2)
        assert strip.times_s[0] == 0 < strip.times_s[1] < strip.times_s[2]
        assert np.abs(strip.flows).max() > 0.5  # the texture moves by 1.5 px a frame
    again = preview.strips(prepared, clips=2, columns=3)
    assert all((a.frames == b.frames).all() for a, b in zip(found, again, strict=True))
    many = preview.strips(prepared, clips=6, columns=2)
    ids = [strip.video.id for strip in many]
    assert len(ids) == len(set(ids)) == 4, "every video that can be decoded, once"


def test_pictures_and_facts_are_written(data, tmp_path):
    from PIL import Image

    folders = ["--out", tmp_path / "out", "--data", data.parent, "--results", tmp_path / "results"]
    words = [f"folder:{data}", "--clips", 2, "--columns", 3, "--json", *folders]
    printed = CliRunner().invoke(stats.command, list(map(str, words))).output
    facts = json.loads(printed[printed.index("{\n") :])
    assert facts["videos"] == 5 and facts["written"]
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    clips, overview = ((tmp_path / "out" / name).read_text() for name in names)
    assert names[0].endswith("-clips.svg") and "5 videos" in overview and "down" in overview
    pictures = re.findall(r"base64,([^\"]+)", clips)
    assert len(pictures) == 1 + 2 * 2 * 3, "the wheel, and frames and flow of 3 moments of 2 clips"
    for encoded in pictures:
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB"))
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50, "next to nothing is drawn"


def facts_of(prepared, *seconds: float, classes: tuple[str, ...] = ("down", "up")):
    return dataclasses.replace(census(prepared), durations_s=tuple(sorted(seconds)), classes=classes)


def title_of(facts) -> str:
    (title,) = re.findall(r"Duration, s \([^<]*\)", overview(facts).svg)
    return title


def test_the_title_of_the_durations_does_not_contradict_itself(prepared):
    assert title_of(facts_of(prepared, *[0.1] * 99, *[2.3] * 100, 2.4)) == "Duration, s (0.1 to 2.4, median 2.3)"
    outliers = title_of(facts_of(prepared, *[1.0] * 999, 60.0))
    assert outliers == "Duration, s (1.0 to 60.0, median 1.0; not drawn: 1 over 1.0)"


def test_class_names_of_any_script_are_written_and_cut_to_the_space_there_is(prepared):
    wide, long = "走る", "跳ぶ" * 20
    svg = overview(facts_of(prepared, 1.0, 2.0, classes=(wide, long))).svg
    assert f">{wide}<" in svg and long not in svg
    assert shortened(long, 28) == "跳ぶ" * 6 + "跳…" and shortened("a" * 28, 28) == "a" * 28
    assert width_of(wide) == 2 * width_of("up")
