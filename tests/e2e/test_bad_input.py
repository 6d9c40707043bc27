"""What a person can get wrong: one paragraph that names the value and the remedy, exit code 2, nothing half-written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def harness(*words: str, workspace: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "HARNESS_DATA": str(workspace / "data"),
        "HARNESS_RESULTS": str(workspace / "results"),
        "PYTHONPATH": str(ROOT),
        **extra,
    }
    return subprocess.run(
        [sys.executable, "-m", "harness", *words], env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run", "--baseline", "i3dd", "--dataset", "micro-hmdb51", "--protocol", "fixed"], "did you mean 'i3d'"),
        (["run", "--dataset", "micro-hmdb", "--protocol", "fixed"], "did you mean 'micro-hmdb51'"),
        (["run", "--dataset", "micro-hmdb51", "--protocol", "ful-ft"], "did you mean 'full-ft'"),
        (["run", "--dataset", "micro-hmdb51", "--protocol", "fixed", "--split", "9"], "no split 9; have: 1, 2, 3"),
        (["run", "--dataset", "micro-hmdb51", "--protocol", "fixed", "--split", "one"], "such as --split 1-2"),
        (["run", "--dataset", "micro-hmdb51", "--protocol", "fixed", "--seed", "0..2"], "such as --seed 0-2,7"),
        (["plan", "--table", "4", "--protocol", "full-ft"], "leave out --protocol"),
        (
            ["plan", "--table", "4", "--scale", "micro", "--svg", "nowhere/plan.svg"],
            "--svg nowhere/plan.svg: No such file",
        ),
        (["table", "4", "--source", "published:nope"], "have: googlenet"),
        (["table", "4", "--source", "micro-kinetics"], "--source published:NAME"),
        (["table", "4", "--data", __file__], "is a file; name a folder"),
        (["run", "--dataset", "micro-hmdb51", "--protocl", "fixed"], "--protocol"),
        (["runn", "--dataset", "micro-hmdb51"], "did you mean 'run'"),
        (["run", "--dataset", "micro-hmdb51", "--protocol", "fixed", "--set", "train.base_lr"], "KEY=VALUE"),
        (["plan", "--dataset", "micro-hmdb51", "--protocol", "fixed", "--backbone", "resnet18"], "timm/NAME"),
        (["plan", "--dataset", "micro-hmdb51", "--protocol", "fixed", "--set", "train.steps=-5"], "expected 0 or more"),
        (["ls", "baselines", "i3"], "did you mean 'i3d'"),
        (["run", "--dataset", "micro-hmdb51", "--protocol", "fixed", "--plugins", "nowhere"], "nowhere"),
        (
            ["run", "--dataset", "micro-hmdb51", "--protocol", "knn", "--shots", "6"],
            "pass --shots 5 or less, or --share",
        ),
        (["run", "--dataset", "micro-hmdb51", "--protocol", "knn", "--shots", "0"], "whole numbers from 1"),
        (["run", "--dataset", "micro-hmdb51", "--protocol", "knn", "--share", "1.5"], "above 0 and at most 1"),
        (["plan", "--table", "4", "--scale", "micro", "--shots", "5"], "leave out --shots"),
        (["tune", "--dataset", "micro-hmdb51", "--protocol", "logreg"], "has no learning rate to tune"),
        (["tune", "--dataset", "micro-hmdb51", "--protocol", "fixed", "--set", "train.base_lr=tuned"], "leave it out"),
    ],
)
def test_slips_of_the_pen(tmp_path, words, says):
    done = harness(*words, workspace=tmp_path)
    assert done.returncode == 2 and says in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.strip().splitlines()) <= 3
    assert not list(tmp_path.iterdir()), "nothing half-written"


def test_a_backbone_that_timm_does_not_have_is_told_before_any_data_is_made(tmp_path):
    words = ("run", "--dataset", "micro-hmdb51", "--protocol", "fixed", "--backbone", "timm/resnet81")
    done = harness(*words, workspace=tmp_path)
    assert done.returncode == 2 and "no backbone 'timm/resnet81'" in done.stderr and "did you mean" in done.stderr
    assert not list(tmp_path.iterdir()), "nothing half-written"


def test_data_that_is_not_there(tmp_path):
    done = harness("run", "--dataset", "hmdb51", "--protocol", "full-ft", workspace=tmp_path)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    for word in (str(tmp_path / "data" / "hmdb51"), "hmdb51_org", "--data", "micro"):
        assert word in done.stderr


def test_a_results_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "results").write_text("a file, not a folder")
    done = harness("run", "--dataset", "micro-hmdb51", "--protocol", "fixed", workspace=tmp_path)
    assert done.returncode == 2 and "--results" in done.stderr and "Traceback" not in done.stderr


def test_records_of_a_newer_version(tmp_path):
    folder = tmp_path / "results" / "runs" / "0123456789ab"
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(json.dumps({"schema": 99}))
    done = harness("ls", "jobs", workspace=tmp_path)
    assert done.returncode == 1 and "newer version of harness" in done.stderr and "upgrade" in done.stderr


def test_a_selection_file_is_read_strictly(tmp_path):
    path = tmp_path / "selection.toml"
    path.write_text('dataset = "micro-hmdb51"\nprotocol = "fixed"\nbaselin = "i3d"\n')
    done = harness("plan", str(path), workspace=tmp_path)
    assert done.returncode == 2 and "did you mean 'baseline'" in done.stderr
    path.write_text('dataset = "micro-hmdb51"\nprotocol = "fixed"\nset = ["source.steps=7"]\n')
    done = harness("plan", str(path), workspace=tmp_path)
    assert done.returncode == 2 and "write [set] and below it" in done.stderr
    path.write_text('dataset = "micro-hmdb51"\nprotocol = ["fixed", "full-ft"]\n[set]\nsource.steps = 7\n')
    planned = harness("plan", str(path), "--json", workspace=tmp_path)
    assert planned.returncode == 0, planned.stderr
    cells = json.loads(planned.stdout)["cells"]
    assert [cell["cell"]["protocol"] for cell in cells] == ["fixed", "full-ft"]
    assert cells[0]["cell"]["overrides"] == [["source.steps", "7"]]


def test_a_broken_training_video_stops_by_name_or_is_left_out_and_named(tmp_path):
    toys = {"HARNESS_PLUGINS": str(ROOT / "tests" / "toys")}
    words = ["--dataset", "toy-kinetics", "--modality", "rgb", "--init", "scratch", "--set", "source.steps=6"]
    words += ["--set", "source.batch=16", "--no-mlflow"]
    harness("data", "prepare", "toy-kinetics", workspace=tmp_path, **toys)
    victim = next((tmp_path / "data" / "toy-kinetics" / "opening gate").glob("optr*.mp4"))
    whole = victim.read_bytes()
    victim.write_bytes(whole[: len(whole) // 3])
    done = harness("run", *words, workspace=tmp_path, **toys)
    assert done.returncode == 2 and victim.name in done.stderr and "Traceback" not in done.stderr
    assert "--on-bad-video skip; `harness data verify toy-kinetics --thorough`" in done.stderr
    kept = harness("run", *words, "--on-bad-video", "skip", "--json", workspace=tmp_path, **toys)
    assert kept.returncode == 0, kept.stderr
    (event,) = [e for line in kept.stdout.splitlines() if (e := json.loads(line))["event"] == "results"]
    record = json.loads((tmp_path / "results" / "runs" / event["cells"][0]["jobs"][0] / "record.json").read_text())
    assert [Path(name).name for name in record["chosen"]["skipped"]] == [victim.stem]
    notes = [e["text"] for line in kept.stdout.splitlines() if (e := json.loads(line))["event"] == "note"]
    assert any("1 of 64 videos cannot be decoded and were left out" in note for note in notes), notes
    (caveat,) = [text for text in event["cells"][0]["caveats"] if "without" in text]
    assert caveat.startswith("was trained without 1 video that cannot be decoded (") and victim.stem in caveat
    again = harness("run", *words, workspace=tmp_path, **toys)
    assert f"toy-kinetics: this {caveat}." in again.stdout


def test_a_broken_test_video_counts_as_wrong(tmp_path):
    toys = {"HARNESS_PLUGINS": str(ROOT / "tests" / "toys")}
    harness("data", "prepare", "toy-kinetics", workspace=tmp_path, **toys)
    victim = next((tmp_path / "data" / "toy-kinetics" / "opening gate").glob("opte*.mp4"))
    victim.write_bytes(b"")
    words = ["--dataset", "toy-kinetics", "--modality", "rgb", "--init", "scratch", "--set", "source.steps=1"]
    done = harness("run", *words, "--set", "source.batch=4", "--no-mlflow", "--json", workspace=tmp_path, **toys)
    assert done.returncode == 0, done.stderr
    (event,) = [e for line in done.stdout.splitlines() if (e := json.loads(line))["event"] == "results"]
    counts = event["cells"][0]["counts"]
    assert (counts["n"], counts["undecodable"]) == (40, 1)


MISCOUNTED = """
from dataclasses import replace
from tests.toys.toy_kinetics import DATASET as _TOY

