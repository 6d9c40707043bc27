"""The micro data sets as files: rendered completely or not at all, always the same bytes, real video, and honest.

To look at them: `harness data stats micro-hmdb51` draws a contact sheet.
"""

import hashlib
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from harness.core import registry
from harness.data import prepare
from harness.datasets.synthetic import scene, sets
from harness.datasets.synthetic.catalogue import APPEARANCE, REVERSED, ClipSpec
from harness.datasets.synthetic.rendering import render_set
from harness.video.encode import write_video


@pytest.fixture
def small(monkeypatch):
    """Every micro set with its first 20 files only."""

    def cut(name, whole=sets.contents):
        contents = whole(name)
        return sets.Contents(dict(itertools.islice(contents.files.items(), 20)), contents.texts)

    monkeypatch.setattr(sets, "contents", cut)


def _digests(root):
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("name", ["micro-kinetics", "micro-ucf101", "micro-hmdb51", "micro-imagenet"])
def test_the_same_bytes_twice(name, small, tmp_path):
    seen = []
    for place in ("a", "b"):
        render_set(name, tmp_path / place, lambda *done: seen.append(done), workers=1)
    first, second = _digests(tmp_path / "a"), _digests(tmp_path / "b")
    assert first == second
    assert len([path for path in first if path.endswith((".avi", ".mp4", ".jpg"))]) == 20
    assert len(set(first.values())) == len(first) or name == "micro-hmdb51"  # whose unused lists may agree
    assert seen == [(16, 20), (20, 20)] * 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_the_same_bytes_from_two_workers(small, tmp_path):
    render_set("micro-ucf101", tmp_path / "one", workers=1)
    render_set("micro-ucf101", tmp_path / "two", workers=2)
    assert _digests(tmp_path / "one") == _digests(tmp_path / "two")


def test_files_are_real_videos_in_the_formats_of_the_originals(small, tmp_path):
    import av

    for name, codec in (("micro-kinetics", "h264"), ("micro-ucf101", "mpeg4"), ("micro-hmdb51", "mpeg4")):
        render_set(name, tmp_path / name, workers=1)
        videos = [path for path in (tmp_path / name).rglob("*") if path.suffix in (".mp4", ".avi")]
        assert len(videos) == 20
        for path in videos[:4]:
            with av.open(str(path)) as container:
                (video,) = container.streams
                assert (video.codec_context.name, video.average_rate) == (codec, 25)
                frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video)]
            assert len(frames) >= 16
            assert frames[0].shape == (72, 96, 3)
            assert np.abs(np.diff(np.float32(frames), axis=0)).mean() > 0.5  # something moves


def test_pixels_survive_the_codecs(tmp_path):
    import av

    frames = scene.frames_of(ClipSpec("park", "carry-1", "g", "0"))
    for name, codec in (("a.mp4", "h264"), ("a.avi", "mpeg4"), ("a.mkv", "ffv1")):
        write_video(tmp_path / name, frames, codec=codec)
        with av.open(str(tmp_path / name)) as container:
            decoded = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
        worst = 0 if codec == "ffv1" else 5  # grey levels; colour is kept at half the resolution
        assert np.abs(np.float32(decoded) - frames).mean() <= worst


