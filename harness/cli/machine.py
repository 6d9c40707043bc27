"""What is asked of this machine: `harness doctor`."""

from __future__ import annotations

from typing import Any

import click

from harness.cli.flags import place_flags, places_of


@click.command()
@place_flags
def doctor(**flags: Any) -> None:
    """What is installed, what works here, what to fix."""
    from harness.app import machine as app

    app.show_health(places_of(flags))
