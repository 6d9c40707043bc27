"""`--limit` and the log file, through the command line on toy videos: every kind of job sees the first videos alone."""

from __future__ import annotations

import json

import pytest
from safetensors.numpy import load_file

from harness.records.stored import read_scores
from tests.commands import command, record_of, run

pytestmark = pytest.mark.xdist_group("transferred")
LIMIT = 6
SHORT = [word for stage in ("source", "fixed") for word in ("--set", f"{stage}.steps=2", "--set", f"{stage}.batch=4")]
WORDS = (
    "--baseline",
    "i3d",
    "--modality",
    "flow",
    "--dataset",
    "toy-hmdb51",
    "--protocol",
    "fixed",
    "--init",
    "scratch",
)


def test_a_limited_transfer_reads_and_scores_the_first_videos_alone(house):
    (cell,) = run(*WORDS, *SHORT, "--limit", str(LIMIT), workspace=house)
    (job,) = cell["jobs"]
    assert cell["cell"]["limit"] == LIMIT and cell["counts"]["n"] == cell["counts"]["n_of"] == LIMIT
    assert any("--limit 6" in caveat for caveat in cell["caveats"])
    runs = house / "results" / "runs"
    record = record_of(house, job)
    features = record_of(house, record["upstream"]["features"])
    chain = [record, features, *(record_of(house, up) for up in features["upstream"].values())]
    assert {part["spec"]["kind"] for part in chain} == {"head", "features", "flow", "train"}
    assert all(part["spec"]["dataset"]["limit"] == LIMIT and "limit 6" in part["title"] for part in chain)
    scored = read_scores(runs / job / "scores.npz").ids
    trained = json.loads((runs / job / "trained_on.json").read_text())["toy-hmdb51"]
    trained = [name for name in trained if not name.startswith("group:")]
    assert len(trained) == len(scored) == LIMIT and list(scored) == sorted(scored)
    ids = json.loads(command("ls", "jobs", job, workspace=house).stdout)["chosen"]
    assert ids["steps"] == 2
    # Splits have other videos, and a job of features serves all of them.
    extracted = load_file(runs / features["job_id"] / "features.safetensors")
    assert any(2 * LIMIT <= len(array) < 64 for array in extracted.values())


def test_the_command_prints_its_log_once_and_says_there_what_it_did(house):
    words = ("run", *WORDS, *SHORT, "--limit", str(LIMIT), "--seed", "1-2", "--no-mlflow")
    first = command(*words, workspace=house, threads=2)
    assert "limit" in first.stdout and (first.stdout + first.stderr).count("Log: ") == 1
    (line,) = [line for line in first.stdout.splitlines() if "Log: " in line]
    text = (house / "results" / "logs" / line.rpartition("/")[2]).read_text()
    assert "job(s) to run" in text and "HARNESS_THREADS=2" in text and "[1/" in text and "train/loss" in text
    assert "harness.jobs.execute: job " in text, "messages of worker processes"
    assert text.rstrip().endswith(first.stdout.rstrip().splitlines()[-1])
    before = len(list((house / "results" / "logs").iterdir()))
    again = command(*words, "--quiet", workspace=house)
    assert "Nothing to do" in again.stdout and again.stderr == ""
    assert len(list((house / "results" / "logs").iterdir())) == before
    assert not list((house / "results" / "jobs").glob("*/job.json"))


def test_logistic_regression_says_what_a_limit_leaves_it_without(house):
    words = [word for word in WORDS if word != "fixed"]
    words.insert(words.index("--protocol") + 1, "logreg")
    done = command("run", *words, *SHORT[:4], "--limit", str(LIMIT), "--no-mlflow", workspace=house, check=2)
    assert "logistic regression needs one of each class; leave out --limit, or add videos" in done.stderr
