"""Cards of the plug-ins that work on the results of a network, or around it: one file each, found by name.

Like `harness.core.contract`, nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Metric:
    """One number computed from the per-video scores of a test set (`harness.metrics.scores.Scores`).

    Give `shares` for a mean over videos or classes: it gets a 95% interval drawn by group of videos. Give `value` for any
    other formula: it has no interval. Over seeds, the share of each video is averaged, or else the value; splits weigh
    the same.
    """

    name: str
    """Key in records, JSON and MLflow, and the name that `--metric` takes."""
    title: str
    """As in a sentence: 'top-1 accuracy'."""
    short: str
    """Head of a column: 'top-1'."""
    shares: Callable[[Any], Any] | None = None
    """Scores -> (n,) numbers in [0, 1], where each video lies between `worst` and `best`: 1 for a right answer, 0 for a
    wrong one. Videos that cannot be decoded count as 0 whatever is returned for them."""
    mean_over: str = "ids"
    """Field of Scores whose values weigh the same: 'ids' for a mean over videos, 'labels' for one over classes."""
    value: Callable[[Any], float] | None = None
    """Scores -> the metric in `unit`, where it is no mean of shares."""
    needs: tuple[str, ...] = ("logits", "labels")
    """Fields of Scores that it reads. Left out where one is not known, such as 'groups' of a data set without groups."""
    unit: str = "%"
    worst: float = 0.0
    best: float = 100.0
    decimals: int = 1
    order: int = 100
    """Place among the metrics, lowest first."""


@dataclass(frozen=True)
class LauncherOption:
    """A command-line option that a launcher adds to the commands that run jobs."""

    name: str
    """As a Python name, 'gpus_per_job' for --gpus-per-job. Launchers that mean the same thing use the same name."""
    help: str
    """One sentence for --help."""
    metavar: str
    """Placeholder of its value in --help: 'URL'."""
    type: Callable[[str], object] = str
    """Text -> value; raises ValueError for text that is not one."""
    default: object = None
    """Value if the option is not given."""


@dataclass(frozen=True)
class Launcher:
    """Where and how the jobs of a plan run."""

    name: str
    title: str
    """What it is in a few words, for --help."""
    launch: Callable[..., int]
    """launch(plan, options, callback, *, run, **values of `options`) -> number of jobs run.

    Calls `run(job, options, callback)` (`harness.launch.entry.run_job` by default) once for each job of `plan.to_do`,
    after the jobs it needs, and reports to `callback.for_job(job)`. An error that a job raises is raised here; finished
    jobs keep their records. `tests/contract/test_launchers.py` holds every launcher to this.
    """
    options: tuple[LauncherOption, ...] = ()
