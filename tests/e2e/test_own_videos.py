"""One's own videos from the command line: class folders, then a list, to finished records."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from harness.datasets.synthetic.catalogue import ClipSpec
from harness.datasets.synthetic.scene import frames_of
from harness.video import encode
from tests.commands import command, record_of, run

LABELS = ("opening gate", "closing gate")
ONE_STEP = ("--modality", "rgb", "--init", "scratch", "--scale", "micro", "--protocol", "original")
ONE_STEP += ("--set", "original.steps=1", "--set", "original.batch=2")


def filled(root: Path) -> Path:
    """Two classes in class folders: two clips each to train on, one to score."""
    for action, label in zip(("open", "close"), LABELS, strict=True):
        for number, subset in enumerate(("train", "train", "test")):
            path = root / subset / label / f"clip {number}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            encode.write_video(path, frames_of(ClipSpec("park", action, f"{subset}-{number}", "0")))
    return root


@pytest.fixture(scope="module")
def cell(tmp_path_factory) -> tuple[Path, Path, dict]:
    """(the house, the folder, the cell that came of it)."""
    house = tmp_path_factory.mktemp("house")
    videos = filled(tmp_path_factory.mktemp("mine") / "my videos")
    (cell,) = run(*ONE_STEP, "--dataset", f"folder:{videos}", workspace=house)
    return house, videos, cell


def test_class_folders_come_to_a_finished_record(cell):
    house, videos, found = cell
    assert found["counts"]["n"] == 2
    record = record_of(house, found["jobs"][0])
    assert record["classes"] == sorted(LABELS)
    assert record["spec"]["dataset"]["name"] == f"folder:{videos}"
    assert record["fingerprint"]
    assert sorted(path.suffix for path in videos.rglob("*") if path.is_file()) == [".mp4"] * 6, "it is only read"


def test_the_same_videos_elsewhere_are_the_same_jobs_and_others_are_not(cell, tmp_path):
    house, videos, found = cell
    root = tmp_path / "my videos"
    shutil.copytree(videos, root)
    assert jobs(house, f"folder:{root}") == found["jobs"]
    (root / "train/opening gate/clip 0.mp4").unlink()
    assert jobs(house, f"folder:{root}") != found["jobs"]


def test_a_list_comes_to_a_finished_record_and_a_bad_line_stops_before_any_work(cell, tmp_path):
    """mmaction2's form, files flat beside the lists, classes by number."""
    house, videos, _ = cell
    for subset in ("train", "test"):
        lines = []
        for label, title in enumerate(sorted(LABELS)):
            for path in sorted((videos / subset / title).iterdir()):
                flat = f"{subset}{label}{path.stem[-1]}.mp4"
                shutil.copy(path, tmp_path / flat)
                lines.append(f"{flat} {label}")
        (tmp_path / f"{subset}_list.txt").write_text("\n".join(lines) + "\n")
    (found,) = run(*ONE_STEP, "--dataset", f"folder:{tmp_path}", workspace=house)
    record = record_of(house, found["jobs"][0])
    assert (found["counts"]["n"], record["classes"]) == (2, ["0", "1"])
    (tmp_path / "test_list.txt").write_text("../test00.mp4 0\n")
    done = command("run", *ONE_STEP, "--dataset", f"folder:{tmp_path}", workspace=house, check=2)
    assert "'../test00.mp4' leaves the data set's folder" in done.stderr and "Traceback" not in done.stderr


def jobs(house: Path, dataset: str) -> list[str]:
    """Ids of the cell's jobs, once the data set is prepared."""
    command("data", "prepare", dataset, workspace=house)
    (planned,) = json.loads(command("plan", *ONE_STEP, "--dataset", dataset, "--json", workspace=house).stdout)["cells"]
    return planned["jobs"]
