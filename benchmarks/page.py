"""The page for 200 finished jobs: seconds, and bytes. A ledger of made-up scores, written as any record is.

python -m benchmarks.page                           200 jobs: promised 20 s
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from harness.core import registry
from harness.core.spec import Cell, Job
from harness.core.workspace import Workspace, places
from harness.metrics.scores import Scores, counts
from harness.metrics.summary import summary
from harness.planning.plan import make_plan
from harness.records.record import SCORES, Record, write_record, write_scores
from reports import tables

PROMISED_S = 20.0
VIDEOS_A_CLASS = 20
STEPS = range(1, 560, 10)


def wanted(jobs: int) -> list[Cell]:
    """Cells of Tables 2-5 at micro scale, of as many seeds as it takes to have so many jobs."""
    with tempfile.TemporaryDirectory() as empty:
        workspace = places(empty, empty)
        cells: list[Cell] = []
        for seed in range(9):
            for number in (2, 3, 4, 5):
                for cell in tables.wanted(number, tables.Question(scale="micro", seeds=(seed,))):
                    cells += [] if cell in cells else [cell]
            if len(make_plan(cells, workspace).jobs) >= jobs:
                break
    return cells


def fill(workspace: Workspace, cells: Iterable[Cell], *, limit: int = 10**6) -> int:
    """Write a record with made-up scores for the jobs of the cells, in their order; how many were written."""
    jobs = make_plan(cells, workspace).jobs[:limit]
    for number, job in enumerate(jobs):
        write_made_up(workspace.runs, job, number)
    return len(jobs)


def write_made_up(runs: Path, job: Job, number: int) -> Record:
    """A record as the job might leave it; its numbers are a function of its title alone."""
    dataset = registry.load("dataset", job.spec["dataset"]["name"])
    rng = np.random.default_rng(zlib.crc32(job.title.encode()))
    scored = job.kind in ("train", "head", "images")
    classes = tuple(name for group in dataset.class_groups.values() for name in group)
    classes = tuple(sorted(classes)) or tuple(f"class {k}" for k in range(dataset.num_classes))
    scores = _scores(rng, classes, skill=_skill(job)) if scored else None
    record = Record(
        job_id=job.id,
        kind=job.kind,
        title=job.title,
        spec=job.spec,
        upstream=job.upstream,
        environment={"harness": "0", "python": "3", "torch": "2", "cpu": "made up", "device": "cpu"},
        fingerprint=job.spec["dataset"]["fingerprint"],
        metrics=summary(scores) if scores else {},
        counts=counts(scores) if scores else {},
        cost={"wall_s": round(float(rng.uniform(1, 300)), 3), "peak_memory_bytes": 10**9, "samples_per_s": 40.0},
        curves=tuple(
            {"step": step, "name": "train/loss", "value": 2.6 * float(np.exp(-step / 200)) + 0.1 * float(rng.random())}
            for step in STEPS
            if scored
        ),
        classes=classes,
        chosen={"rule": "last step of a fixed schedule", "held_out": [], "steps": STEPS[-1]} if scored else {},
        finished_at=f"2000-01-01T{number // 60 % 24:02d}:{number % 60:02d}:00+00:00",
    )
    return write_record(runs, record, fill=lambda folder: write_scores(folder / SCORES, scores) if scores else None)


def _skill(job: Job) -> float:
    """Later architectures and more streams are made to do better, so that there is something to see."""
    names = ("convnet-lstm", "c3d", "two-stream", "fused-3d", "i3d")
    name = registry.dashed(job.spec.get("baseline", {}).get("name", "c3d"))
    return 1.0 + 0.5 * names.index(name) + 0.8 * len(job.spec.get("streams", ())) if name in names else 1.0


def _scores(rng: np.random.Generator, classes: tuple[str, ...], *, skill: float) -> Scores:
    labels = np.repeat(np.arange(len(classes)), VIDEOS_A_CLASS).astype(np.int64)
    logits = rng.normal(size=(len(labels), len(classes))).astype(np.float32)
    logits[np.arange(len(labels)), labels] += np.float32(skill)
    ids = tuple(f"{classes[label]}/video_{k:04d}" for k, label in enumerate(labels))
    groups = tuple(f"{classes[label]}/group {k % 5}" for k, label in enumerate(labels))
    return Scores(ids=ids, logits=logits, labels=labels, groups=groups)


def measure(jobs: int) -> Mapping[str, float]:
    """Seconds of `harness report` in a process of its own, imports included, and the size of what it writes."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = places(f"{folder}/data", f"{folder}/results")
        count = fill(workspace, wanted(jobs), limit=jobs)
        words = ["report", "--scale", "micro", "--out", f"{folder}/out", "--data", str(workspace.data)]
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "harness", *words, "--results", str(workspace.results)], check=True)
        took = time.perf_counter() - began
        page = (Path(folder) / "out" / "index.html").stat().st_size
        files = sum(path.is_file() for path in (Path(folder) / "out").rglob("*"))
    return {"jobs": count, "seconds": round(took, 2), "page_bytes": page, "files": files, "promised_s": PROMISED_S}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=200)
    found = measure(parser.parse_args().jobs)
    print(json.dumps(found))
    if found["seconds"] > PROMISED_S:
        sys.exit(f"the page for {found['jobs']:.0f} jobs took {found['seconds']} s; promised {PROMISED_S:g} s")


if __name__ == "__main__":
    main()
