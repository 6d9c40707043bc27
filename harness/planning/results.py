"""The results of a plan's cells as values: metrics with intervals, numbers of videos, jobs and records."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.core.cells import Cell
from harness.core.errors import HarnessError
from harness.metrics.registered import PRIMARY, MetricValue, named, text
from harness.metrics.scores import CellResult, counts
from harness.metrics.summary import metric_values, plain
from harness.planning.lookup import result_of
from harness.planning.plan import Plan
from harness.records.caveats import caveats_of, left_out
from harness.records.record import RunStore

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Result(CellResult):
    """The result of one cell, with the scores that all its numbers are computed from."""

    cell: Cell

    @functools.cached_property
    def metrics(self) -> Mapping[str, MetricValue]:
        """Metric name -> value in its unit (percent for accuracies), with its 95% interval."""
        return metric_values(self.scores)

    @property
    def top1(self) -> float:
        """Top-1 accuracy in percent."""
        return self.metrics[PRIMARY].value

    @property
    def interval(self) -> tuple[float | None, float | None]:
        """95% interval of top-1, in percent."""
        return self.metrics[PRIMARY].low, self.metrics[PRIMARY].high

    @property
    def counts(self) -> Mapping[str, int]:
        """Numbers of videos: `n` scored of `n_of` listed, `correct` at top-1, `undecodable`, `missing`."""
        return counts(self.scores)

    @property
    def n(self) -> int:
        """Videos scored."""
        return self.scores.n

    @property
    def caveats(self) -> tuple[str, ...]:
        """Warnings about the data set, the source of the weights, and training videos that were left out."""
        return (*caveats_of(self.cell), *filter(None, [left_out(self.skipped)]))

    def __repr__(self) -> str:
        top1 = text(PRIMARY, plain(self.metrics[PRIMARY]), interval=True)
        return f"{self.cell}: {named(PRIMARY).short} {top1}, n {self.n}"


class Results(tuple[Result, ...]):
    """Results in the order of their cells. `print` shows one line per result, a notebook a table."""

    def frame(self) -> pd.DataFrame:
        """One row per result: every axis; every metric with the ends of its 95% interval; numbers of videos; job ids."""
        import pandas as pd

        return pd.DataFrame([row_of(result) for result in self])

    def __repr__(self) -> str:
        return "\n".join(map(repr, self))

    def _repr_html_(self) -> str:
        return str(self.frame().to_html(index=False))


def row_of(result: Result) -> dict[str, Any]:
    """The result as a row: top1 is in percent, from top1_low to top1_high with 95% confidence."""
    row = vars(result.cell) | {"overrides": " ".join(f"{key}={value}" for key, value in result.cell.overrides)}
    for name, number in result.metrics.items():
        row |= {name: number.value}
        row |= {f"{name}_low": number.low, f"{name}_high": number.high} if number.low is not None else {}
    return row | {**result.counts, "jobs": " ".join(result.job_ids)}


def results_of(plan: Plan, run_store: RunStore) -> Results:
    """The results of all cells of a plan whose jobs are finished, in its order."""
    results = []
    for cell, job_ids in plan.cells.items():
        result = result_of(job_ids, run_store)
        if result is None:
            raise HarnessError(f"{cell} has no result although its jobs are done; this is a defect: please report it")
        fields = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
        results.append(Result(cell=cell, **fields))
    return Results(results)
