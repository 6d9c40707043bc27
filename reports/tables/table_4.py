"""Table 4: transfer. The five architectures on UCF-101 and HMDB-51, split 1, under the three protocols.

    harness table 4 --scale micro --run

Every cell is with / without ImageNet; both streams where the architecture has two. As in the paper's first version, the
last column is the reduction of misclassification from Original to the better of Fixed and Full-FT, computed from the
accuracies. Protocols of plug-ins have columns of their own once their jobs are done.
"""

from __future__ import annotations

from harness.analysis import paper_numbers
from harness.core.contract import Baseline
from reports.tables import layout as lay
from reports.tables.model import Column, Table, TableCell, Verdict

NUMBER = 4
GAIN = "gain"
DATASETS = ("ucf101", "hmdb51")


def layout(question: lay.Question) -> lay.TableLayout:
    """Rows: architectures. Columns: data set by protocol, with two parts, with and without ImageNet."""
    printed = _printed()
    columns = [
        Column(f"{name}/{card.name}/{init}", name, card.title, part=title, optional=card.name not in printed)
        for name in DATASETS
        for card in lay.protocols()
        for init, title in lay.INIT_TITLES.items()
    ]
    derived = [
        Column(f"{name}/{GAIN}/{init}", name, "Errors removed", part=title, derived=True)
        for name in DATASETS
        for init, title in lay.INIT_TITLES.items()
    ]

    def axes(card: Baseline, column: Column) -> lay.Axes:
        dataset, protocol, init = column.key.split("/")
        stand_in = paper_numbers.stand_in(dataset, question.scale)
        return lay.Axes(card.name, card.modalities[0], stand_in, protocol, init)

    return lay.TableLayout(
        number=NUMBER,
        title="Transfer to small data sets, with / without ImageNet; top-1 accuracy, %, split 1",
        question=question,
        groups=tuple(lay.group_of(name, question.scale) for name in DATASETS),
        columns=(*columns, *derived),
        rows=lay.rows(NUMBER),
        slots=lay.slots(NUMBER, question, columns, axes),
        notes=(
            "Both streams where the architecture has two.",
            "Errors removed: share of Original's misclassifications, %, that the better of Fixed and Full-FT does not make.",
        ),
    )


def _printed() -> list[str]:
    """The paper's protocols: the one that trains on the target alone, then those that transfer."""
    printed = {column.split("/")[1] for _, column in paper_numbers.table(NUMBER)}
    return [card.name for card in lay.protocols() if card.name in printed]


def derive(table: Table) -> dict[tuple[str, str], TableCell]:
    """The derived cells: paper and ours each from their own accuracies."""
    derived = {}
    for row in table.rows:
        for column in (column for column in table.columns if column.derived):
            name, _, init = column.key.split("/")
            three = [table.cells.get((row.key, f"{name}/{protocol}/{init}"), TableCell()) for protocol in _printed()]
            paper = errors_removed(*[cell.paper for cell in three])
            ours = errors_removed(*[cell.ours for cell in three])
            if paper is None and ours is None:
                continue
            jobs = tuple(job for cell in three for job in cell.job_ids) if ours is not None else ()
            verdict: Verdict = "nothing to compare" if ours is not None else "not run"
            why = "computed from the accuracies in this row, without an interval"
            derived[row.key, column.key] = TableCell(paper=paper, ours=ours, job_ids=jobs, verdict=verdict, why=why)
    return derived


def errors_removed(original: float | None, *transferred: float | None) -> float | None:
    """Percent of Original's errors; None unless all are known and Original makes errors."""
    accuracies = [accuracy for accuracy in transferred if accuracy is not None]
    if original is None or len(accuracies) < len(transferred) or original >= 100:
        return None
    return 100 * (max(accuracies) - original) / (100 - original)
