"""Learning rates chosen by `harness tune`, for `--set train.base_lr=tuned`.

A choice is a file ``RESULTS/tuned/<key>.json`` with its evidence. The key is the hash of everything that the training
depends on except its seed and rate. A rate is therefore used only for the training and the split it was chosen for: a
rate chosen on another split's training videos has seen test videos of this split.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.core.atomic import write_text
from harness.core.cells import Job
from harness.core.contract import Schedule
from harness.core.errors import HarnessError, RecordError
from harness.core.job_specs import ProbeSpec, TrainSpec, job_id
from harness.data.splits import HELD_OUT
from harness.metrics.registered import PRIMARY
from harness.records.record import Record

TUNED = "tuned"
RATE = "train.base_lr"
Overrides = tuple[tuple[str, str], ...]


def asked_for(overrides: Overrides) -> bool:
    """True if a `--set` pair requests a tuned value. Raises HarnessError if it is not the learning rate's."""
    for key, text in overrides:
        if text == TUNED and key != RATE:
            raise HarnessError(f"--set {key}={TUNED}: only {RATE} is tuned; give {key} a value")
    return (RATE, TUNED) in overrides


def without(overrides: Overrides) -> Overrides:
    """The pairs without 'tuned' values."""
    return tuple(pair for pair in overrides if pair != (RATE, TUNED))


def resolved(overrides: Overrides, job: Job, results: Path) -> Overrides:
    """The pairs with the rate chosen for `job`, which is planned without it. Raises HarnessError if there is none."""
    path = path_of(results, job)
    if not path.is_file():
        raise HarnessError(
            f"--set {RATE}={TUNED}: no rate has been chosen for {job.title} yet; run `harness tune` with the same selection first"
        )
    return (*without(overrides), (RATE, str(read(path)["choice"][RATE])))


def key_of(job: Job) -> str:
    """Key of a choice: the training, without its rate and seed."""
    schedule = dataclasses.replace(schedule_of(job), base_lr=0.0)
    return job_id(dataclasses.replace(job.spec, seed=0, schedule=schedule), job.upstream)  # type: ignore[call-arg]


def schedule_of(job: Job | Record) -> Schedule:
    """Spec of a job that is trained in steps. Raises HarnessError for any other."""
    if not isinstance(job.spec, TrainSpec | ProbeSpec) or job.spec.schedule is None:
        raise HarnessError(f"{job.title} is not trained in steps, so it has no learning rate to tune")
    return job.spec.schedule


def path_of(results: Path, job: Job) -> Path:
    return results / TUNED / f"{key_of(job)}.json"


def read(path: Path) -> dict[str, Any]:
    """A choice with its evidence. Raises RecordError with the path of an invalid file."""
    try:
        choice: dict[str, Any] = json.loads(path.read_text())
        float(choice["choice"][RATE])
    except (ValueError, KeyError, TypeError) as error:
        raise RecordError(
            f"{path} is not a valid `harness tune` result ({error!r}); delete it and run `harness tune` again"
        ) from error
    return choice


def write(path: Path, choice: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(choice, indent=1, allow_nan=False))


def candidates(base: float, trials: int) -> list[str]:
    """`trials` rates from a tenth of `base` to ten times of it, evenly spaced by their ratio; an odd number tries `base`."""
    if trials == 1:
        return [f"{base:.4g}"]
    return [f"{base * 10 ** (2 * number / (trials - 1) - 1):.4g}" for number in range(trials)]


def trial(job: Job, rate: str, share: float) -> Job:
    """The training of `job` without a `share` of its training videos, and scored on those held-out videos."""
    spec = dataclasses.replace(job.spec, subset=HELD_OUT, validation_share=share)  # type: ignore[call-arg]
    return dataclasses.replace(job, spec=spec, title=f"{job.title} · trial of rate {rate}")


def best(trials: list[dict[str, Any]]) -> dict[str, Any]:
    """The trial with the highest top-1 on the held-out videos; among equals, the lowest loss."""
    return min(trials, key=lambda trial: (-trial[PRIMARY], trial["loss"]))


RULE = "highest top-1 on the held-out part of the training videos; of equals, the lowest cross-entropy"
