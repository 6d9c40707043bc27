"""Table 2: the five architectures on UCF-101, HMDB-51 (split 1) and Kinetics, by modality.

    harness table 2 --scale micro --run

The numbers on UCF-101 and HMDB-51 are trained on them alone (Table 4's Original), those on Kinetics are Table 3's, all
from ImageNet except 3D-ConvNet.
"""

from __future__ import annotations

from harness.analysis import paper_numbers
from harness.core.contract import Baseline
from reports.tables import layout as lay
from reports.tables.model import Column

NUMBER = 2


def layout(question: lay.Question) -> lay.TableLayout:
    """Rows: architectures. Columns: data set by modality."""
    names = ("ucf101", "hmdb51", paper_numbers.SOURCES[question.version])
    columns = tuple(
        Column(f"{name}/{modality}", name, title) for name in names for modality, title in lay.MODALITY_TITLES.items()
    )

    def axes(card: Baseline, column: Column) -> lay.Axes:
        dataset, modality = column.key.split("/")
        stand_in = paper_numbers.stand_in(dataset, question.scale)
        return lay.Axes(card.name, modality, stand_in, paper_numbers.PROTOCOLS[NUMBER], card.inits[0])

    return lay.TableLayout(
        number=NUMBER,
        title="Architectures by data set and modality, trained on that data set; top-1 accuracy, %, split 1",
        question=question,
        groups=tuple(lay.group_of(name, question.scale) for name in names),
        columns=columns,
        rows=lay.rows(NUMBER),
        slots=lay.slots(NUMBER, question, columns, axes),
        notes=(
            "From ImageNet where the architecture can start from it (all but 3D-ConvNet).",
            "RGB alone of Two-Stream is what the field calls per-frame pooling: it sees no order.",
        ),
    )
