"""What a table wants: rows, columns, and for every number the cells of the experiment behind it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from harness.analysis import paper_numbers
from harness.core import registry
from harness.core.errors import HarnessError, unknown
from harness.core.registry import dashed
from harness.core.spec import Cell, Selection
from harness.metrics.summary import PRIMARY
from harness.models import pretrained
from harness.planning import selection as selecting
from harness.planning.selection import PUBLISHED
from reports.tables.model import Column, Group, Row

TITLES = {"ucf101": "UCF-101", "hmdb51": "HMDB-51", "kinetics400": "Kinetics", "minikinetics-213": "miniKinetics"}
SOURCES = paper_numbers.SOURCES
MODALITY_TITLES = {"rgb": "RGB", "flow": "Flow", "rgb+flow": "RGB+Flow"}
INIT_TITLES = {"imagenet": "ImageNet", "scratch": "scratch"}
PROTOCOL_TITLES = {"original": "Original", "fixed": "Fixed", "full-ft": "Full-FT"}


@dataclass(frozen=True)
class Question:
    """What is asked of the ledger for every table alike."""

    scale: str
    version: str = paper_numbers.KINETICS
    seeds: tuple[int, ...] = (0,)
    source: str | None = None
    """Where transferred weights come from ('published:NAME'); None: each baseline's own."""

    def __post_init__(self) -> None:
        if self.version not in paper_numbers.VERSIONS:
            raise unknown("version of the paper", self.version, paper_numbers.VERSIONS)
        if self.source is not None:
            if not self.source.startswith(PUBLISHED):
                raise HarnessError(
                    f"--source {self.source}: a table asks for weights that were published, --source published:NAME; without it "
                    "each baseline transfers from its card's own source"
                )
            pretrained.named(self.source.removeprefix(PUBLISHED))

    def command(self, number: int) -> str:
        """`harness table NUMBER`, with the flags that ask this."""
        flags = [f"--scale {self.scale}"]
        flags += [f"--version {self.version}"] if self.version != paper_numbers.KINETICS else []
        flags += [f"--seed {seed}" for seed in self.seeds] if self.seeds != (0,) else []
        flags += [f"--source {self.source}"] if self.source else []
        return " ".join([f"harness table {number}", *flags])


@dataclass(frozen=True)
class Slot:
    """One number: where it stands and which cells make it."""

    row: str
    column: str
    choices: tuple[tuple[Cell, ...], ...]
    """Sets of cells, over splits and seeds, any of which makes the number; the first that is done counts."""
    metric: str = PRIMARY
    optional: bool = False
    """The paper leaves it blank: shown when the ledger has it, not missed otherwise."""


@dataclass(frozen=True)
class Layout:
    """A table before the ledger is asked."""

    number: int
    title: str
    question: Question
    groups: tuple[Group, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    slots: tuple[Slot, ...]
    joiner: Literal["slash", "bracket"] = "slash"
    notes: tuple[str, ...] = ()

    def printed(self) -> Mapping[tuple[str, str], paper_numbers.PaperNumber]:
        return paper_numbers.table(self.number, self.question.version)

    def wanted(self) -> list[Cell]:
        """Every cell that fills the table, each once."""
        cells = itertools.chain.from_iterable(slot.choices[0] for slot in self.slots if not slot.optional)
        return list(dict.fromkeys(cells))


def dataset_of(name: str, scale: str) -> str:
    """The data set that stands for the paper's at this scale."""
    return paper_numbers.stand_in(name, scale)


def group_of(name: str, scale: str, *, suffix: str = "") -> Group:
    """The heading of a data set's columns."""
    stand_in = dataset_of(name, scale)
    ours = TITLES[name] if stand_in == name else stand_in
    return Group(name, TITLES[name] + suffix, ours + suffix)


def baselines(number: int) -> list[Any]:
    """Cards of every baseline found: those of the paper's table in its order, then the others by name."""
    cards = {dashed(card.name): card for card in registry.all("baseline").values()}
    printed = dict.fromkeys(
        row.split("/")[0] for version in paper_numbers.VERSIONS for row, _ in paper_numbers.table(number, version)
    )
    first = [cards[name] for name in printed if name in cards]
    return first + [card for name, card in sorted(cards.items()) if name not in printed]


def row_of(card: Any) -> Row:
    return Row(dashed(card.name), card.title)


def slot(
    question: Question,
    row: str,
    column: str,
    *,
    number: int,
    ask: Mapping[str, str],
    splits: tuple[int, ...] = (1,),
    metric: str = PRIMARY,
) -> Slot | None:
    """The slot for `ask` (baseline, modality, dataset, protocol, init); None where the combination cannot be.

    The paper scores test videos. Where a data set's test labels are withheld, its validation videos do, and the verdict
    says so.
    """
    choices = [cells for subset in _subsets(ask["dataset"]) if (cells := _cells(question, ask, splits, subset))]
    if not choices:
        return None
    printed = paper_numbers.table(number, question.version)
    optional = (row, column) not in printed and any(row == known for known, _ in printed)
    return Slot(row, column, tuple(choices), metric=metric, optional=optional)


def _subsets(dataset: str) -> Iterable[str | None]:
    try:
        found: tuple[str, ...] = registry.load("dataset", dataset).subsets
    except HarnessError:
        return ()
    return sorted(found, key=lambda subset: subset != "test")


def _cells(question: Question, ask: Mapping[str, str], splits: tuple[int, ...], subset: str | None) -> tuple[Cell, ...]:
    selection = Selection(
        baselines=(ask["baseline"],),
        modalities=(ask["modality"],),
        datasets=(ask["dataset"],),
        splits=splits,
        subset=subset,
        protocols=(ask["protocol"],),
        inits=(ask["init"],),
        source=None if ask["protocol"] == "original" else question.source,
        scale=question.scale,
        seeds=question.seeds,
    )
    try:
        return tuple(selecting.cells(selection))
    except HarnessError:
        # The paper has blanks for the same reason: no such combination (3D-ConvNet from ImageNet).
        return ()
