"""What `harness weights` does."""

from __future__ import annotations

from pathlib import Path

import click

from harness.commands import console
from harness.core.workspace import Workspace, writable


def list_weights(workspace: Workspace) -> None:
    """`harness weights list`."""
    from tabulate import tabulate

    from harness.models import pretrained

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
    click.echo(tabulate(rows, headers="keys", tablefmt="simple", maxcolwidths=[None, None, 24, 32, None, 24, None]))
    click.echo("\nAny pretrained timm network serves --backbone timm/NAME: `harness weights fetch timm/NAME`.")
    click.echo(f"Imported weights lie in {pretrained.folder(workspace)}. Use: --source published:NAME")


def fetch_weights(name: str, workspace: Workspace) -> None:
    """`harness weights fetch`."""
    from harness.models import pretrained

    writable(workspace.data, what="weights", flag="--data")
    with console.screen(jobs=0) as callback:
        callback.stage(f"fetch {name}", 0, "bytes")
        told = pretrained.fetch(name, workspace, progress=lambda done, total: callback.progress(done, total or done))
    click.echo("\n".join(told))


def import_weights(name: str, file: Path, workspace: Workspace, *, stream: str | None, labels: Path | None) -> None:
    """`harness weights import`."""
    from harness.models import pretrained

    writable(workspace.data, what="weights", flag="--data")
    names = tuple(labels.read_text().splitlines()) if labels else ()
    click.echo(pretrained.import_file(name, file, workspace, stream=stream, labels=names))
