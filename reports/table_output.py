"""Tables for the commands and the Python functions: their cells, and their output in any format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.core.cells import Cell, Selection
from harness.core.errors import HarnessError
from harness.core.workspace import Workspace
from harness.planning import selection as selecting
from harness.planning.lookup import lookup_in
from harness.records.record import RunStore
from reports import tables
from reports.evidence import gather
from reports.results import build
from reports.tables import supplements
from reports.tables.model import Table
from reports.tables.render import frame, render
from reports.tables.supplements import Aside

if TYPE_CHECKING:
    import pandas as pd

TABLES = ("2", "3", "4", "5")
"""Tables with numbers to run; Table 1 needs no jobs."""


@dataclass(frozen=True, repr=False)
class TableOutput:
    """A table, ready to be rendered. `print` shows it as the terminal does, a notebook as HTML."""

    table: Table
    """Its numbers, each with its interval, the paper's number, its jobs and the command that makes it."""
    asides: tuple[Aside, ...] = ()
    """Significance and cost, if they were asked for."""

    def render(self, format: str = "terminal") -> str:
        """Text as 'terminal', 'markdown', 'latex', 'csv', 'json' or 'html'. Raises HarnessError for a format that cannot hold it."""
        supplements.check_format(format, asides=bool(self.asides))
        return supplements.below(render(self.table, format), self.asides, format)

    def frame(self) -> pd.DataFrame:
        """One row per number: row and column, the paper's number, ours, interval, n, verdict, jobs, command."""
        return frame(self.table)

    def __repr__(self) -> str:
        return self.render()

    def _repr_html_(self) -> str:
        return self.render("html")


def paper_table(
    number: int,
    question: tables.Question,
    workspace: Workspace,
    run_store: RunStore,
    *,
    significance: bool = False,
    with_cost: bool = False,
) -> TableOutput:
    """Table `number` with the results in `run_store`, which collects damaged records. Raises HarnessError for an unknown number."""
    lookup = lookup_in(workspace, run_store)
    table = tables.build(number, lookup, question)
    asides = [tables.significance(number, lookup, question)] if significance else []
    records = {record.job_id: record for record in run_store.readable()} if with_cost else {}
    asides += [supplements.costs(table, records)] if with_cost else []
    return TableOutput(table, tuple(asides))


def results_table(
    run_store: RunStore,
    *,
    scale: str | None = None,
    by: str = "dataset",
    metrics: Sequence[str] = (),
    significance: bool = False,
) -> TableOutput:
    """Every number in `run_store`, which collects damaged records, ranked on its videos; `scale` None: of all scales."""
    built = build(gather(run_store, scale=scale), by=by, metrics=metrics)
    return TableOutput(built.table, (built.significance(),) if significance else ())


def cells_of(selection: Selection, table: str | None) -> list[Cell]:
    """The cells of one table, of all tables, or of the selection."""
    if table is None:
        return selecting.cells(selection)
    if flags := _flags_besides_table(selection):
        raise HarnessError(
            f"--table {table} plans that table's own cells; leave out {' and '.join(flags)}, or leave out --table"
        )
    if table not in (*TABLES, "all"):
        raise HarnessError(f"--table {table}: expected one of {', '.join(TABLES)}, or all")
    question = tables.Question(scale=selection.scale or "paper", seeds=selection.seeds, source=selection.source)
    numbers = TABLES if table == "all" else (table,)
    return list(dict.fromkeys(cell for number in numbers for cell in tables.wanted(int(number), question)))


def _flags_besides_table(selection: Selection) -> list[str]:
    """Options in use that contradict --table: a table fixes these axes itself."""
    axes = {
        "--baseline": selection.baselines,
        "--modality": selection.modalities,
        "--dataset": selection.datasets,
        "--split": selection.splits != Selection().splits,
        "--subset": selection.subset,
        "--protocol": selection.protocols,
        "--init": selection.inits,
        "--backbone": selection.backbone,
        "--limit": selection.limit,
        "--shots": selection.shots,
        "--share": selection.shares,
        "--set": selection.overrides,
    }
    return [flag for flag, value in axes.items() if value]
