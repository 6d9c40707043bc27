"""What a person reads at the end: `harness report`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harness.cli.flags import _split, workspace_flags, workspace_of


@click.command()
@click.option(
    "--out",
    envvar="HARNESS_OUT",
    default="reports/out",
    type=click.Path(file_okay=False),
    help="Folder to write to. Default: HARNESS_OUT, else reports/out.",
)
@click.option("--scale", default="paper", metavar="paper|micro", help="Which ledger entries are shown.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    callback=_split,
    metavar="NAME",
    help="Only these: html, markdown, latex, csv, json, svg.",
)
@workspace_flags
def report(**flags: Any) -> None:
    """All tables, findings and figures of the ledger on one HTML page.

    Beside it lie Markdown, LaTeX, CSV, JSON and SVG.
    """
    from harness.app import report as app

    app.write_report(workspace_of(flags), out=Path(flags["out"]), scale=flags["scale"], formats=flags["formats"])
