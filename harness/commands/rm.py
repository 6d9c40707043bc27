"""`harness rm`: Delete finished jobs.

JOB is an id or its beginning. Lists the jobs, and deletes them with --yes. Copies in MLflow stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from graphlib import TopologicalSorter

import click

from harness.commands import console
from harness.commands.options import workspace_options
from harness.core.errors import HarnessError
from harness.core.workspace import Workspace
from harness.records.record import Record, RunStore
from reports.units import size


@click.command()
@click.argument("jobs", nargs=-1, required=True, metavar="JOB...")
@click.option("--dependents", is_flag=True, help="Also delete the jobs that were built on these.")
@click.option("--yes", is_flag=True, help="Delete; without it the jobs are only listed.")
@workspace_options
def command(jobs: tuple[str, ...], dependents: bool, yes: bool, workspace: Workspace) -> None:
    run_store = RunStore(workspace.runs)
    chosen = list(dict.fromkeys(run_store.id_of(prefix) for prefix in jobs))
    records = {record.job_id: record for record in run_store.readable()}
    later = dependents_of(chosen, records.values())
    if later and not dependents:
        raise HarnessError(
            f"{len(later)} jobs were built on these: {', '.join(later[:5])}{', ...' if len(later) > 5 else ''}; "
            "add --dependents to delete them too"
        )
    rows = [_row(job_id, run_store, records.get(job_id)) for job_id in (*chosen, *later)]
    click.echo(console.table(rows))
    if not yes:
        click.echo(
            f"\nNothing was deleted. Add --yes to delete {'it' if len(rows) == 1 else f'these {len(rows)} jobs'}."
        )
        return
    # Dependents first: a job that remains after an interruption has all that it was built on.
    for job_id in reversed((*chosen, *later)):
        run_store.remove(job_id)
    click.echo(f"\nDeleted {len(rows)} {'job' if len(rows) == 1 else 'jobs'}.")


def dependents_of(job_ids: Sequence[str], records: Iterable[Record]) -> list[str]:
    """Ids of the other jobs that were built on these, directly or not; each after those it was built on."""
    upstream = {record.job_id: set(record.upstream.values()) for record in records}
    doomed = dict.fromkeys(job_ids)
    for job_id in TopologicalSorter(upstream).static_order():
        if not doomed.keys().isdisjoint(upstream.get(job_id, ())):
            doomed[job_id] = None
    return [job_id for job_id in doomed if job_id not in job_ids]


def _row(job_id: str, run_store: RunStore, record: Record | None) -> dict[str, str]:
    files = (path for path in (run_store.runs / job_id).rglob("*") if path.is_file())
    return {
        "job": job_id,
        "what": record.title if record else "(damaged record)",
        "size": size(sum(path.stat().st_size for path in files)),
        "finished": record.finished_at[:16].replace("T", " ") if record else "",
    }
