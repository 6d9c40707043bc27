"""The rows and columns of a table, and for every number the cells of the experiment behind it."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from harness.analysis import paper_numbers
from harness.core import registry
from harness.core.cells import PUBLISHED, Cell, Selection
from harness.core.contract import Baseline, Protocol
from harness.core.errors import HarnessError, unknown
from harness.core.registry import dashed
from harness.metrics.registered import PRIMARY, named
from harness.models import pretrained
from harness.planning import selection as selecting
from harness.planning.command import plugin_flags
from reports.tables.model import Column, ColumnGroup, Row

TITLES = {"ucf101": "UCF-101", "hmdb51": "HMDB-51", "kinetics400": "Kinetics", "minikinetics-213": "miniKinetics"}
MODALITY_TITLES = {"rgb": "RGB", "flow": "Flow", "rgb+flow": "RGB+Flow"}
INIT_TITLES = {"imagenet": "ImageNet", "scratch": "scratch"}


@dataclass(frozen=True)
class Question:
    """Options common to all tables."""

    scale: str
    version: str = paper_numbers.KINETICS
    seeds: tuple[int, ...] = (0,)
    source: str | None = None
    """Source of transferred weights ('published:NAME'); None: the data set's own."""
    metrics: tuple[str, ...] = ()
    """Metrics that get columns of their own, next to those that the paper prints."""

    def __post_init__(self) -> None:
        if self.version not in paper_numbers.VERSIONS:
            raise unknown("version of the paper", self.version, paper_numbers.VERSIONS)
        for name in self.metrics:
            registry.load("metric", name)
        if self.source is not None:
            if not self.source.startswith(PUBLISHED):
                raise HarnessError(
                    f"--source {self.source}: a table accepts only --source published:NAME; without --source, the "
                    "source in the data set's card is used"
                )
            pretrained.named(self.source.removeprefix(PUBLISHED))

    def command(self, number: int, cells: Iterable[Cell] = ()) -> str:
        """`harness table NUMBER`, with the flags that ask this, quoted for a shell."""
        flags: list[tuple[str, object]] = [("--scale", self.scale)]
        flags += [("--version", self.version)] if self.version != paper_numbers.KINETICS else []
        flags += [("--seed", seed) for seed in self.seeds] if self.seeds != (0,) else []
        flags += [("--source", self.source)] if self.source else []
        flags += [("--metric", name) for name in self.metrics]
        flags += plugin_flags(cells)
        return shlex.join(["harness", "table", str(number), *(str(word) for flag in flags for word in flag)])


@dataclass(frozen=True)
class Axes:
    """The experiment behind a number, without splits and seeds."""

    baseline: str
    modality: str
    dataset: str
    protocol: str
    init: str


@dataclass(frozen=True)
class Slot:
    """One number: its place and the cells that make it."""

    row: str
    column: str
    choices: tuple[tuple[Cell, ...], ...]
    """Sets of cells, over splits and seeds, any of which makes the number; the first that is done counts."""
    metric: str = PRIMARY
    optional: bool = False
    """The paper leaves it blank: shown if its jobs are done, not missed otherwise."""


