"""`harness scores export`: Write the scores of a job: a row per video, a column per class.

The scores are logits. A video that cannot be decoded has an empty row.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from harness.commands.options import workspace_options
from harness.core.errors import HarnessError
from harness.core.workspace import Workspace, writable
from harness.records.record import SCORES, RunStore


@click.command()
@click.argument("job")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="File to write, .csv or .npz.  [default: print CSV]"
)
@workspace_options
def command(job: str, out: Path | None, workspace: Workspace) -> None:
    from harness.records import score_files

    record = RunStore(workspace.runs).find(job)
    if SCORES not in record.files:
        raise HarnessError(f"job {record.job_id} ({record.title}) scored no videos; see `harness ls jobs`")
    table = score_files.table_of(record.scores(), record.classes)
    if out is None:
        score_files.write_csv(table, sys.stdout)
        return
    score_files.check_suffix(out)
    writable(out.parent, content="scores", flag="--out")
    if out.suffix == ".csv":
        with out.open("w", newline="", encoding="utf-8") as stream:
            score_files.write_csv(table, stream)
    else:
        score_files.write_npz(table, out)
    click.echo(f"{out}: {len(table.ids)} videos, {len(table.classes)} classes")
