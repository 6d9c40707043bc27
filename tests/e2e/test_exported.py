"""An exported folder as `--weights` and as `--source`: the job's numbers bit for bit, and no video scored that it was trained on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from filelock import FileLock
from safetensors.torch import load_file, save_file

from harness.records.stored import read_scores

Asked = Callable[..., Result]
"""`harness WORDS` in this process."""
TINY = ("--baseline", "c3d", "--init", "scratch", "--set", "scale.width=0.04")
TARGET = ("--dataset", "toy-hmdb51")


@pytest.fixture
def exported(asked: Asked, house: Path) -> tuple[str, Path]:
    """(job, the folder that its network was exported to), trained by the first test that asks."""
    folder = house / "exported" / "my-network"
    with FileLock(house / "exported.lock"):
        words = ("--protocol", "original", "--set", "train.steps=6", "--set", "train.batch=4")
        job = job_of(asked("run", *TINY, *TARGET, *words, "--no-mlflow", "--json"))
        if not folder.is_dir():
            folder.parent.mkdir()
            asked("weights", "export", job, "--to", folder)
    return job, folder


def job_of(done: Result) -> str:
    """The job behind the only number of `harness run --json`."""
    (last,) = [event for line in done.stdout.splitlines() if '"results"' in line and (event := json.loads(line))]
    ((job,),) = [cell["jobs"] for cell in last["cells"]]
    return str(job)


def logits(house: Path, job: str) -> np.ndarray:
    return read_scores(house / "results" / "runs" / job / "scores.npz").logits


def test_scored_as_published_it_has_the_jobs_logits_bit_for_bit(
    asked: Asked, house: Path, exported: tuple[str, Path]
) -> None:
    job, folder = exported
    words = ("--protocol", "as-published", "--source", folder, "--no-mlflow", "--json")
    again = job_of(asked("run", *TINY, *TARGET, *words))
    assert again != job and np.array_equal(logits(house, again), logits(house, job))


def test_it_can_be_fine_tuned_from_another_place_under_the_same_id(
    asked: Asked, house: Path, exported: tuple[str, Path], tmp_path: Path
) -> None:
    moved = shutil.copytree(exported[1], tmp_path / "copy")
    words = ("--protocol", "full-ft", "--set", "train.steps=2", "--set", "train.batch=4", "--no-mlflow", "--json")
    job, again = (job_of(asked("run", *TINY, *TARGET, *words, "--source", place)) for place in (exported[1], moved))
    record = json.loads((house / "results" / "runs" / job / "record.json").read_text())
    assert job == again and record["spec"]["pretrained"]["name"] == str(exported[1]) and not record["upstream"]


def test_predictions_and_features_of_the_folder_are_those_of_the_job(
    asked: Asked, house: Path, exported: tuple[str, Path], tmp_path: Path
) -> None:
    job, folder = exported
    video = next((house / "data" / "toy-hmdb51").glob("*/*.avi"))
    told, files = [], []
    for number, network in enumerate((("--job", job), ("--weights", folder))):
        told.append(json.loads(asked("predict", video, *network, "--json").stdout)["logits"])
        asked("features", video, *network, "--out", tmp_path / str(number))
        files += (tmp_path / str(number)).rglob("*.npz")
    assert told[0] == told[1]
    with np.load(files[0]) as ours, np.load(files[1]) as theirs:
        assert np.array_equal(ours["features"], theirs["features"])


@pytest.mark.parametrize(
    "words, message",
    [
        (("--split", "2"), "were in the training data of these weights"),
        (("--scale", "paper"), "is c3d at micro scale, and this selection trains c3d at paper scale"),
        (("--baseline", "i3d"), "is c3d at micro scale, and this selection trains i3d at micro scale"),
    ],
)
def test_what_it_cannot_be_used_for_is_refused(
    words: tuple[str, ...], message: str, asked: Asked, exported: tuple[str, Path]
) -> None:
    ask = ("run", *TINY, *TARGET, "--protocol", "as-published", "--source", exported[1], "--no-mlflow", *words)
    assert message in str(asked(*ask, code=1).exception)


def _changed_weights(folder: Path) -> None:
    file = folder / "model.safetensors"
    save_file({name: tensor + 1 for name, tensor in load_file(file).items()}, file)


def _no_ids(folder: Path) -> None:
    (folder / "trained_on.json").unlink()


def _no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


@pytest.mark.parametrize(
    "damage, message",
    [
        (_changed_weights, "has changed since its folder was written"),
        (_no_ids, "has no trained_on.json, so it cannot be ruled out"),
        (_no_config, "has no config.json; name a folder that `harness weights export` wrote"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused(
    damage: Callable[[Path], None], message: str, asked: Asked, exported: tuple[str, Path], tmp_path: Path
) -> None:
    copy = shutil.copytree(exported[1], tmp_path / "copy")
    damage(copy)
    words = ("run", *TINY, *TARGET, "--protocol", "full-ft", "--source", copy, "--no-mlflow")
    assert message in str(asked(*words, code=1).exception)
