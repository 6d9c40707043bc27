"""What is asked of finished jobs: predict, check, diagnose, on toy videos. The networks are tiny and hardly
trained: what is tested is that they are fed as they were when they were scored, and that it shows when they are not."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from filelock import FileLock

from harness.core.errors import BrokenVideo, HarnessError
from harness.metrics.fusion import late_fusion
from harness.records.record import RunStore
from tests.breaks import BREAKS

ROOT = Path(__file__).resolve().parents[2]
TINY = ("--init", "scratch", "--set", "scale.width=0.04", "--set", "train.batch=4", "--no-mlflow")
TARGET = ("--dataset", "toy-hmdb51", "--protocol", "original")


def trained(ask, house: Path, *words: str) -> list[str]:
    """Ids of the scored jobs of one cell, trained if they are not there yet."""
    with FileLock(house / "after-training.lock"):
        out = ask("run", *words, *TINY, "--json").output
    (last,) = [event for line in out.splitlines() if '"results"' in line and (event := json.loads(line))]
    (cell,) = last["cells"]
    return cell["jobs"]


@pytest.fixture
def joint(asked, house: Path) -> str:
    """Two-Stream on both streams, trained jointly: its id."""
    (job,) = trained(asked, house, "--baseline", "two-stream", *TARGET, "--set", "train.steps=12")
    return job


def file_of(house: Path, video_id: str) -> Path:
    (found,) = (house / "data" / "toy-hmdb51").glob(f"{glob_safe(video_id)}.*")
    return found


def glob_safe(name: str) -> str:
    return name.replace("[", "[[]")


# ---------------------------------------------------------------------------------------------------- predict


def same_as_recorded(asked, house: Path, jobs: list[str]) -> None:
    """A test video given as a file gets the logits that the jobs recorded, fused where they are two."""
    records = [RunStore(house / "results" / "runs").read(job) for job in jobs]
    scores = records[0].scores()
    for record in records[1:]:
        scores = late_fusion(scores, record.scores())
    for row in (0, scores.n - 1):
        words = [word for job in jobs for word in ("--job", job)]
        told = json.loads(asked("predict", file_of(house, scores.ids[row]), *words, "--json").output)
        np.testing.assert_allclose([told["logits"][name] for name in records[0].classes], scores.logits[row], atol=2e-4)
        assert told["top"][0]["class"] == records[0].classes[int(scores.logits[row].argmax())]
        assert sum(entry["probability"] for entry in told["top"]) == pytest.approx(1, abs=1e-3)  # 4 classes, 5 asked


def test_predictions_on_test_videos_are_the_recorded_scores_joint(asked, house, joint):
    same_as_recorded(asked, house, [joint])


def test_predictions_on_test_videos_are_the_recorded_scores_fused(asked, house):
    jobs = trained(asked, house, "--baseline", "i3d", "--modality", "rgb+flow", *TARGET, "--set", "train.steps=3")
    assert len(jobs) == 2
    same_as_recorded(asked, house, jobs)


def test_predictions_on_test_videos_are_the_recorded_scores_fixed(asked, house):
    words = ("--baseline", "c3d", "--dataset", "toy-hmdb51", "--protocol", "fixed", "--set", "fixed.steps=5")
    (job,) = trained(asked, house, *words, "--set", "source.steps=3", "--set", "source.batch=4")
    assert RunStore(house / "results" / "runs").read(job).kind == "head"
    same_as_recorded(asked, house, [job])


def test_predict_shows_what_was_seen(asked, house, joint, tmp_path):
    video = next((house / "data" / "toy-hmdb51").glob("*/*.avi"))
    told = asked("predict", video, "--job", joint[:6], "--out", tmp_path).output
    assert "5 clips of 1 rgb frame and 5 flow frames" in told and "%" in told
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"{video.stem}.{end}" for end in ("clip.png", "clip.gif", "curve.svg")}
    import PIL.Image

    with PIL.Image.open(tmp_path / f"{video.stem}.clip.gif") as animation:
        assert animation.n_frames == 5


def test_a_folder_becomes_a_csv_that_names_what_is_broken(asked, house, joint, tmp_path):
    shutil.copy(next((house / "data" / "toy-hmdb51").glob("*/*.avi")), tmp_path / "good.avi")
    (tmp_path / "bad.mp4").write_bytes(b"not a video")
    done = asked("predict", tmp_path, "--job", joint, "--top", 2, code=None)
    assert isinstance(done.exception, HarnessError) and "bad.mp4" in str(done.exception)
    rows = {row["video"]: row for row in csv.DictReader(io.StringIO(done.stdout))}
    assert (
        rows["good.avi"]["class_1"]
        and float(rows["good.avi"]["probability_2"]) <= 0.5
        and not rows["good.avi"]["error"]
    )
    assert "bad.mp4" in rows["bad.mp4"]["error"] and not rows["bad.mp4"]["class_1"]


@pytest.mark.parametrize(
    "words, kind, said",
    [
        (["gone.avi", "--job", "JOB"], HarnessError, "gone.avi"),
        (["BROKEN", "--job", "JOB"], BrokenVideo, "broken.avi"),
        (["BROKEN", "--job", "zzz"], HarnessError, "harness ls jobs"),
        (["BROKEN"], HarnessError, "--job ID"),
        (["BROKEN", "--job", "JOB", "--job", "JOB"], HarnessError, "twice"),
        (["BROKEN", "--weights", "published:nobodys"], HarnessError, "nobodys"),
    ],
)
def test_what_cannot_be_predicted_is_said(asked, joint, tmp_path, words, kind, said):
    broken = tmp_path / "broken.avi"
    broken.write_bytes(b"RIFF....AVI ")
    done = asked("predict", *[{"JOB": joint, "BROKEN": broken}.get(word, word) for word in words], code=None)
    assert isinstance(done.exception, kind), done.exception
    assert said in str(done.exception) and "\n" not in str(done.exception).strip()


# ---------------------------------------------------------------------------------------------------- check


@pytest.fixture
def expected(asked, joint, tmp_path) -> Path:
    """A file that expects the joint job's counts: proposed by --update, accepted by renaming."""
    path = tmp_path / "toy.toml"
    path.write_text(f'[[rescored]]\njob = "{joint}"\n')
    wish = asked("check", "--expected", path, "--update", code=1).output
    assert "+correct1 =" in wish and path.read_text().count("\n") == 2, "a proposal is not the file"
    path.with_name("toy.toml.proposed").rename(path)
    return path


