"""Table 2: the five architectures on UCF-101, HMDB-51 (split 1) and Kinetics, by modality.

    harness table 2 --scale micro --run

The numbers on UCF-101 and HMDB-51 are trained on them alone (Table 4's Original), those on Kinetics are Table 3's, all
from ImageNet except 3D-ConvNet.
"""

from __future__ import annotations

from reports.tables import layout as lay
from reports.tables.model import Column

NUMBER = 2


def layout(question: lay.Question) -> lay.Layout:
    """Rows: architectures. Columns: data set by modality."""
    names = ("ucf101", "hmdb51", lay.SOURCES[question.version])
    groups = tuple(lay.group_of(name, question.scale) for name in names)
    columns = tuple(
        Column(f"{name}/{modality}", name, title) for name in names for modality, title in lay.MODALITY_TITLES.items()
    )
    slots = []
    for card in lay.baselines(NUMBER):
        for column in columns:
            ask = {
                "baseline": card.name,
                "modality": column.key.split("/")[1],
                "dataset": lay.dataset_of(column.group, question.scale),
                "protocol": "original",
                "init": card.inits[0],
            }
            slots.append(lay.slot(question, lay.row_of(card).key, column.key, number=NUMBER, ask=ask))
    return lay.Layout(
        number=NUMBER,
        title="Architectures by data set and modality, trained on that data set; top-1 accuracy, %, split 1",
        question=question,
        groups=groups,
        columns=columns,
        rows=tuple(lay.row_of(card) for card in lay.baselines(NUMBER)),
        slots=tuple(slot for slot in slots if slot),
        notes=(
            "From ImageNet where the architecture can start from it (all but 3D-ConvNet).",
            "RGB alone of Two-Stream is what the field calls per-frame pooling: it sees no order.",
        ),
    )
