"""The lines of the table of all results: one per number, with the cells behind it and its words."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.core import registry
from harness.core.cells import Cell
from harness.core.errors import HarnessError
from reports.evidence import Result, dataset_of, title_of
from reports.tables.layout import INIT_TITLES, MODALITY_TITLES, TITLES
from reports.tables.model import Row, RowGroup

HEADS: Mapping[str, tuple[str, ...]] = {
    "dataset": ("dataset", "scale", "subset", "splits", "limit"),
    "baseline": ("baseline", "backbone"),
}
"""Order of the table -> the axes in the heading of a group of rows."""
ALWAYS = {"dataset": ("baseline", "modality"), "baseline": ("dataset", "modality")}
"""Order of the table -> the axes in the title of a row, even if all rows of its group have the same."""


@dataclass(frozen=True, eq=False)
class Line:
    """One number: the mean over its splits, and over the seeds of each."""

    results: tuple[Result, ...]
    """By split, then by seed."""

    @property
    def cells(self) -> tuple[Cell, ...]:
        return tuple(result.cell for result in self.results)

    @property
    def splits(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys(cell.split for cell in self.cells))

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys(cell.seed for cell in self.cells))

    @property
    def first_seed(self) -> tuple[Result, ...]:
        """The results of its lowest seed, one per split."""
        return tuple(result for result in self.results if result.cell.seed == self.seeds[0])

    @property
    def axes(self) -> dict[str, str]:
        """Axis -> value, as the command line has it. Lines differ in at least one."""
        cell = self.cells[0]
        names = ("dataset", "scale", "subset", "baseline", "backbone", "modality", "protocol", "init", "source")
        return {name: getattr(cell, name) for name in names} | {
            "splits": " ".join(map(str, self.splits)),
            "seeds": " ".join(map(str, self.seeds)),
            "limit": str(cell.limit or ""),
            "draw": cell.draw,
            "settings": " ".join(f"{key}={value}" for key, value in cell.overrides),
        }

    @property
    def key(self) -> str:
        """Unique in the table."""
        return " · ".join(filter(None, self.axes.values()))

    @property
    def videos(self) -> str:
        """The test set, in words that are the same for every number on it."""
        axes = self.axes
        return " · ".join(filter(None, (axes[axis] for axis in HEADS["dataset"])))

    @property
    def words(self) -> dict[str, str]:
        """Axis -> its value in print; '' for a default."""
        cell, card = self.cells[0], dataset_of(self.cells[0].dataset)
        usual_scale = "micro" if card and card.micro else "paper"
        usual_source = card.source if card else None
        return {
            "dataset": TITLES.get(cell.dataset, cell.dataset),
            "scale": "" if cell.scale == usual_scale else f"{cell.scale} scale",
            "subset": "" if cell.subset == "test" else cell.subset,
            "splits": f"split{'s' if len(self.splits) > 1 else ''} {', '.join(map(str, self.splits))}",
            "limit": f"the first {cell.limit} videos of every subset" if cell.limit else "",
            "baseline": title_of(cell.baseline),
            "backbone": cell.backbone,
            "modality": MODALITY_TITLES.get(cell.modality, cell.modality),
            "protocol": _protocol_title(cell.protocol),
            "init": INIT_TITLES.get(cell.init, cell.init),
            "source": f"from {cell.source}" if cell.source and cell.source != usual_source else "",
            "draw": cell.draw,
            "settings": ", ".join(f"{key}={value}" for key, value in cell.overrides),
            "seeds": "" if self.seeds == (0,) else f"seed{'s' if len(self.seeds) > 1 else ''} {_listed(self.seeds)}",
        }

    def in_words(self, axes: Iterable[str]) -> str:
        return joined(self.words, axes)


def joined(words: Mapping[str, str], axes: Iterable[str]) -> str:
    """The words of these axes, separated by commas."""
    return ", ".join(filter(None, (words[axis] for axis in axes)))


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _protocol_title(name: str) -> str:
    try:
        return str(registry.load("protocol", name).title)
    except HarnessError:
        return name


def lines_of(results: Iterable[Result]) -> tuple[Line, ...]:
    """The lines of these results, every result in at least one.

    Numbers are compared on the same videos. So if some runs of a data set have all splits and others the first alone, the
    former have two lines: the mean over their splits, and the first.
    """
    tests: dict[Cell, dict[Cell, list[Result]]] = {}
    for result in results:
        run = dataclasses.replace(result.cell, split=0, seed=0)
        tests.setdefault(_test_set(run), {}).setdefault(run, []).append(result)
    return tuple(line for runs in tests.values() for line in _lines(list(runs.values())))


def _test_set(cell: Cell) -> Cell:
    nothing = {
        "baseline": "",
        "modality": "",
        "protocol": "",
        "init": "",
        "source": "",
        "backbone": "",
        "overrides": (),
        "shots": 0,
        "share": 0.0,
    }
    return dataclasses.replace(cell, **nothing)  # type: ignore[arg-type]


def _lines(runs: Sequence[list[Result]]) -> Iterator[Line]:
    """The lines of one data set; a run is the results that differ in split and seed alone."""
    choices = dict.fromkeys(tuple(sorted({result.cell.split for result in run})) for run in runs)
    for run in runs:
        of = {(result.cell.split, result.cell.seed): result for result in run}
        shown = set()
        for splits in sorted(choices):
            seeds = [seed for seed in sorted({seed for _, seed in of}) if all((split, seed) in of for split in splits)]
            if seeds:
                places = [(split, seed) for split in splits for seed in seeds]
                shown.update(places)
                yield Line(tuple(of[place] for place in places))
        # Splits that were run with different seeds have no common mean.
        for split in sorted({split for split, seed in of.keys() - shown}):
            yield Line(tuple(of[place] for place in sorted(of) if place[0] == split))


def row_groups(lines: Sequence[Line], by: str) -> tuple[RowGroup, ...]:
    """The lines under headings, in the order they have; words that all rows of a group share are in its heading."""
    groups: dict[tuple[str, ...], list[Line]] = {}
    for line in lines:
        groups.setdefault(tuple(line.axes[axis] for axis in HEADS[by]), []).append(line)
    return tuple(_group(members, by) for members in groups.values())


def _group(lines: Sequence[Line], by: str) -> RowGroup:
    words = [line.words for line in lines]
    fixed = [axis for axis in words[0] if axis not in ALWAYS[by]]
    shared = [axis for axis in fixed if axis in HEADS[by] or (len(lines) > 1 and len({w[axis] for w in words}) == 1)]
    heads = sorted(shared, key=lambda axis: axis not in HEADS[by])
    rows = [
        Row(line.key, joined(w, [axis for axis in w if axis not in shared]), axes=line.axes)
        for line, w in zip(lines, words, strict=True)
    ]
    return RowGroup(joined(words[0], heads), tuple(rows))


def full_row(line: Line) -> Row:
    """The row with all its words."""
    return Row(line.key, line.in_words(line.words), axes=line.axes)
