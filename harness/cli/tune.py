"""`harness tune`."""

from __future__ import annotations

from typing import Any

import click

from harness.cli.flags import (
    launch_flags,
    launch_options_of,
    selection_flags,
    selection_of,
    workspace_flags,
    workspace_of,
)


@click.command()
@selection_flags
@click.option(
    "--trials", type=click.IntRange(1), default=5, help="Rates to try, from a tenth to ten times the scale's."
)
@click.option(
    "--held-out",
    "share",
    type=click.FloatRange(0, 0.9, min_open=True),
    default=0.2,
    help="Share of the training videos, by class and group, that the rates are compared on.",
)
@launch_flags
@workspace_flags
def tune(**flags: Any) -> None:
    """Find the learning rate on held-out training videos.

    Ray Tune tries the rates; whole groups of videos are held out.
    """
    from harness.app import tune as app

    app.tune(
        selection_of(flags), workspace_of(flags), launch_options_of(flags), trials=flags["trials"], share=flags["share"]
    )
