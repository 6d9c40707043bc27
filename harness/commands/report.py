"""`harness report`: Write tables, claims and figures as an HTML page and as files.

The files are Markdown, LaTeX, CSV, JSON and SVG.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from harness.commands import console, logs
from harness.commands.options import out_option, scale_option, split_at_commas, workspace_options
from harness.core.errors import HarnessError, unknown
from harness.core.workspace import Workspace
from harness.records.record import RunStore


@click.command()
@out_option
@scale_option("show")
@click.option(
    "--format",
    "formats",
    multiple=True,
    callback=split_at_commas,
    metavar="NAME",
    help="Formats to write: html, markdown, latex, csv, json, svg.  [default: all]",
)
@workspace_options
def command(workspace: Workspace, out: Path | None, scale: str, formats: tuple[str, ...]) -> None:
    from reports.page import content, write

    for name in formats:
        if name not in write.FORMATS:
            raise unknown("format", name, write.FORMATS)
    run_store = RunStore(workspace.runs)
    page = content.collect(workspace, run_store, scale=scale)
    if not page.jobs:
        console.exit_if_damaged(run_store)
        raise _empty(run_store, scale)
    out = out or workspace.report
    files = write.write(page, out, formats=formats or write.FORMATS)
    click.echo(write.summary(page, out, files))
    if page.without_frames:
        names = ", ".join(page.without_frames)
        logs.note(f"no frames of {names}: the scored videos are not in {workspace.data} (--data).")
    console.exit_if_damaged(run_store)


def _empty(run_store: RunStore, scale: str) -> HarnessError:
    """The error for a report without a finished job, with the scales that have some."""
    from reports.evidence import scale_of

    others = Counter(filter(None, map(scale_of, run_store)))
    have = ", ".join(f"{count} of --scale {name}" for name, count in sorted(others.items())) or "none"
    remedy = "add that --scale" if others else "finish some with `harness run`, or name another folder with --results"
    return HarnessError(f"no finished job of the scale '{scale}' in {run_store.runs}; have: {have}; {remedy}")
