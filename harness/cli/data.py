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


@data.command("verify")
@click.argument("name")
@click.option("--thorough", is_flag=True, help="Read every file to its end and count what is in it.")
@click.option("--allow", multiple=True, metavar="KIND", help="Findings that do not fail: missing, extra, ...")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@place_flags
def data_verify(**flags: Any) -> None:
    """Compare what is on disk with the lists and the card: exit 0 if all is well, 1 if not."""
    from harness.app import data as app

    fine = app.verify_data(
        flags["name"],
        places_of(flags),
        thorough=flags["thorough"],
        allow=flags["allow"],
        as_json=flags["as_json"],
    )
    raise click.exceptions.Exit(0 if fine else 1)


@data.command("prepare")
@click.argument("name")
@place_flags
def data_prepare(**flags: Any) -> None:
    """Render (embedded) or index a data set."""
    from harness.app import data as app

    app.prepare_data(flags["name"], places_of(flags))
