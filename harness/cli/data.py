"""`harness data`."""

from __future__ import annotations

from typing import Any

import click

from harness.cli.flags import Verbs, place_flags, places_of


@click.group(cls=Verbs)
def data() -> None:
    """Data sets: list, prepare, verify."""


@data.command("list")
@place_flags
def data_list(**flags: Any) -> None:
    """Every data set, its size, and whether it is on this machine."""
    from harness.app import data as app

    app.list_data(places_of(flags))


@data.command("prepare")
@click.argument("name")
@place_flags
def data_prepare(**flags: Any) -> None:
    """Render (embedded) or index a data set."""
    from harness.app import data as app

    app.prepare_data(flags["name"], places_of(flags))
