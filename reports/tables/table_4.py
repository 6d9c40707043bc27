"""Table 4: transfer. The five architectures on UCF-101 and HMDB-51, split 1, under the three protocols.

    harness table 4 --scale micro --run

Every cell is with / without ImageNet; both streams where the architecture has two. As in the paper's first version, the
last column is the reduction of misclassification from Original to the better of Fixed and Full-FT, computed from the
accuracies.
"""

from __future__ import annotations

from reports.tables import layout as lay
from reports.tables.model import Column, Table, TableCell, Verdict

NUMBER = 4
GAIN = "gain"


def layout(question: lay.Question) -> lay.Layout:
    """Rows: architectures. Columns: data set by protocol, with two parts, with and without ImageNet."""
    names = ("ucf101", "hmdb51")
    columns = [
        Column(f"{name}/{protocol}/{init}", name, title, part=lay.INIT_TITLES[init])
        for name in names
        for protocol, title in lay.PROTOCOL_TITLES.items()
        for init in lay.INIT_TITLES
    ]
    slots = []
    for card in lay.baselines(NUMBER):
        for column in columns:
            name, protocol, init = column.key.split("/")
            ask = {
                "baseline": card.name,
                "modality": card.modalities[0],
                "dataset": lay.dataset_of(name, question.scale),
                "protocol": protocol,
                "init": init,
            }
            slots.append(lay.slot(question, lay.row_of(card).key, column.key, number=NUMBER, ask=ask))
    columns += [
        Column(f"{name}/{GAIN}/{init}", name, "Errors removed", part=lay.INIT_TITLES[init], derived=True)
        for name in names
        for init in lay.INIT_TITLES
    ]
    return lay.Layout(
        number=NUMBER,
        title="Transfer to small data sets, with / without ImageNet; top-1 accuracy, %, split 1",
        question=question,
        groups=tuple(lay.group_of(name, question.scale) for name in names),
        columns=tuple(columns),
        rows=tuple(lay.row_of(card) for card in lay.baselines(NUMBER)),
        slots=tuple(slot for slot in slots if slot),
        notes=(
            "Both streams where the architecture has two.",
            "Errors removed: share of Original's misclassifications, %, that the better of Fixed and Full-FT does not make.",
        ),
    )


def derive(table: Table) -> dict[tuple[str, str], TableCell]:
    """The derived cells: paper and ours each from their own accuracies."""
    found = {}
    for row in table.rows:
        for column in table.columns:
            if not column.derived:
                continue
            name, _, init = column.key.split("/")
            three = [table.cells.get((row.key, f"{name}/{protocol}/{init}")) for protocol in lay.PROTOCOL_TITLES]
            paper = errors_removed(*[cell.paper if cell else None for cell in three])
            ours = errors_removed(*[cell.ours if cell else None for cell in three])
            if paper is None and ours is None:
                continue
            jobs = tuple(job for cell in three if cell for job in cell.job_ids) if ours is not None else ()
            verdict: Verdict = "nothing to compare" if ours is not None else "not run"
            why = "computed from the accuracies in this row, without an interval"
            found[row.key, column.key] = TableCell(paper=paper, ours=ours, job_ids=jobs, verdict=verdict, why=why)
    return found


def errors_removed(original: float | None, fixed: float | None, full_ft: float | None) -> float | None:
    """Percent of Original's errors; None unless all three are known and Original makes errors."""
    if original is None or fixed is None or full_ft is None or original >= 100:
        return None
    return 100 * (max(fixed, full_ft) - original) / (100 - original)
