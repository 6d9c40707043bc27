"""The files of `results/expected`: read strictly, written so that a person can review a difference line by line.

::

    [[retrained]]                    # a cell, trained again
    baseline = "two-stream"          # the axes of a selection; others default to the card
    dataset = "micro-hmdb51"
    protocol = "original"
    seeds = [0, 1, 2, 3, 4]          # at least five, really run; from here on: their results
    correct1 = [171, 165, 180, 169, 174]
    n = 280
    mean_pct = 61.36                 # of the counts above; the reader refuses a file where they disagree
    deviation_pct = 2.05             # ddof 1
    jobs = ["…", …]                  # that the counts were read from

    [[rescored]]                     # the weights of a finished job, scored again
    job = "37e76001beb9"             # its record: in checkpoints/ next to the file, or in the results folder
    weights_sha256 = "…"
    n = 280
    correct1 = 109
    correct5 = 242
    logits_within = 0.001            # largest change of a logit: other processors sum in another order

An entry that stops before its numbers is a wish: a check fails on it, and `--update` proposes them.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from harness.analysis import paper_numbers
from harness.core.cells import Selection
from harness.core.errors import HarnessError, unknown
from harness.metrics.statistics import spread

MIN_SEEDS = 5
LOGITS_WITHIN = 1e-3
AXES = ("baseline", "modality", "dataset", "split", "subset", "protocol", "init", "source", "scale", "backbone")
"""In the order they are written."""
COUNTS = ("correct1", "n", "mean_pct", "deviation_pct", "jobs")
"""Fields of a retrained entry, all or none."""


@dataclass(frozen=True)
class Retrained:
    """A cell and the results of its seeds."""

    axes: Mapping[str, str | int]
    """As in a selection file: 'baseline', 'dataset', 'split', ..."""
    seeds: tuple[int, ...]
    overrides: Mapping[str, str]
    """`--set` pairs."""
    correct1: tuple[int, ...] = ()
    """Right answers of each seed; () for a wish."""
    n: int = 0
    jobs: tuple[str, ...] = ()
    """The jobs of each seed, several joined by '+'."""

    @property
    def known(self) -> bool:
        return bool(self.correct1)

    @property
    def shares_pct(self) -> list[float]:
        return [100.0 * count / self.n for count in self.correct1]

    @property
    def title(self) -> str:
        words = [str(self.axes[axis]) for axis in AXES if axis in self.axes]
        return " · ".join(words + [f"{key}={value}" for key, value in self.overrides.items()])

    def selection(self, seeds: tuple[int, ...]) -> Selection:
        """The cells of these seeds."""

        def values(axis: str) -> tuple[str, ...]:
            return (str(self.axes[axis]),) if axis in self.axes else ()

        return Selection(
            baselines=values("baseline"),
            modalities=values("modality"),
            datasets=values("dataset"),
            splits=(int(self.axes.get("split", 1)),),
            subset=values("subset")[0] if values("subset") else None,
            protocols=values("protocol"),
            inits=values("init"),
            source=values("source")[0] if values("source") else None,
            scale=values("scale")[0] if values("scale") else None,
            seeds=seeds,
            backbone=str(self.axes.get("backbone", "")),
            overrides=tuple(self.overrides.items()),
        )


@dataclass(frozen=True)
class Rescored:
    """The weights of one finished job and the counts they give."""

    job: str
    weights_sha256: str = ""
    """'' for a wish."""
    n: int = 0
    correct1: int = 0
    correct5: int = 0
    logits_within: float = LOGITS_WITHIN

    @property
    def known(self) -> bool:
        return bool(self.weights_sha256)

    @property
    def title(self) -> str:
        return f"weights of job {self.job}"


@dataclass(frozen=True)
class Expected:
    """One file."""

    path: Path
    retrained: tuple[Retrained, ...]
    rescored: tuple[Rescored, ...]

    @property
    def checkpoints(self) -> Path:
        """Shipped records next to the file, one folder per job."""
        return self.path.parent / "checkpoints"


def read(path: Path | None = None) -> list[Expected]:
    """The file at `path`, or every file of `results/expected`. Raises HarnessError naming file, entry and fault."""
    if path is not None:
        try:
            return [parse(path, path.read_text(encoding="utf-8"))]
        except (OSError, UnicodeDecodeError) as error:
            raise HarnessError(f"cannot read the expected numbers in {path}: {error}") from error
    folder = paper_numbers.folder("expected")
    files = paper_numbers.read_files("expected", ".toml")
    if not files:
        raise HarnessError(f"no expected numbers in {folder}; name a file with --expected")
    return [parse(folder / name, text) for name, text in files.items()]


def parse(path: Path, text: str) -> Expected:
    """A file's text -> its entries."""
    try:
        stored = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise HarnessError(f"{path} is not TOML: {error}") from error
    readers: dict[str, Callable[[Mapping[str, Any], str], Any]] = {"retrained": _retrained, "rescored": _rescored}
    for key in stored:
        if key not in readers:
            raise HarnessError(f"{path}: {unknown('kind of entry', key, readers)}")
    entries = {
        kind: tuple(reader(entry, f"{path}, [[{kind}]] number {k}") for k, entry in enumerate(stored.get(kind, []), 1))
        for kind, reader in readers.items()
    }
    return Expected(path=path, **entries)


