"""What `harness report` does."""

from __future__ import annotations

from pathlib import Path

import click

from harness.core.errors import unknown
from harness.core.workspace import Workspace


def write_report(workspace: Workspace, *, out: Path, scale: str, formats: tuple[str, ...]) -> None:
    """Everything the ledger has of one scale, below `out`: a page, tables and figures."""
    from reports.page import content, write

    for how in formats:
        if how not in write.FORMATS:
            raise unknown("format", how, write.FORMATS)
    found = content.collect(workspace, scale=scale)
    files = write.write(found, out, formats=formats or write.FORMATS)
    click.echo(write.summary(found, out, files))
    if found.without_frames:
        names = ", ".join(found.without_frames)
        click.echo(
            f"Without frames of {names}: the videos that were scored are not in {workspace.data} (--data).", err=True
        )
