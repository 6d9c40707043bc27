"""`harness report`: Write tables, claims and figures as an HTML page and as files.

The files are Markdown, LaTeX, CSV, JSON and SVG.
"""

from __future__ import annotations

from pathlib import Path

import click

from harness.commands.options import out_option, scale_option, split_at_commas, workspace_options
from harness.core.errors import unknown
from harness.core.workspace import Workspace


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
def command(workspace: Workspace, out: Path, scale: str, formats: tuple[str, ...]) -> None:
    from reports.page import content, write

    for name in formats:
        if name not in write.FORMATS:
            raise unknown("format", name, write.FORMATS)
    page = content.collect(workspace, scale=scale)
    files = write.write(page, out, formats=formats or write.FORMATS)
    click.echo(write.summary(page, out, files))
    if page.without_frames:
        names = ", ".join(page.without_frames)
        click.echo(f"No frames of {names}: the scored videos are not in {workspace.data} (--data).", err=True)
