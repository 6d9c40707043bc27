"""`harness bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harness.cli.flags import workspace_flags, workspace_of


@click.command()
@click.option(
    "--only",
    default="",
    metavar="A,B",
    help="Of: ceilings, inference, training, defaults, micro, fixed, loop, data, flow, startup; SUITE:WORDS picks pairs.",
)
@click.option("--quick", is_flag=True, help="Small sizes and three rounds: minutes in place of half an hour.")
@click.option("--rounds", type=click.IntRange(min=0), default=0, help="Rounds a pair; 0: 7, and 3 with --quick.")
@click.option("--check", type=click.Path(path_type=Path), help="Exit 1 where a ratio fell over 25% below this file's.")
@click.option("--save-baseline", type=click.Path(path_type=Path), help="Write the ratios for a later --check.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@workspace_flags
def bench(**flags: Any) -> int:
    """Speed of this machine, as ratios to plain references."""
    from harness.app import bench as app

    return app.measure(
        workspace_of(flags),
        only=[name.strip() for name in flags["only"].split(",") if name.strip()],
        quick=flags["quick"],
        rounds=flags["rounds"],
        as_json=flags["as_json"],
        check=flags["check"],
        save_baseline=flags["save_baseline"],
    )