DATASET = replace(_TOY, name="miscounted", counts={**_TOY.counts, (1, "test"): 41})
"""


def test_lists_that_are_not_the_cards_are_refused_before_anything_is_trained(tmp_path):
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "miscounted.py").write_text(MISCOUNTED)
    plugins = os.pathsep.join([str(ROOT / "tests" / "toys"), str(tmp_path / "plugins")])
    words = ["--dataset", "miscounted", "--modality", "rgb", "--init", "scratch", "--set", "source.steps=1"]
    done = harness("run", *words, "--set", "source.batch=4", "--no-mlflow", workspace=tmp_path, HARNESS_PLUGINS=plugins)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    words = "the lists name 40 videos (40 on disk, 0 missing), the data set's card expects 41"
    assert words in " ".join(done.stderr.split()), done.stderr
    assert not list(tmp_path.rglob("record.json")) and not list(tmp_path.rglob("*.ckpt"))


@pytest.mark.faults
def test_ctrl_c_keeps_what_is_done_and_goes_on_from_the_checkpoint(tmp_path):
    toys = {"HARNESS_PLUGINS": str(ROOT / "tests" / "toys"), "HARNESS_DATA": str(tmp_path / "data")}
    words = ["run", "--dataset", "toy-kinetics", "--modality", "rgb", "--init", "scratch", "--no-mlflow"]
    words += ["--set", "source.steps=120", "--set", "source.batch=4", "--set", "source.checkpoint_every=2"]
    environment = os.environ | toys | {"HARNESS_RESULTS": str(tmp_path / "results"), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", *words],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        # A test suite that a shell runs in the background ignores Ctrl-C, and so would what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    jobs = tmp_path / "results" / "jobs"
    deadline = time.monotonic() + 240
    while not list(jobs.glob("*/[0-9]*.ckpt")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "run the same command again" in said and "Traceback" not in said, said
    assert list(jobs.glob("*/[0-9]*.ckpt"))
    broken_off = harness(*words, "--json", workspace=tmp_path, **toys)
    assert broken_off.returncode == 0, broken_off.stderr
    assert not list(jobs.glob("*/[0-9]*.ckpt")), "checkpoints go when the record is written"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "data").symlink_to(tmp_path / "data")
    whole = harness(*words, "--json", workspace=tmp_path / "other", **toys)
    results = [json.loads(done.stdout.splitlines()[-1])["cells"] for done in (broken_off, whole)]
    assert results[0] == results[1]
