"""A results folder of finished jobs whose scores are made up: nothing is trained, the records are written as by a job."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterable

import numpy as np

from harness.core import registry
from harness.core.cells import Cell, Job
from harness.core.job_specs import ClipsSpec
from harness.core.workspace import Workspace, resolve_workspace
from harness.metrics.scores import Scores, counts
from harness.metrics.summary import summary
from harness.planning.plan import make_plan
from harness.records.record import SCORES, Record, write_record, write_scores
from reports import tables

VIDEOS_PER_CLASS = 20
STEPS = range(1, 560, 10)
WEAKEST_FIRST = ("convnet-lstm", "c3d", "two-stream", "fused-3d", "i3d")


def cells(jobs: int) -> list[Cell]:
    """Cells of Tables 2 to 5 at micro scale, with as many seeds as it takes to plan that many jobs."""
    wanted: dict[Cell, None] = {}
    with tempfile.TemporaryDirectory() as empty:
        for seed in range(99):
            question = tables.Question(scale="micro", seeds=(seed,))
            wanted |= {cell: None for number in (2, 3, 4, 5) for cell in tables.wanted(number, question)}
            if len(make_plan(wanted, resolve_workspace(empty, empty)).jobs) >= jobs:
                break
    return list(wanted)


def fill(workspace: Workspace, cells: Iterable[Cell], *, limit: int | None = None) -> int:
    """Write records of the first `limit` jobs of the cells, in the order of the plan; how many were written."""
    jobs = make_plan(cells, workspace).jobs[:limit]
    for number, job in enumerate(jobs):
        _write(workspace, job, number)
    return len(jobs)


def _write(workspace: Workspace, job: Job, number: int) -> Record:
    """The record of a job; its numbers are a function of the job's title alone."""
    dataset = registry.load("dataset", job.spec.dataset.name)
    rng = np.random.default_rng(zlib.crc32(job.title.encode()))
    scored = job.kind in ("train", "head", "images")
    classes = tuple(name for group in dataset.class_groups.values() for name in group)
    classes = tuple(sorted(classes)) or tuple(f"class {k}" for k in range(dataset.num_classes))
    scores = _scores(rng, classes, skill=_skill(job)) if scored else None
    record = Record(
        job_id=job.id,
        spec=job.spec,
        title=job.title,
        upstream=job.upstream,
        cell=job.cell,
        environment={"harness": "0", "python": "3", "torch": "2", "cpu": "made up", "device": "cpu"},
        fingerprint=job.spec.dataset.fingerprint,
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
    return write_record(
        workspace.runs, record, fill=lambda folder: write_scores(folder / SCORES, scores) if scores else None
    )


def _skill(job: Job) -> float:
    """Added to the logit of the right class: more for later architectures and for more streams."""
    spec = job.spec
    if not isinstance(spec, ClipsSpec) or spec.baseline.name not in WEAKEST_FIRST:
        return 1.0
    return 1.0 + 0.5 * WEAKEST_FIRST.index(spec.baseline.name) + 0.8 * len(spec.streams)


def _scores(rng: np.random.Generator, classes: tuple[str, ...], *, skill: float) -> Scores:
    labels = np.repeat(np.arange(len(classes)), VIDEOS_PER_CLASS).astype(np.int64)
    logits = rng.normal(size=(len(labels), len(classes))).astype(np.float32)
    logits[np.arange(len(labels)), labels] += np.float32(skill)
    ids = tuple(f"{classes[label]}/video_{k:04d}" for k, label in enumerate(labels))
    groups = tuple(f"{classes[label]}/group {k % 5}" for k, label in enumerate(labels))
    return Scores(ids=ids, logits=logits, labels=labels, groups=groups)
