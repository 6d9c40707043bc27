"""Cells of the experiment -> one number with its interval and verdict.

The rule by which a number counts as reproduced:

=================  ===============================================================================================
not run            not all jobs of the number are finished
not comparable     it was measured on something else: the micro scale, the validation videos where the paper has the test
                   videos, another source of transfer than this version of the paper, or the printed value is unverified
nothing to compare the paper prints no number here
reproduced         the paper's value is inside our 95% interval, widened at both ends by the deviation over seeds
below, above       ours is below, or above, the paper's by more than that
=================  ===============================================================================================

The paper gives no interval of its own, so its value is taken as exact: with the same videos, a true replication falls
outside more often than 5% of the time, and one number alone proves little. Tables print the number of comparisons.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.analysis.paper_numbers import SOURCES, PaperNumber
from harness.core.cells import PUBLISHED, Cell
from harness.metrics.registered import named
from harness.metrics.scores import CellResult, Scores
from harness.metrics.summary import estimate
from harness.planning.command import command_of
from harness.records.caveats import caveats_of, left_out
from reports.tables.layout import Question, Slot
from reports.tables.model import TableCell, Verdict

Lookup = Callable[[Cell], CellResult | None]


def fill(slot: Slot, lookup: Lookup, *, question: Question, printed: PaperNumber | None) -> TableCell:
    """The table's cell for a slot. Raises HarnessError when scores of one cell do not belong together."""
    paper = printed.value if printed else None
    for cells in slot.choices:
        results = [lookup(cell) for cell in cells]
        done = [result for result in results if result is not None]
        if len(done) == len(cells):
            return _measured(cells, done, slot=slot, question=question, printed=printed)
    command = command_of(*slot.choices[0])
    if slot.optional:
        return TableCell(paper=paper, verdict="blank", why="the paper leaves this blank", command=command)
    why = "its jobs are not finished" + (f"; {len(done)} of {len(cells)} parts are" if done else "")
    return TableCell(paper=paper, wanted=True, verdict="not run", why=why, command=command)


def _measured(
    cells: Sequence[Cell], results: Sequence[CellResult], *, slot: Slot, question: Question, printed: PaperNumber | None
) -> TableCell:
    by_split: dict[int, list[Scores]] = {}
    for cell, result in zip(cells, results, strict=True):
        by_split.setdefault(cell.split, []).append(result.scores)
    number = estimate(named(slot.metric), list(by_split.values()))
    first = [scores[0] for scores in by_split.values()]
    skipped = {video for result in results for video in result.skipped}
    paper, obstacles = printed.value if printed else None, _obstacles(cells, question, printed)
    verdict, why = judge(paper, number.low, number.high, seed_deviation=number.seed_deviation, obstacles=obstacles)
    return TableCell(
        paper=paper,
        ours=number.value,
        low=number.low,
        high=number.high,
        seed_deviation=number.seed_deviation,
        split_deviation=number.split_deviation,
        n=sum(scores.n for scores in first),
        n_of=sum(scores.n_of for scores in first),
        undecodable=sum(len(scores.undecodable) for scores in first),
        seeds=tuple(dict.fromkeys(cell.seed for cell in cells)),
        splits=tuple(by_split),
        job_ids=tuple(dict.fromkeys(job for result in results for job in result.job_ids)),
        wanted=not slot.optional,
        verdict=verdict,
        why=why,
        caveat="; ".join(filter(None, (*caveats_of(cells[0]), left_out(skipped)))),
        command=command_of(*cells, skipped=bool(skipped)),
    )


def judge(
    paper: float | None, low: float | None, high: float | None, *, seed_deviation: float | None, obstacles: list[str]
) -> tuple[Verdict, str]:
    """(verdict, why) for a measured number. `obstacles`: reasons not to compare it, in words."""
    if obstacles:
        return "not comparable", "; ".join(obstacles)
    if paper is None or low is None or high is None:
        return "nothing to compare", "the paper prints no number here"
    spare = seed_deviation or 0.0
    widened = f"{low - spare:.1f} to {high + spare:.1f}"
    if paper < low - spare:
        return "above", f"the paper's {paper:.1f} is below {widened}"
    if paper > high + spare:
        return "below", f"the paper's {paper:.1f} is above {widened}"
    return "reproduced", f"the paper's {paper:.1f} is within {widened}"


def _obstacles(cells: Sequence[Cell], question: Question, printed: PaperNumber | None) -> list[str]:
    """Reasons not to compare the number with the paper's."""
    cell, obstacles = cells[0], []
    if question.scale != "paper":
        obstacles.append(f"{question.scale} scale, on {cell.dataset}")
    if cell.subset != "test":
        obstacles.append(f"scored on {cell.subset}, the paper on test")
    published = cell.source.startswith(PUBLISHED)
    if question.scale == "paper" and cell.source and not published and cell.source != SOURCES[question.version]:
        obstacles.append(f"transferred from {cell.source}")
    if printed and printed.note.startswith("unverified"):
        obstacles.append("the printed value is unverified")
    return obstacles
