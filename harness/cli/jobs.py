"""`harness run`, `plan` and `ls`."""

from __future__ import annotations

from typing import Any

import click

from harness.cli.flags import place_flags, places_of, selection_flags, selection_of


@click.command()
@selection_flags
@click.option("--launcher", type=click.Choice(["local"]), default="local", help="Where jobs run.")
@click.option("--workers", type=click.IntRange(0), default=0, help="Decoding processes; 0: none beside the training.")
@click.option(
    "--on-bad-video",
    type=click.Choice(["stop", "quarantine"]),
    default="stop",
    help="A broken training video stops the run, or is left out and named.",
)
@click.option("--no-mlflow", is_flag=True, help="Do not log to MLflow; `harness mirror push` can later.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on standard output.")
@place_flags
def run(**flags: Any) -> None:
    """Run the cells of a selection: whatever they need and the ledger lacks."""
    from harness.app import jobs as app

    app.run(
        selection_of(flags),
        places_of(flags),
        as_json=flags["as_json"],
        workers=flags["workers"],
        on_bad_video=flags["on_bad_video"],
        mlflow=not flags["no_mlflow"],
    )


@click.command()
@selection_flags
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@place_flags
def plan(**flags: Any) -> None:
    """Show the jobs behind a selection and which are done; starts nothing."""
    from harness.app import jobs as app

    where = places_of(flags)
    app.show_plan(selection_of(flags), where, as_json=flags["as_json"])


@click.command()
@click.argument("kind", type=click.Choice(["baselines", "datasets", "protocols", "scales", "jobs"]))
@click.argument("name", required=False)
@place_flags
def ls(**flags: Any) -> None:
    """What there is; with a name, its whole card."""
    from harness.app import jobs as app

    where = places_of(flags)
    app.list_kind(flags["kind"], flags["name"], where)
