"""`harness data`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from harness.cli.flags import Verbs, workspace_flags, workspace_of


@click.group(cls=Verbs)
def data() -> None:
    """Data sets: list, prepare, verify, stats."""


@data.command("list")
@workspace_flags
def data_list(**flags: Any) -> None:
    """Every data set, its size, and whether it is on this machine."""
    from harness.app import data as app

    app.list_data(workspace_of(flags))


@data.command("verify")
@click.argument("name")
@click.option("--thorough", is_flag=True, help="Read every file to its end and count what is in it.")
@click.option("--allow", multiple=True, metavar="KIND", help="Findings that do not fail: missing, extra, ...")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@workspace_flags
def data_verify(**flags: Any) -> None:
    """Compare what is on disk with the lists and the card.

    Leaves with 0 if all is well, 1 if not.
    """
    from harness.app import data as app

    fine = app.verify_data(
        flags["name"],
        workspace_of(flags),
        thorough=flags["thorough"],
        allow=flags["allow"],
        as_json=flags["as_json"],
    )
    raise click.exceptions.Exit(0 if fine else 1)


@data.command("stats")
@click.argument("name")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=None,
    metavar="DIR",
    help="Default: HARNESS_OUT, else reports/out.",
)
@click.option("--clips", default=12, show_default=True, metavar="N", help="Clips on the contact sheet; 0: none.")
@click.option("--columns", default=5, show_default=True, metavar="N", help="Frames of each.")
@click.option("--flow", default="dis", show_default=True, metavar="METHOD", help="How motion is found: dis, tvl1, ...")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@workspace_flags
def data_stats(**flags: Any) -> None:
    """Counts, durations, sizes and class balance; clips on a sheet.

    As a table and a figure; the clips of the sheet with their motion.
    """
    from harness.app import stats as app

    app.stats_data(
        flags["name"],
        workspace_of(flags),
        out=flags["out"] or Path(os.environ.get("HARNESS_OUT") or "reports/out"),
        clips=flags["clips"],
        columns=flags["columns"],
        flow_name=flags["flow"],
        as_json=flags["as_json"],
    )


@data.command("prepare")
@click.argument("name")
@click.option(
    "--store", is_flag=True, help="Recode all videos for fast seeking (--set scale.video_source=store reads them)."
)
@click.option(
    "--raw-store",
    is_flag=True,
    help="Keep all frames uncompressed, where disks are large (--set scale.video_source=raw-store).",
)
@click.option("--flow", is_flag=True, help="Compute all optical flow, which a run would otherwise do when it needs it.")
@click.option(
    "--scale", metavar="NAME", help="Whose frame rate, sizes and flow. Default: micro for embedded sets, else paper."
)
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Processes. Default: one a core.")
@workspace_flags
def data_prepare(**flags: Any) -> None:
    """Render (embedded sets), unpack and index a data set.

    On request, its videos are recoded and its flow is computed. Says beforehand what that will take, goes on where it was stopped, and does nothing where all is there.
    """
    from harness.app import data as app
    from harness.app.derived import Derived

    derived = Derived(
        store=flags["store"],
        raw_store=flags["raw_store"],
        flow=flags["flow"],
        scale=flags["scale"],
        workers=flags["workers"],
    )
    app.prepare_data(flags["name"], workspace_of(flags), derived)
