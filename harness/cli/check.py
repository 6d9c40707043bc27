"""`harness check`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harness.cli.flags import workspace_flags, workspace_of


@click.command()
@click.option(
    "--expected",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Default: every file of results/expected.",
)
@click.option("--junit", type=click.Path(path_type=Path), metavar="FILE", help="Also write JUnit XML.")
@click.option("--only", type=click.Choice(["retrained", "rescored"]), help="One kind of expectation alone.")
@click.option("--run", "run_missing", is_flag=True, help="First train one seed of each cell that the ledger lacks.")
@click.option("--update", is_flag=True, help="Write a proposal beside the file, for review.")
@workspace_flags
def check(**flags: Any) -> None:
    """Are the numbers that were reproduced once still reproduced?

    Leaves with 0, or 1 if one is not.
    """
    from harness.app import check as app

    app.run_check(
        workspace_of(flags),
        file=flags["file"],
        junit=flags["junit"],
        update=flags["update"],
        run_missing=flags["run_missing"],
        only=flags["only"],
    )
