"""`harness weights`: Manage weights: list, fetch, import, export."""

from __future__ import annotations

from pathlib import Path

import click

from harness.commands import Group, console
from harness.commands.options import workspace_options
from harness.core.errors import HarnessError
from harness.core.workspace import Workspace, writable
from harness.models import pretrained
from harness.records.record import RunStore


@click.group(cls=Group)
def command() -> None: ...


@command.command("list")
@workspace_options
def list_weights(workspace: Workspace) -> None:
    """List published weights, and which of them are on this machine."""
    rows = [
        {
            "name": weights.name,
            "stream": weights.stream,
            "for": baseline.name if weights.stream != "image" else f"--init imagenet ({baseline.image_name})",
            "trained on": weights.trained_on,
            "training ids": weights.provenance,
            "licence": weights.licence,
            "here": "yes" if pretrained.card(weights, workspace) else "no",
        }
        for baseline, weights in pretrained.everything()
    ]
    click.echo(console.table(rows, maxcolwidths=[None, None, 24, 32, None, 24, None]))
    click.echo("\n--backbone timm/NAME takes any pretrained timm network: `harness weights fetch timm/NAME`.")
    click.echo(f"Imported weights are in {pretrained.folder(workspace)}. To use them: --source published:NAME")


@command.command()
@click.argument("name")
@workspace_options
def fetch(name: str, workspace: Workspace) -> None:
    """Download NAME, check its hash, and import it."""
    writable(workspace.data, content="weights", flag="--data")
    click.echo("\n".join(pretrained.fetch(name, workspace)))


@command.command("import")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--stream", metavar="rgb|flow", help="Stream of the file, if NAME has both.")
@click.option("--labels", type=click.Path(exists=True, path_type=Path), help="File of class names, one per line.")
@workspace_options
def import_weights(name: str, file: Path, workspace: Workspace, stream: str | None, labels: Path | None) -> None:
    """Import FILE as the weights called NAME."""
    writable(workspace.data, content="weights", flag="--data")
    classes = _class_names(labels) if labels else ()
    click.echo(pretrained.import_file(name, file, workspace, stream=stream, labels=classes))


def _class_names(file: Path) -> tuple[str, ...]:
    try:
        return tuple(file.read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise HarnessError(
            f"--labels {file} cannot be read ({error}); name a text file with one class per line"
        ) from error


@command.command()
@click.argument("job")
@click.option(
    "--to", "folder", type=click.Path(path_type=Path), required=True, metavar="DIR", help="New folder to write to."
)
@workspace_options
def export(job: str, workspace: Workspace, folder: Path) -> None:
    """Write the network of JOB: weights, configuration, model card.

    `harness predict --weights DIR` and `harness run --source DIR` use the folder.
    """
    from harness.jobs import export as exporting
    from harness.jobs.options import JobOptions

    record = RunStore(workspace.runs).find(job)
    writable(folder.parent, content="weights", flag="--to")
    exporting.export(record, JobOptions(workspace=workspace), folder)
    click.echo(f"{folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
