"""What stands behind each number of a table: seconds of its jobs and of all they rest on; shared work once in the total."""

from __future__ import annotations

from collections.abc import Iterable

from harness.core.errors import HarnessError
from harness.records.record import RunStore
from reports.tables.aside import Aside
from reports.tables.model import Table


def behind(job_ids: Iterable[str], run_store: RunStore) -> set[str]:
    """The jobs, and everything upstream of them that the ledger has."""
    found: set[str] = set()
    waiting = list(job_ids)
    while waiting:
        job_id = waiting.pop()
        if job_id not in found and run_store.has(job_id):
            found.add(job_id)
            waiting += run_store.read(job_id).upstream.values()
    return found


def aside(table: Table, run_store: RunStore) -> Aside:
    """One line a number: jobs behind it, their wall-clock and GPU-hours. The total counts every job once."""
    if table.number == 1:
        raise HarnessError("Table 1 has sizes that are computed; no job stands behind it. Leave out --with-cost")
    rows: list[tuple[str, ...]] = []
    every: set[str] = set()
    titles, groups = {row.key: row.title for row in table.rows}, {group.key: group.ours for group in table.groups}
    heads = {c.key: " ".join(filter(None, [groups[c.group], c.title, c.part])) for c in table.columns}
    for (row, column), cell in table.cells.items():
        if cell.ours is None or not cell.job_ids or column.count("gain"):
            continue
        jobs = behind(cell.job_ids, run_store)
        every |= jobs
        rows.append((titles.get(row, row), heads.get(column, column), *_numbers(jobs, run_store)))
    apart = sum(len(behind(cell.job_ids, run_store)) for cell in table.cells.values() if cell.job_ids)
    note = f"A number's cost is that of its jobs and all upstream; {apart - len(every)} jobs were saved by sharing."
    if rows:
        rows.append(("all of them", "each job once", *_numbers(every, run_store)))
    return Aside(
        key="cost",
        title=f"What stands behind the numbers of Table {table.number}",
        headers=("row", "column", "jobs", "wall s", "GPU-hours"),
        rows=tuple(rows),
        notes=(note if rows else "No number of this table is in the ledger yet, so there is no cost to show.",),
    )


def _numbers(jobs: set[str], run_store: RunStore) -> list[str]:
    costs = [run_store.read(job_id).cost for job_id in jobs]
    wall_s = sum(float(cost.get("wall_s", 0.0)) for cost in costs)
    device_s = sum(float(cost.get("device_s", 0.0)) for cost in costs)
    return [str(len(jobs)), f"{wall_s:,.0f}", f"{device_s / 3600:.2f}"]
