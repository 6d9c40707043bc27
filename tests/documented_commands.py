"""Runs commands of the documents in one process, on toy data sets and with one step per training.

    python -m tests.documented_commands FOLDER < commands.json

prints one JSON object per command: its words as run, its exit status, and what it printed. FOLDER is where they run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from harness import commands
from harness.protocols.scales import micro
from harness.records.record import SCORES, WEIGHTS, Record, RunStore

TOYS = {"micro-hmdb51": "toy-hmdb51", "micro-kinetics": "toy-kinetics", "folder:/my/videos": "folder:my_videos"}
"""What the documents name -> what runs."""


def shorten_trainings() -> None:
    """One step of two videos in every stage of the scale micro."""
    stages = {name: dataclasses.replace(stage, steps=1, batch=2) for name, stage in micro.SCALE.stages.items()}
    micro.SCALE = dataclasses.replace(micro.SCALE, stages=stages)


def scored(runs: Path) -> list[Record]:
    """Trainings with scores, the latest last."""
    records = [record for record in RunStore(runs) if SCORES in record.files and WEIGHTS in record.files]
    return sorted((record for record in records if record.kind == "train"), key=lambda record: record.finished_at)


def placeholders(runs: Path) -> dict[str, str]:
    """JOB, JOB_A, ... -> ids of finished jobs that fit the commands."""
    *_, last = records = scored(runs)
    same_videos = [record for record in records if record.fingerprint == last.fingerprint and record.cell]
    streams = {record.spec.streams: record for record in same_videos if record.cell.protocol == last.cell.protocol}
    jobs = {"JOB": last, "JOB_A": same_videos[-2], "JOB_B": last}
    jobs |= {
        name: streams[stream] for name, stream in (("RGB_JOB", ("rgb",)), ("FLOW_JOB", ("flow",))) if stream in streams
    }
    return {name: record.job_id for name, record in jobs.items()}


def words_of(line: str, runs: Path) -> list[str]:
    """The command's arguments, with toys and job ids."""
    for name, toy in TOYS.items():
        line = line.replace(name, toy)
    words = shlex.split(line)[1:]
    if any("JOB" in word for word in words):
        jobs = placeholders(runs)
        words = [jobs.get(word, word) for word in words]
    return [*words, "--no-mlflow"] if words[0] == "run" else words


def run(words: list[str]) -> tuple[int, str]:
    """Exit status, and standard output and error."""
    sys.argv = ["harness", *words]
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            commands.main()
        except SystemExit as end:
            return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


def run_all(lines: list[str], runs: Path) -> Iterator[dict[str, object]]:
    for line in lines:
        command, _, file = line.partition(" > ")
        words = words_of(command, runs)
        status, text = run(words)
        if file:
            Path(file).write_text(text)
        yield {"line": line, "words": words, "status": status, "text": text}


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    shorten_trainings()
    for result in run_all(json.load(sys.stdin), Path("results/runs")):
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()
