"""Table 5: I3D, fine-tuned, against the state of the art of its time; means over the three official splits.

    harness table 5 --scale micro --run

The rows of other methods are the paper's quotations, with their source; there is nothing to run for them.
HMDB-51's test sets overlap between splits, which the interval allows for; the deviation over splits does not.
"""

from __future__ import annotations

import itertools

from harness.analysis import paper_numbers
from harness.core.contract import Baseline
from reports.tables import layout as lay
from reports.tables.model import Column, Row

NUMBER = 5
QUOTED = "quoted/"
HEADLINE = "The paper's headline pair, 98.0 / 80.9, takes the best of two rows."


def layout(question: lay.Question) -> lay.TableLayout:
    """Rows: quoted methods, then I3D and every baseline the paper does not have, by modality and init."""
    columns = tuple(Column(name, name, "") for name in ("ucf101", "hmdb51"))
    rows, slots = _quoted(question), []
    for card, init, modality in itertools.product(_cards(), lay.INIT_TITLES, lay.MODALITY_TITLES):
        if init in card.inits and modality in card.modalities:
            row = Row(f"{lay.row_of(card).key}/{modality}/{init}", _title(card, modality, init, question))
            rows.append(row)
            for column in columns:
                dataset = paper_numbers.stand_in(column.key, question.scale)
                axes = lay.Axes(card.name, modality, dataset, paper_numbers.PROTOCOLS[NUMBER], init)
                slots.append(lay.slot(question, row.key, column, number=NUMBER, axes=axes, splits=(1, 2, 3)))
    return lay.TableLayout(
        number=NUMBER,
        title="Full-FT against results quoted by the paper; top-1 accuracy, %, mean over three splits",
        question=question,
        groups=tuple(lay.group_of(column.key, question.scale) for column in columns),
        columns=columns,
        rows=tuple(rows + _headline(question, {row.key for row in rows})),
        slots=tuple(slot for slot in slots if slot),
        notes=(HEADLINE,) if question.version == paper_numbers.KINETICS else (),
    )


def _cards() -> list[Baseline]:
    """I3D, and baselines that are in none of the paper's tables."""
    known = {row for row, _ in paper_numbers.table(4)}
    return [card for card in lay.baselines(NUMBER) if lay.row_of(card).key not in known - {"i3d"}]


def _quoted(question: lay.Question) -> list[Row]:
    rows = {}
    for (row, _), number in paper_numbers.table(NUMBER, question.version).items():
        if row.startswith(QUOTED):
            rows[row] = Row(row, row.removeprefix(QUOTED), note=number.note, quoted=True)
    return list(rows.values())


def _headline(question: lay.Question, known: set[str]) -> list[Row]:
    """A version of the paper of which only the headline is known has it in a row of its own, because its row is unknown."""
    others = {row: n for (row, _), n in paper_numbers.table(NUMBER, question.version).items() if row not in known}
    return [Row(row, "Two-Stream I3D, as in the abstract", note=n.note, quoted=True) for row, n in others.items()]


def _title(card: Baseline, modality: str, init: str, question: lay.Question) -> str:
    source = lay.group_of(paper_numbers.SOURCES[question.version], question.scale).ours
    start = f"ImageNet+{source}" if init == "imagenet" else source
    return f"{card.title}, {lay.MODALITY_TITLES[modality]}, {start}"