def _retrained(entry: Mapping[str, Any], where: str) -> Retrained:
    for key in entry:
        if key not in (*AXES, "set", "seeds", *COUNTS):
            raise HarnessError(f"{where}: {unknown('key', key, (*AXES, 'set', 'seeds', *COUNTS))}")
    missing = {"baseline", "dataset", "protocol"} - entry.keys()
    if missing:
        raise HarnessError(f"{where} has no {' and '.join(sorted(missing))}")
    seeds = tuple(entry.get("seeds", range(MIN_SEEDS)))
    if len(set(seeds)) < MIN_SEEDS or not all(isinstance(seed, int) for seed in seeds):
        raise HarnessError(
            f"{where} names {len(set(seeds))} seeds; a standard deviation needs at least {MIN_SEEDS}; add seeds"
        )
    _all_or_none(entry, COUNTS, where)
    retrained = Retrained(
        axes={axis: entry[axis] for axis in AXES if axis in entry},
        seeds=seeds,
        overrides={str(key): str(value) for key, value in entry.get("set", {}).items()},
        correct1=tuple(entry.get("correct1", ())),
        n=int(entry.get("n", 0)),
        jobs=tuple(entry.get("jobs", ())),
    )
    if retrained.known:
        _check_counts(retrained, entry, where)
    return retrained


def _all_or_none(entry: Mapping[str, Any], keys: Sequence[str], where: str) -> None:
    given, absent = [key for key in keys if key in entry], [key for key in keys if key not in entry]
    if given and absent:
        raise HarnessError(
            f"{where} has {', '.join(given)} but not {', '.join(absent)}; give all of them, or remove these and run "
            "`harness check --update`, which proposes all"
        )


def _check_counts(retrained: Retrained, entry: Mapping[str, Any], where: str) -> None:
    counts, n = retrained.correct1, retrained.n
    if len(counts) != len(retrained.seeds) or not all(0 <= count <= n for count in counts):
        raise HarnessError(
            f"{where}, correct1: expected {len(retrained.seeds)} numbers from 0 to {n}, one per seed; got {list(counts)}"
        )
    measured = spread(retrained.shares_pct)
    for name, value in (("mean_pct", measured.mean), ("deviation_pct", measured.deviation)):
        if not math.isclose(entry[name], value, abs_tol=0.006):
            raise HarnessError(
                f"{where}: {name} = {entry[name]}, but its counts give {value:.2f}; do not edit these numbers, "
                "`harness check --update` computes them"
            )


def _rescored(entry: Mapping[str, Any], where: str) -> Rescored:
    names = [field.name for field in fields(Rescored)]
    for key in entry:
        if key not in names:
            raise HarnessError(f"{where}: {unknown('key', key, names)}")
    if "job" not in entry:
        raise HarnessError(f'{where} has no job; add job = "ID", with an id of `harness ls jobs`')
    _all_or_none(entry, ("weights_sha256", "n", "correct1", "correct5"), where)
    return Rescored(**entry)


def render(expected: Expected) -> str:
    """The file's text, entries in their order."""
    head = "# Written by `harness check --update` and reviewed; never edited to make a check pass.\n\n"
    return head + "\n".join([*map(_retrained_text, expected.retrained), *map(_rescored_text, expected.rescored)])


def _retrained_text(entry: Retrained) -> str:
    lines = ["[[retrained]]"] + [f"{axis} = {json.dumps(entry.axes[axis])}" for axis in AXES if axis in entry.axes]
    if entry.overrides:
        pairs = ", ".join(f"{json.dumps(key)} = {json.dumps(value)}" for key, value in entry.overrides.items())
        lines.append(f"set = {{ {pairs} }}")
    lines.append(f"seeds = {list(entry.seeds)}")
    if entry.known:
        measured = spread(entry.shares_pct)
        lines += [
            f"correct1 = {list(entry.correct1)}",
            f"n = {entry.n}",
            f"mean_pct = {measured.mean:.2f}",
            f"deviation_pct = {measured.deviation:.2f}",
            f"jobs = {json.dumps(list(entry.jobs))}",
        ]
    return "\n".join(lines) + "\n"


def _rescored_text(entry: Rescored) -> str:
    lines = ["[[rescored]]", f"job = {json.dumps(entry.job)}"]
    if entry.known:
        lines += [
            f"weights_sha256 = {json.dumps(entry.weights_sha256)}",
            f"n = {entry.n}",
            f"correct1 = {entry.correct1}",
            f"correct5 = {entry.correct5}",
            f"logits_within = {entry.logits_within:g}",
        ]
    return "\n".join(lines) + "\n"
