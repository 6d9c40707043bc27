"""Published numbers of a results folder's cells: those of the paper's tables, and those on the cards of published weights."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence

from harness.analysis.paper_numbers import VERSIONS, PaperNumber
from harness.core.cells import PUBLISHED, Cell
from reports import tables
from reports.evidence import card_of
from reports.tables.layout import Question

Key = tuple[Cell, tuple[int, ...], str]
"""(cell without split and seed, splits, metric)."""


def published(cells: Sequence[Cell], metric: str) -> tuple[PaperNumber | None, Question]:
    """The paper's number of these cells, and the question it answers; (None, a question) if it prints none."""
    question = Question(scale=cells[0].scale)
    return _of_the_paper().get(_key(cells, metric), (None, question)) if cells[0].scale == "paper" else (None, question)


def of_the_weights(cell: Cell) -> tuple[float, str] | None:
    """(top-1 in %, views in words) of the published weights that the cell starts from, on its data set; None if not published."""
    card = card_of(cell.baseline)
    name = cell.source.removeprefix(PUBLISHED)
    if card is None or name == cell.source:
        return None
    of_stream = (weights for weights in card.weights if (weights.name, weights.stream) == (name, cell.modality))
    return next(((w.accuracy[cell.dataset], w.views) for w in of_stream if cell.dataset in w.accuracy), None)


def _key(cells: Sequence[Cell], metric: str) -> Key:
    splits = tuple(sorted({cell.split for cell in cells}))
    return dataclasses.replace(cells[0], split=0, seed=0), splits, metric


@functools.cache
def _of_the_paper() -> Mapping[Key, tuple[PaperNumber, Question]]:
    """Every printed accuracy. The versions of the paper differ in the source of transfer; elsewhere the current one counts."""
    numbers: dict[Key, tuple[PaperNumber, Question]] = {}
    for question in (Question(scale="paper", version=version) for version in VERSIONS):
        for layout in tables.layouts(question):
            printed = layout.printed()
            for slot in (slot for slot in layout.slots if (slot.row, slot.column) in printed):
                for cells in slot.choices:
                    number = printed[slot.row, slot.column]
                    numbers.setdefault(_key(cells, slot.metric), (number, question))
    return numbers
