"""Cell -> the numbers the ledger has for it: scores of its jobs, fused where its streams were scored apart."""

from __future__ import annotations

import functools
from collections.abc import Callable

from harness.core.errors import HarnessError
from harness.core.spec import Cell
from harness.core.workspace import Workspace
from harness.metrics.fusion import late_fusion
from harness.metrics.scores import CellResult
from harness.planning.plan import Planner
from harness.records.record import RunStore

Lookup = Callable[[Cell], CellResult | None]


def result_of(job_ids: tuple[str, ...], run_store: RunStore) -> CellResult | None:
    """What the jobs of one cell came to; None while one of them is not done."""
    if not all(run_store.has(job_id) for job_id in job_ids):
        return None
    records = tuple(run_store.read(job_id) for job_id in job_ids)
    scores = records[0].scores()
    for record in records[1:]:
        scores = late_fusion(scores, record.scores())
    return CellResult(scores=scores, job_ids=job_ids, records=records)


def lookup_in(workspace: Workspace) -> Lookup:
    """A function from a cell to what the ledger has for it; None for cells that are not run or cannot be.

    The data sets need not be there: what a set that is not indexed here was like, the ledger's records say.
    """
    run_store = RunStore(workspace.runs)
    planner = Planner(workspace, remembered=functools.cache(lambda: _fingerprints(run_store)))

    @functools.cache  # tables ask for the same cell under several heads, and each answer reads and hashes files
    def lookup(cell: Cell) -> CellResult | None:
        try:
            job_ids = planner.jobs_of(cell)
        except HarnessError:
            # A table asks for every cell of the paper; one that cannot even be planned here has no result.
            return None
        return result_of(job_ids, run_store)

    return lookup


def _fingerprints(run_store: RunStore) -> dict[tuple[str, int], str]:
    """(data set, version) -> its fingerprint, where all records that name it agree."""
    found: dict[tuple[str, int], set[str]] = {}
    for record in run_store:
        dataset = record.spec.get("dataset", {})
        if dataset.get("fingerprint"):
            found.setdefault((dataset["name"], dataset["version"]), set()).add(dataset["fingerprint"])
    return {key: next(iter(prints)) for key, prints in found.items() if len(prints) == 1}
