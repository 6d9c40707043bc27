"""Selection, Cell, Job: the frozen values that lead from a command to the work it takes."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.core import registry
from harness.core.errors import HarnessError
from harness.core.job_specs import JobSpec, job_id

PUBLISHED = "published:"
"""Beginning of a source that is published weights, not a data set."""
IMPORTED = "imported"
"""Protocol of a cell whose scores another program computed (`harness scores import`)."""


@dataclass(frozen=True)
class Selection:
    """The axes a user asked for. None: the default of the card; a tuple: every value in it."""

    baselines: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    splits: tuple[int, ...] = (1,)
    subset: str | None = None
    protocols: tuple[str, ...] = ()
    inits: tuple[str, ...] = ()
    source: str | None = None
    scale: str | None = None
    seeds: tuple[int, ...] = (0,)
    backbone: str = ""
    limit: int = 0
    """Number of videos per subset, the first by id; 0: all videos."""
    overrides: tuple[tuple[str, str], ...] = ()
    """Dotted `--set key=value` pairs."""
    shots: tuple[int, ...] = ()
    """Training videos per class, and `shares` of each class: one cell per number; (): all training videos."""
    shares: tuple[float, ...] = ()


@dataclass(frozen=True, order=True)
class Cell:
    """One number of a table."""

    baseline: str
    modality: str
    dataset: str
    split: int
    subset: str
    protocol: str
    init: str
    source: str
    """Data set or 'published:NAME' that transferred weights come from; '' under Original."""
    scale: str
    seed: int
    backbone: str = ""
    overrides: tuple[tuple[str, str], ...] = ()
    """Dotted `--set key=value` pairs."""
    limit: int = 0
    """Number of videos per subset that the data sets were limited to, the first by id; 0: all videos."""
    shots: int = 0
    """Training videos per class, drawn by the number `seed`; 0: not limited."""
    share: float = 0.0
    """Share of the training videos of each class, drawn by the number `seed`; 0: not limited."""

    def __str__(self) -> str:
        return " · ".join(filter(None, (self.baseline, self.backbone, self.modality, self.conditions)))

    @property
    def conditions(self) -> str:
        """The conditions of the number without the network: 'hmdb51 · split 1 · fixed · imagenet'."""
        words = [self.dataset, f"split {self.split}", "" if self.subset == "test" else self.subset]
        words += [self.protocol, self.init, self.draw, f"seed {self.seed}" if self.seed else ""]
        words += [f"from {self.chosen_source}"] if self.chosen_source else []
        words += [f"limit {self.limit}"] if self.limit else []
        return " · ".join(filter(None, (*words, *(f"{key}={value}" for key, value in self.overrides))))

    @property
    def draw(self) -> str:
        """'5 shots', '10% of the training videos', or '' for all of them."""
        return draw_words(self.shots, self.share)

    @property
    def chosen_source(self) -> str:
        """The source, where it is not the default of the data set's card; '' elsewhere, and if that plug-in is not installed."""
        try:
            return "" if self.source == registry.load("dataset", self.dataset).source else self.source
        except HarnessError:
            return self.source if self.source.startswith(PUBLISHED) else ""


def draw_words(shots: int, share: float) -> str:
    """'5 shots', '10% of the training videos', or '' for all of them."""
    if share:
        return f"{100 * share:g}% of the training videos"
    return f"{shots} shot{'s' if shots > 1 else ''}" if shots else ""


@dataclass(frozen=True)
class Job:
    """One piece of work that a cell needs. Its id is the hash of its spec and of its upstream jobs' ids."""

    spec: JobSpec
    title: str
    """For people; not part of the id."""
    upstream: Mapping[str, str] = field(default_factory=dict)
    """Role -> job id: 'image', 'source', 'features', 'flow', 'store', 'schedule'."""
    cell: Cell | None = None
    """The cell whose scores it makes, for one network; for a job that scores nothing, the first cell that needs it.
    Not part of the id."""
    provisional: bool = False
    """The data or the published weights are not here yet, so the id will change once they are; not part of the id."""

    @property
    def kind(self) -> str:
        return self.spec.kind

    @functools.cached_property
    def id(self) -> str:
        return job_id(self.spec, self.upstream)


def upstream_closure(job_ids: Iterable[str], jobs: Mapping[str, Any]) -> list[str]:
    """Ids of these jobs and of all they build on, as far as `jobs` has them: id -> Job or record."""
    closure: dict[str, None] = {}
    waiting = list(job_ids)
    while waiting:
        job_id = waiting.pop()
        if job_id in jobs and job_id not in closure:
            closure[job_id] = None
            waiting += jobs[job_id].upstream.values()
    return list(closure)
