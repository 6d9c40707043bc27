"""`harness scores import`: Store the scores of another program as a finished job.

FILE is CSV (a row per video, a column per class) or NPZ. Tables, tests and late fusion then use them, marked as imported.
"""

from __future__ import annotations

from pathlib import Path

import click

from harness.commands import logs
from harness.commands.options import workspace_options
from harness.core.workspace import Workspace
from harness.metrics.registered import PRIMARY, named, text


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--baseline", required=True, metavar="NAME", help="Name of the network; need not be one of `harness ls baselines`."
)
@click.option("--dataset", required=True, metavar="NAME", help="Data set that was scored; must be on this machine.")
@click.option("--split", type=int, default=1, metavar="N", help="Split of the data set.")
@click.option("--subset", metavar="test|val", help="Part of the split.  [default: the first in the data set's card]")
@click.option("--modality", default="rgb", metavar="rgb|flow|rgb+flow", help="Input of the network.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, metavar="N", help="Seed of the training, for means over seeds."
)
@click.option("--probabilities", is_flag=True, help="The scores are probabilities: store their logarithms, as logits.")
@workspace_options
def command(file: Path, workspace: Workspace, probabilities: bool, **axes: object) -> None:
    from harness.jobs import imported
    from harness.records import score_files

    table = score_files.read_table(file)
    table = score_files.log_of(table, file) if probabilities else table
    origin = imported.Origin(file=file.name, **axes)  # type: ignore[arg-type]
    record = imported.import_scores(table, origin, workspace, note=logs.note)
    number = text(PRIMARY, record.metrics[PRIMARY], interval=True)
    click.echo(
        f"job {record.job_id}  {record.title}: {named(PRIMARY).short} {number} of {record.counts['n']} videos "
        "(provenance: imported)"
    )
    if not probabilities and score_files.looks_like_probabilities(table):
        logs.note("every row sums to 1; if these are probabilities, pass --probabilities")
