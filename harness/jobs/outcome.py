"""The result of a job of any kind, and its record."""

from __future__ import annotations

import datetime
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from harness.core import environment
from harness.core.contract import Listing, Schedule, Video
from harness.data.splits import TRAINED_ON, TrainedOn, write_trained_on
from harness.jobs.context import JobContext
from harness.metrics.scores import Scores, counts
from harness.metrics.summary import summary
from harness.models import transfer
from harness.records.record import FEATURES, ONE_CROP, SCORES, WEIGHTS, Record, write_record, write_scores
from harness.training.config import TrainingResult
from harness.training.features import Features, write_features
from harness.training.group import Group


@dataclass
class Outcome:
    """The result of a job of any kind."""

    listing: Listing
    fingerprint: str
    network: nn.Module | None = None
    scores: Scores | None = None
    one_crop: Scores | None = None
    """Scores of the centre crops alone, from the same pass; None where there are no other crops."""
    trained: TrainingResult = field(default_factory=TrainingResult)
    features: Features | None = None
    trained_on: TrainedOn = field(default_factory=dict)
    chosen: dict[str, Any] = field(default_factory=dict)
    score_s: float = 0.0


def choice(schedule: Schedule, trained: TrainingResult, held: Sequence[Video]) -> dict[str, Any]:
    """Selection rule of the final weights, in words, and the held-out videos."""
    drops = trained.drops or list(schedule.milestones)
    rule = "last step of a fixed schedule"
    if not schedule.steps:
        rule = "as published, without training"
    elif held:
        rule = f"last step; ten-fold drops at {drops or 'no step'} on the held-out loss"
    elif schedule.retrain_on_all:
        rule = f"last step; drops at {drops or 'no step'} as an earlier job found them on held-out videos"
    return {"rule": rule, "held_out": [video.id for video in held], "steps": trained.steps, "drops": drops}


def leave_record(context: JobContext[Any], outcome: Outcome, *, wall_s: float, cpu_s: float) -> Record:
    """Write the record: one folder, which appears by one rename."""
    job, trained = context.job, outcome.trained
    record = Record(
        job_id=job.id,
        spec=job.spec,
        title=job.title,
        upstream=job.upstream,
        cell=job.cell,
        environment=environment.describe(context.device, context.options.cpu_threads),
        fingerprint=outcome.fingerprint,
        metrics=summary(outcome.scores) if outcome.scores else {},
        one_crop=summary(outcome.one_crop) if outcome.one_crop else {},
        counts=counts(outcome.scores) if outcome.scores else {},
        cost=cost(outcome, context.device, wall_s=wall_s, cpu_s=cpu_s),
        curves=tuple({"step": step, "name": name, "value": value} for step, name, value in trained.curves),
        classes=outcome.listing.classes,
        chosen=outcome.chosen,
        finished_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )

    def fill(folder: Path) -> None:
        if outcome.scores:
            write_scores(folder / SCORES, outcome.scores)
        if outcome.one_crop:
            write_scores(folder / ONE_CROP, outcome.one_crop)
        if outcome.network is not None:
            transfer.write_weights(folder / WEIGHTS, outcome.network, job=job.id)
        if outcome.features:
            write_features(folder / FEATURES, outcome.features)
        write_trained_on(folder / TRAINED_ON, outcome.trained_on)

    return write_record(context.options.workspace.runs, record, fill=fill)


def cpu_seconds() -> float:
    """Processor time so far, of this process and of finished child processes, in seconds."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def cost(outcome: Outcome, device: str, *, wall_s: float, cpu_s: float) -> dict[str, float]:
    """The cost of the job. `cpu_s` is processor time, which depends less on other work on the machine than
    wall-clock time. `device_s` is wall-clock time times the number of GPUs, 0 on a CPU. `peak_memory_bytes` is the
    peak of this process, including earlier jobs of the same worker. `peak_device_bytes` is the job's own peak, on
    its first GPU.
    """
    trained = outcome.trained
    per_kib = 1 if sys.platform == "darwin" else 1024
    on_gpu = device.startswith("cuda")
    return {
        "wall_s": round(wall_s, 3),
        "cpu_s": round(cpu_s, 3),
        "device_s": round(wall_s * Group.current().world, 3) if on_gpu else 0.0,
        "train_s": round(trained.seconds, 3),
        "score_s": round(outcome.score_s, 3),
        "samples_per_s": round(trained.samples / trained.seconds, 2) if trained.seconds else 0.0,
        "wait_share": round(trained.wait_s / trained.seconds, 4) if trained.seconds else 0.0,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * per_kib,
        "peak_device_bytes": torch.cuda.max_memory_allocated() if on_gpu else 0,
    }