@dataclass(frozen=True)
class TableLayout:
    """A table without numbers."""

    number: int
    title: str
    question: Question
    groups: tuple[ColumnGroup, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    slots: tuple[Slot, ...]
    joiner: Literal["slash", "bracket"] = "slash"
    notes: tuple[str, ...] = ()

    def printed(self) -> Mapping[tuple[str, str], paper_numbers.PaperNumber]:
        return paper_numbers.table(self.number, self.question.version)

    def covers(self, cells: Collection[Cell]) -> bool:
        """Whether all of the cells make numbers of this table, together with no others."""
        choices = {choice for slot in self.slots for choice in slot.choices if set(choice) <= set(cells)}
        return set(itertools.chain.from_iterable(choices)) == set(cells)

    def wanted(self) -> list[Cell]:
        """Every cell that fills the table, each once."""
        cells = itertools.chain.from_iterable(slot.choices[0] for slot in self.slots if not slot.optional)
        return list(dict.fromkeys(cells))


def group_of(name: str, scale: str) -> ColumnGroup:
    """The heading of a data set's columns."""
    stand_in = paper_numbers.stand_in(name, scale)
    ours = TITLES[name] if stand_in == name else stand_in
    return ColumnGroup(name, TITLES[name], ours)


def baselines(number: int) -> list[Baseline]:
    """Cards of every registered baseline: those of the paper's table in its order, then the others by name.

    The rows of built-in baselines that the paper does not have are printed once they have results.
    """
    cards = {dashed(card.name): card for card in registry.all("baseline").values() if card.at is None}
    printed = dict.fromkeys(
        row.split("/")[0] for version in paper_numbers.VERSIONS for row, _ in paper_numbers.table(number, version)
    )
    first = [cards[name] for name in printed if name in cards]
    return first + [card for name, card in sorted(cards.items()) if name not in printed]


def rows(number: int) -> tuple[Row, ...]:
    """One per baseline."""
    return tuple(row_of(card) for card in baselines(number))


def row_of(card: Baseline) -> Row:
    return Row(dashed(card.name), card.title)


def protocols() -> list[Protocol]:
    """Every registered protocol in the order of its columns."""
    return sorted(registry.all("protocol").values(), key=lambda card: (card.order, card.name))


def slots(
    number: int, question: Question, columns: Sequence[Column], axes: Callable[[Baseline, Column], Axes]
) -> tuple[Slot, ...]:
    """One per baseline and column, except for impossible combinations."""
    places = itertools.product(baselines(number), columns)
    made = (slot(question, row_of(card).key, column, number=number, axes=axes(card, column)) for card, column in places)
    return tuple(filter(None, made))


def slot(
    question: Question, row: str, column: Column, *, number: int, axes: Axes, splits: tuple[int, ...] = (1,)
) -> Slot | None:
    """The slot for a number; None for an impossible combination.

    The paper scores test videos. Where a data set's test labels are withheld, its validation videos are scored, and the
    verdict says so.
    """
    choices = [cells for subset in _subsets(axes.dataset) if (cells := _cells(question, axes, splits, subset))]
    if not choices:
        return None
    printed = paper_numbers.table(number, question.version)
    blank = (row, column.key) not in printed and any(row == known for known, _ in printed)
    optional = blank or column.optional or not _expected(axes.baseline)
    return Slot(row, column.key, tuple(choices), metric=column.metric, optional=optional)


def _expected(baseline: str) -> bool:
    """Whether the tables miss this baseline where it has no results: the paper's networks, and yours."""
    papers = {row for row, _ in paper_numbers.table(4)}
    return dashed(baseline) in papers or bool(registry.origin("baseline", baseline))


def _subsets(dataset: str) -> Iterable[str | None]:
    try:
        subsets: tuple[str, ...] = registry.load("dataset", dataset).subsets
    except HarnessError:
        return ()
    return sorted(subsets, key=lambda subset: subset != "test")


def _cells(question: Question, axes: Axes, splits: tuple[int, ...], subset: str | None) -> tuple[Cell, ...]:
    transfers = registry.load("protocol", axes.protocol).weights_from == "source"
    selection = Selection(
        baselines=(axes.baseline,),
        modalities=(axes.modality,),
        datasets=(axes.dataset,),
        splits=splits,
        subset=subset,
        protocols=(axes.protocol,),
        inits=(axes.init,),
        source=question.source if transfers else None,
        scale=question.scale,
        seeds=question.seeds,
    )
    try:
        return tuple(selecting.cells(selection))
    except HarnessError:
        # The paper has blanks for the same reason: no such combination (3D-ConvNet from ImageNet).
        return ()


def with_metrics(layout: TableLayout) -> TableLayout:
    """The layout with one more column, for each metric that is asked for, wherever it has the paper's metric."""
    known = {column.key for column in layout.columns}
    papers = [column for column in layout.columns if column.metric == PRIMARY and not column.derived]
    for name in (named(metric).name for metric in layout.question.metrics):
        more = {column.key: _measured_by(name, column) for column in papers}
        more = {key: column for key, column in more.items() if column.key not in known}
        slots = [replace(s, column=more[s.column].key, metric=name) for s in layout.slots if s.column in more]
        notes = [f"{named(name).short}: {named(name).title}."] if more else []
        columns = (*layout.columns, *more.values())
        layout = replace(layout, columns=columns, slots=(*layout.slots, *slots), notes=(*layout.notes, *notes))
    return layout


def _measured_by(name: str, column: Column) -> Column:
    """A further part where parts are metrics (Table 3), else a column of its own."""
    metric, stem = named(name), column.key.removesuffix(f"/{PRIMARY}")
    head = metric.short if metric.unit == "%" else f"{metric.short}, {metric.unit}" if metric.unit else metric.short
    title, part = ", ".join(filter(None, [column.title, head])), column.part
    if part == named(PRIMARY).short:
        title, part = column.title, head
    return replace(column, key=f"{stem}/{name}", title=title, part=part, metric=name, decimals=metric.decimals)
