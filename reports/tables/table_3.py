"""Table 3: the five architectures on Kinetics, from scratch and from ImageNet, by modality; top-5 in brackets.

harness table 3 --scale micro --run
"""

from __future__ import annotations

from harness.analysis import paper_numbers
from harness.core.contract import Baseline
from harness.metrics.registered import named
from reports.tables import layout as lay
from reports.tables.model import Column, ColumnGroup

NUMBER = 3


def layout(question: lay.Question) -> lay.TableLayout:
    """Rows: architectures. Columns: init by modality, with two parts, top-1 and top-5."""
    source = paper_numbers.SOURCES[question.version]
    data = lay.group_of(source, question.scale)
    groups = (
        ColumnGroup("scratch", data.paper, data.ours),
        ColumnGroup("imagenet", f"ImageNet then {data.paper}", f"ImageNet then {data.ours}"),
    )
    columns = tuple(
        Column(f"{group.key}/{modality}/{metric}", group.key, title, part=named(metric).short, metric=metric)
        for group in groups
        for modality, title in lay.MODALITY_TITLES.items()
        for metric in sorted({column.rpartition("/")[2] for _, column in paper_numbers.table(NUMBER)})
    )

    def axes(card: Baseline, column: Column) -> lay.Axes:
        init, modality, _ = column.key.split("/")
        stand_in = paper_numbers.stand_in(source, question.scale)
        return lay.Axes(card.name, modality, stand_in, paper_numbers.PROTOCOLS[NUMBER], init)

    return lay.TableLayout(
        number=NUMBER,
        title="Training from scratch and from ImageNet; top-1 (top-5) accuracy, %",
        question=question,
        groups=groups,
        columns=columns,
        rows=lay.rows(NUMBER),
        slots=lay.slots(NUMBER, question, columns, axes),
        joiner="bracket",
        notes=("The paper prints top-5 for Two-Stream I3D only.",),
    )