def test_a_killed_render_leaves_nothing_that_reads_as_whole(tmp_path):
    card, root = registry.load("dataset", "micro-imagenet"), tmp_path / "micro-imagenet"
    code = (
        "import sys; from pathlib import Path\n"
        "from harness.core import registry; from harness.data import prepare\n"
        "card = registry.load('dataset', 'micro-imagenet')\n"
        "if __name__ == '__main__': prepare.open_prepared(card, Path(sys.argv[1]))\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    process = subprocess.Popen([sys.executable, str(script), str(tmp_path)], env=_environment())
    try:
        _wait_for(lambda: len(list(tmp_path.rglob("*.jpg"))) > 5)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not root.exists()
    (temporary,) = tmp_path.glob(".micro-imagenet.*.half")
    _wait_for(lambda: _still(temporary))  # the workers exit with their parent
    prepared = prepare.open_prepared(card, tmp_path)
    assert len(prepared.videos) == sum(card.counts.values()) and not temporary.exists()


def _environment():
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


def _wait_for(condition, *, limit_s=60):
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def _still(folder):
    before = len(list(folder.rglob("*")))
    time.sleep(0.5)
    return len(list(folder.rglob("*"))) == before


# --------------------------------------------------------------------------------------------------- honesty

GROUPS = range(12)
TRAINED = 6
"""Groups below train, the others test: no actor or place is on both sides."""


@pytest.fixture(scope="module")
def clips():
    """Action -> group -> clips (T, 72, 96, 3), of the reversal pairs and the appearance classes of one world."""
    actions = [*REVERSED, *REVERSED.values(), *APPEARANCE]
    specs = {
        action: [[ClipSpec("hall", action, str(g), str(c)) for c in range(2)] for g in GROUPS] for action in actions
    }
    return {action: [[scene.frames_of(spec) for spec in those] for those in groups] for action, groups in specs.items()}


def _describe(picture):
    """Edges and vivid colours of a still, (576 + 12,)."""
    hog = cv2.HOGDescriptor((64, 64), (16, 16), (16, 16), (8, 8), 9)
    square = cv2.resize(picture, (64, 64), interpolation=cv2.INTER_AREA)
    return np.concatenate([hog.compute(cv2.cvtColor(square, cv2.COLOR_RGB2GRAY)).ravel(), _vivid(picture)])


def _vivid(picture):
    """Hues of the vivid pixels, (12,): those of objects rather than of places and clothes."""
    hue, saturation, value = cv2.split(cv2.cvtColor(picture, cv2.COLOR_RGB2HSV))
    return np.histogram(hue[(saturation > 140) & (value > 90)], bins=12, range=(0, 180))[0] / 100


def _accuracy(clips, actions, describe):
    """(share right, number of clips) of a linear classifier of the actions on clips of groups it was not trained on."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    sides = ([], []), ([], [])
    for label, action in enumerate(actions):
        for group, those in enumerate(clips[action]):
            features, labels = sides[group >= TRAINED]
            described = [row for frames in those for row in describe(frames)]
            features += described
            labels += [label] * len(described)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1e-2, max_iter=300)).fit(*sides[0])
    tested = sum(len(those) for action in actions for those in clips[action][TRAINED:])
    return model.score(*sides[1]), tested


def _moments(frames):
    """As far from the beginning as from the end."""
    return [2, len(frames) // 3, len(frames) - 1 - len(frames) // 3, len(frames) - 3]


def _stills(frames):
    return [_describe(frames[at]) for at in _moments(frames)]


def _change(frames):
    return [_describe(frames[-3]) - _describe(frames[2])]


def _colours(frames):
    return [_vivid(frames[at]) for at in _moments(frames)]


def test_a_still_says_nothing_about_the_direction_of_time_and_two_do(clips):
    """Chance is 1/2 a pair. Stills of a clip are not independent: the deviation is that of as many clips."""
    by_stills, by_change, number = 0.0, 0.0, 0
    for pair in REVERSED.items():
        (still, tested), (change, _) = _accuracy(clips, pair, _stills), _accuracy(clips, pair, _change)
        by_stills, by_change, number = by_stills + still * tested, by_change + change * tested, number + tested
    assert number == 72
    deviation = (number / 4) ** 0.5
    assert abs(by_stills - number / 2) < 2.6 * deviation, f"{by_stills:.0f} of {number} by a still"
    assert by_change > number / 2 + 4 * deviation, f"{by_change:.0f} of {number} by first and last frame"


def test_a_still_tells_the_appearance_classes_apart(clips):
    """Chance is 1/4."""
    right, number = _accuracy(clips, APPEARANCE, _colours)
    assert right * number > number / 4 + 5 * (number * 3 / 16) ** 0.5, f"{right:.0%} of {number}; chance is a quarter"


def test_pairs_have_the_same_pictures_on_average(clips):
    """Mean colours over all frames of a pair's classes differ by no more than chance lets them."""
    for pair in REVERSED.items():
        means = [np.stack([frames.mean(axis=(0, 1, 2)) for those in clips[a] for frames in those]) for a in pair]
        error = np.concatenate(means).std(0) / (len(means[0]) / 2) ** 0.5
        assert (np.abs(means[0].mean(0) - means[1].mean(0)) < 3 * error).all()
