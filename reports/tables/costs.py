"""The cost of each number of a table: seconds of its jobs and of all upstream; shared work counts once in the total."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.core.errors import HarnessError
from harness.core.spec import upstream_closure
from harness.records.record import Record
from reports.tables.aside import Aside
from reports.tables.model import Table


def aside(table: Table, records: Mapping[str, Record]) -> Aside:
    """One line per number: jobs behind it, their wall-clock and GPU-hours. The total counts every job once."""
    if table.number == 1:
        raise HarnessError("Table 1 has computed sizes, which cost no job; leave out --with-cost")
    rows: list[tuple[str, ...]] = []
    jobs_of = {place: upstream_closure(cell.job_ids, records) for place, cell in table.cells.items()}
    titles, groups = {row.key: row.title for row in table.rows}, {group.key: group.ours for group in table.groups}
    heads = {c.key: " ".join(filter(None, [groups[c.group], c.title, c.part])) for c in table.columns}
    derived = {column.key for column in table.columns if column.derived}
    for (row, column), cell in table.cells.items():
        if cell.ours is not None and cell.job_ids and column not in derived:
            numbers = _numbers(jobs_of[row, column], records)
            rows.append((titles.get(row, row), heads.get(column, column), *numbers))
    every = {job_id for jobs in jobs_of.values() for job_id in jobs}
    saved = sum(map(len, jobs_of.values())) - len(every)
    note = f"A number's cost is that of its jobs and all upstream; {saved} jobs were saved by sharing."
    if rows:
        rows.append(("all of them", "each job once", *_numbers(every, records)))
    return Aside(
        key="cost",
        title=f"Cost of the numbers of Table {table.number}",
        headers=("row", "column", "jobs", "wall s", "GPU-hours"),
        rows=tuple(rows),
        notes=(note if rows else "No number of this table has been run yet, so there is no cost to show.",),
    )


def _numbers(jobs: Iterable[str], records: Mapping[str, Record]) -> list[str]:
    costs = [records[job_id].cost for job_id in jobs]
    wall_s = sum(float(cost.get("wall_s", 0.0)) for cost in costs)
    device_s = sum(float(cost.get("device_s", 0.0)) for cost in costs)
    return [str(len(costs)), f"{wall_s:,.0f}", f"{device_s / 3600:.2f}"]
