"""`harness weights`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harness.cli.flags import Verbs, workspace_flags, workspace_of


@click.group(cls=Verbs)
def weights() -> None:
    """Published weights: list, fetch, import."""


@weights.command("list")
@workspace_flags
def weights_list(**flags: Any) -> None:
    """What others have published, and what of it is here."""
    from harness.app import weights as app

    app.list_weights(workspace_of(flags))


@weights.command("fetch")
@click.argument("name")
@workspace_flags
def weights_fetch(**flags: Any) -> None:
    """Download NAME, check its hash, and import it.

    Goes on where it broke off.
    """
    from harness.app import weights as app

    app.fetch_weights(flags["name"], workspace_of(flags))


@weights.command("import")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--stream", metavar="rgb|flow", help="Which stream the file is, where NAME has both.")
@click.option("--labels", type=click.Path(exists=True, path_type=Path), help="Class names, one a line.")
@workspace_flags
def weights_import(**flags: Any) -> None:
    """Take FILE as the weights called NAME."""
    from harness.app import weights as app

    app.import_weights(
        flags["name"], flags["file"], workspace_of(flags), stream=flags["stream"], labels=flags["labels"]
    )
