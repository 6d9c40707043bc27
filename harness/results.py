"""Cell -> the numbers the ledger has for it: scores of its jobs, fused where its streams were scored apart."""

from __future__ import annotations

import functools
from collections.abc import Callable

from harness.errors import HarnessError
from harness.fuse import late_fusion
from harness.metrics import CellResult
from harness.places import Places
from harness.plan import Planner
from harness.record import Ledger
from harness.spec import Cell

Lookup = Callable[[Cell], CellResult | None]


def result_of(job_ids: tuple[str, ...], ledger: Ledger) -> CellResult | None:
    """What the jobs of one cell came to; None while one of them is not done."""
    if not all(ledger.has(job_id) for job_id in job_ids):
        return None
    records = tuple(ledger.read(job_id) for job_id in job_ids)
    scores = records[0].scores()
    for record in records[1:]:
        scores = late_fusion(scores, record.scores())
    return CellResult(scores=scores, job_ids=job_ids, records=records)


def lookup_in(where: Places) -> Lookup:
    """A function from a cell to what the ledger has for it; None for cells that are not run or cannot be."""
    ledger, planner = Ledger(where.runs), Planner(where)

    @functools.cache  # tables ask for the same cell under several heads, and each answer reads and hashes files
    def lookup(cell: Cell) -> CellResult | None:
        try:
            job_ids = planner.jobs_of(cell)
        except HarnessError:
            # A table asks for every cell of the paper; one that cannot even be planned here has no result.
            return None
        return result_of(job_ids, ledger)

    return lookup
