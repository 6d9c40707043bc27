"""The table of all results: every number of a results folder, ranked on its videos, with its cost.

    harness table results --by baseline

The numbers come from the records alone, so that results of other machines, versions and plug-ins are printed as well. On
the same videos, the best number is marked, and those that are not significantly worse: the tests are those of
`reports.tables.paired_tests`, corrected over the whole table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.core import registry
from harness.core.errors import HarnessError, unknown
from harness.metrics.registered import PRIMARY, named
from harness.metrics.scores import CellResult
from harness.planning.cost import video_count
from harness.planning.lookup import skipped_videos
from reports.evidence import Evidence, order_of
from reports.results.lines import HEADS, Line, full_row, lines_of, row_groups
from reports.results.published import of_the_weights, published
from reports.tables import paired_tests
from reports.tables.layout import Slot
from reports.tables.measure import fill
from reports.tables.model import Column, ColumnGroup, Rank, Table, TableCell
from reports.tables.paired_tests import Contest, RowComparison
from reports.tables.supplements import Aside

GROUP = ColumnGroup("results", "", "")
COSTS = (
    Column("parameters", GROUP.key, "M params", decimals=2, unit="M"),
    Column("gmacs", GROUP.key, "GMACs", decimals=3, unit="G"),
    Column("seconds", GROUP.key, "seconds", decimals=0, unit="s"),
)
NOTES = (
    "M params, GMACs: millions of parameters, and thousands of millions of multiply-accumulates of all test clips of a video, "
    "with the head of the network's pre-training; blank if the network cannot be built here.",
    "seconds: wall-clock time of all jobs behind the number, upstream jobs included, each counted once.",
)


@dataclass(frozen=True)
class Results:
    """The table, and the tests behind its ranks."""

    table: Table
    comparisons: tuple[RowComparison, ...]
    lines: tuple[Line, ...]

    def significance(self) -> Aside:
        """The tests as a grid of their own."""
        test_set = HEADS["dataset"]
        heads = {line.videos: line.in_words(test_set) for line in self.lines}
        titles = {line.key: line.in_words(axis for axis in line.words if axis not in test_set) for line in self.lines}
        lowest = "the lowest seed" if any(len(line.seeds) > 1 for line in self.lines) else ""
        return paired_tests.aside(self.comparisons, "the results", heads, titles, seed=lowest)


def build(evidence: Evidence, *, by: str = "dataset", metrics: Sequence[str] = ()) -> Results:
    """The table of this evidence. Raises HarnessError if it has no number, and UnknownName for another order."""
    if by not in HEADS:
        raise unknown("order of results", by, HEADS)
    if not evidence.results:
        raise HarnessError(
            "no finished job has scored videos yet; run some with `harness run`, or name another --results"
        )
    lines = lines_of(evidence.results)
    names = [PRIMARY, *dict.fromkeys(registry.load("metric", name).name for name in metrics if name != PRIMARY)]
    columns = tuple(
        Column(name, GROUP.key, named(name).short, metric=name, decimals=named(name).decimals) for name in names
    )
    cells = {(line.key, name): _number(line, name, evidence) for line in lines for name in names}
    comparisons, ranks = _ranked(lines, cells)
    cells |= {place: replace(cells[place], rank=rank) for place, rank in ranks.items()}
    cells |= {(line.key, column): cell for line in lines for column, cell in _costs(line, evidence)}
    ordered = _ordered(lines, cells, evidence, by)
    table = Table(
        number=None,
        title=f"All results by {by.replace('dataset', 'data set')}, {len(lines)} in all; accuracy, %",
        scale="",
        version="",
        groups=(GROUP,),
        columns=(*columns, *COSTS),
        rows=tuple(map(full_row, ordered)),
        cells=cells,
        notes=tuple(_notes(lines, comparisons, ranks)),
        row_groups=row_groups(ordered, by),
        ours_name="ours" if any(cell.paper is not None for cell in cells.values()) else "",
        theirs_name="published",
        command=f"harness table results --by {by}",
    )
    return Results(table, comparisons, lines)


def _number(line: Line, metric: str, evidence: Evidence) -> TableCell:
    """The line's number, next to that of the paper or of the weights' publisher."""
    by_cell = {
        result.cell: CellResult(
            result.scores, result.job_ids, result.records, skipped_videos(result.records, evidence.records.get)
        )
        for result in line.results
    }
    printed, question = published(line.cells, metric)
    slot = Slot(row=line.key, column=metric, choices=(line.cells,), metric=metric)
    number = fill(slot, by_cell.get, question=question, printed=printed)
    theirs = of_the_weights(line.cells[0]) if printed is None and metric == PRIMARY else None
    if theirs is None:
        return number
    why = f"published for the weights that {line.words['baseline']} starts from{f', {theirs[1]}' if theirs[1] else ''}"
    return replace(number, paper=theirs[0], verdict="not comparable", why=why)


def _ranked(
    lines: Iterable[Line], cells: Mapping[tuple[str, str], TableCell]
) -> tuple[tuple[RowComparison, ...], dict[tuple[str, str], Rank]]:
    """The tests, and the rank of every line that has one. Only numbers on the same videos with the same labels are ranked."""
    tests: dict[str, list[Line]] = {}
    for line in lines:
        tests.setdefault(line.videos, []).append(line)
    contests, ranks = [], dict[tuple[str, str], Rank]()
    for videos, members in tests.items():
        signatures = Counter(map(_signature, members))
        usual = max(signatures, key=lambda signature: signatures[signature])
        ranks |= {(line.key, PRIMARY): "other videos" for line in members if _signature(line) != usual}
        rows = {
            line.key: [result.scores for result in line.first_seed] for line in members if _signature(line) == usual
        }
        best = max(rows, key=lambda row: cells[row, PRIMARY].ours or 0.0)
        if len(rows) > 1:
            ranks[best, PRIMARY] = "best"
            contests.append(Contest(videos, named(PRIMARY), rows, best))
    comparisons = paired_tests.decide(contests)
    ranks |= {(c.other, PRIMARY): "tied" for c in comparisons if not (c.significant and c.difference > 0)}
    return comparisons, ranks


def _signature(line: Line) -> tuple[int, ...]:
    """Equal for lines with the same videos and labels in every split."""
    return tuple(
        hash(frozenset(zip(result.scores.ids, result.scores.labels.tolist(), strict=True)))
        for result in line.first_seed
    )


def _costs(line: Line, evidence: Evidence) -> Iterator[tuple[str, TableCell]]:
    seconds = evidence.seconds(record for result in line.results for record in result.records)
    values: dict[str, float] = {"seconds": seconds} if seconds else {}
    try:
        counted = [video_count(record.scored_spec) for record in line.results[0].records]
    except HarnessError:  # the baseline's plug-in is not installed
        counted = []
    sizes = [count for count in counted if count]
    if sizes and len(sizes) == len(counted):
        values |= {"parameters": sum(n for n, _ in sizes) / 1e6, "gmacs": sum(macs for _, macs in sizes) / 1e9}
    for column, value in values.items():
        yield column, TableCell(ours=value, verdict="nothing to compare", why="a cost")


def _ordered(
    lines: Sequence[Line], cells: Mapping[tuple[str, str], TableCell], evidence: Evidence, by: str
) -> list[Line]:
    """By data set, or by baseline and data set; the best number of a test set first."""
    datasets = {name: place for place, name in enumerate(evidence.datasets)}

    def place(line: Line) -> tuple[object, ...]:
        cell, axes = line.cells[0], line.axes
        videos = (datasets[cell.dataset], axes["scale"], axes["subset"], len(line.splits), line.splits, cell.limit)
        number = -(cells[line.key, PRIMARY].ours or 0.0), line.key
        return (*videos, *number) if by == "dataset" else (order_of(cell.baseline), cell.backbone, *videos, *number)

    return sorted(lines, key=place)


def _notes(
    lines: Sequence[Line], comparisons: Sequence[RowComparison], ranks: Mapping[tuple[str, str], Rank]
) -> Iterator[str]:
    if comparisons:
        yield (
            "best: the highest on these videos; tied: not significantly lower, paired by video and drawn by group, "
            f"p {paired_tests.ALPHA:g} or more after Holm's correction over the whole table (comparisons: {len(comparisons)})."
        )
    if any(len(line.seeds) > 1 for line in lines) and comparisons:
        yield "Numbers of several seeds are ranked by their mean, and tested by their lowest seed alone."
    if "other videos" in ranks.values():
        yield "other videos: scored on other videos, or with other labels, than most numbers of the group; not ranked."
    if any(line.cells[0].limit for line in lines):
        yield "first videos of every subset: run with --limit; not in the paper's tables, the claims or the figures."
    for scale in sorted({line.cells[0].scale for line in lines} - {"paper"}):
        yield f"{scale} scale: networks and data sets of that size; not comparable with published numbers."
    yield from NOTES
