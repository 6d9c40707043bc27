"""`harness predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harness.cli.flags import workspace_flags, workspace_of


@click.command()
@click.argument("video", type=click.Path(path_type=Path), metavar="VIDEO|FOLDER")
@click.option("--job", "jobs", multiple=True, metavar="ID", help="Whose network; twice to fuse two streams.")
@click.option("--weights", metavar="published:NAME", help="Imported weights instead of a job.")
@click.option("--baseline", metavar="NAME", help="With --weights: the architecture they are for.")
@click.option("--stream", "streams", multiple=True, metavar="rgb|flow", help="With --weights: one stream alone.")
@click.option("--top", type=click.IntRange(1), default=5, show_default=True, help="How many classes to name.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Write the clip seen and the curve there.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@workspace_flags
def predict(**flags: Any) -> None:
    """The likeliest classes of a video, by a trained network.

    With the clip it saw, on request; a folder becomes a CSV.
    """
    from harness.app import predict as app

    app.predict(
        flags["video"],
        workspace_of(flags),
        jobs=flags["jobs"],
        weights=flags["weights"],
        baseline=flags["baseline"],
        streams=flags["streams"],
        top=flags["top"],
        out=flags["out"],
        as_json=flags["as_json"],
    )