def test_an_honest_rerun_passes_and_what_is_broken_is_caught(asked, expected, tmp_path, monkeypatch):
    assert "1 of 1 expected numbers are reproduced" in asked("check", "--expected", expected).output
    for name, break_it in BREAKS.items():
        with monkeypatch.context() as broken:
            break_it(broken)
            told = asked("check", "--expected", expected, "--junit", tmp_path / "junit.xml", code=1).output
        assert "FAIL" in told and ("labels of" if name == "label order" else "predictions changed") in told, name
        (case,) = ElementTree.parse(tmp_path / "junit.xml").getroot().iter("failure")
        assert case.get("type") == "fail", name
    assert asked("check", "--expected", expected, "--junit", tmp_path / "junit.xml").exit_code == 0
    assert ElementTree.parse(tmp_path / "junit.xml").getroot()[0].get("failures") == "0"


def test_a_cell_that_is_expected_and_not_there_fails_as_missing(asked, joint, tmp_path):
    path = tmp_path / "toy.toml"
    counts = "correct1 = [20, 21, 22, 23, 24]\nn = 40\nmean_pct = 55.00\ndeviation_pct = 3.95\njobs = ['a', 'b', 'c', 'd', 'e']\n"
    path.write_text(
        f"[[retrained]]\nbaseline = 'c3d'\ndataset = 'toy-hmdb51'\nprotocol = 'original'\nseeds = [90, 91, 92, 93, 94]\n{counts}"
    )
    told = asked("check", "--expected", path, code=1).output
    assert "MISS" in told and "harness run --baseline c3d" in told and "--seed 90" in told


# ---------------------------------------------------------------------------------------------------- diagnose


def test_diagnose_measures_every_cause(asked, joint):
    told = json.loads(asked("diagnose", joint, "--videos", 12, "--json").output.splitlines()[-1])
    assert told["n"] == 12 and told["accuracy_pct"] == told["recorded_pct"] and told["largest_logit_change"] < 2e-4
    causes = {entry["cause"] for entry in told["causes"]}
    assert causes == {
        "label order",
        "RGB/BGR",
        "value range",
        "flow order",
        "flow quantization",
        "BN mode",
        "fps",
        "views",
    }
    measured = [entry for entry in told["causes"] if entry["difference"]]
    assert len(measured) == len(told["causes"]) >= 14
    changed = {entry["instead"]: entry["predictions_changed"] for entry in measured}
    assert changed["counted from 1"] == 0 and sum(changed.values()) > 0
    settings = {entry["name"]: entry for entry in told["settings"]}
    assert settings["train.steps"]["job"] == 12 and settings["train.steps"]["differs"]
    assert settings["scale.width"]["job"] == 0.04 and settings["scale.width"]["paper"] == 1.0
    assert not settings["scale.bn_momentum"]["differs"]


def test_diagnose_leaves_the_network_and_the_data_unchanged(asked, house, joint):
    before = sorted(path.relative_to(house) for path in (house / "data").rglob("*"))
    first = asked("diagnose", joint, "--videos", 4).stdout
    assert first == asked("diagnose", joint, "--videos", 4).stdout and "cause" in first
    assert before == sorted(path.relative_to(house) for path in (house / "data").rglob("*"))
