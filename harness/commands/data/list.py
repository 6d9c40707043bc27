"""What `harness data` does."""

from __future__ import annotations

import click

from harness.app.derived import Derived, make
from harness.commands import console
from harness.core.errors import unknown
from harness.core.workspace import Workspace, writable


def list_data(workspace: Workspace) -> None:
    """`harness data list`."""
    from harness.commands import listings

    click.echo(listings.datasets(workspace))
    click.echo(f"\nLooked for in {workspace.data}.")


def verify_data(name: str, workspace: Workspace, *, thorough: bool, allow: tuple[str, ...], as_json: bool) -> bool:
    """`harness data verify`: prints what was found; True if nothing is wrong but what is allowed."""
    from harness.commands import verdict
    from harness.core import registry
    from harness.data import verify

    for kind in allow:
        if kind not in verify.KINDS:
            raise unknown("kind of finding", kind, verify.KINDS)
    dataset = registry.load("dataset", name)
    writable(workspace.data, what="the index of data sets", flag="--data")
    with console.screen(jobs=0, as_json=as_json) as callback:
        callback.stage(f"verify {dataset.name}", 0, "files")
        found = verify.verify(dataset, workspace.data, thorough=thorough, progress=callback.progress)
    click.echo(verdict.as_json(found, allow) if as_json else verdict.as_text(found, allow))
    return not found.failing(allow)


def prepare_data(name: str, workspace: Workspace, derived: Derived) -> None:
    """`harness data prepare`: rendered where it is embedded, unpacked where its archives lie, indexed, and what it came
    to; then what is to be made of it."""
    from harness.core import registry
    from harness.data import archives, prepare

    dataset = registry.load("dataset", name)
    writable(workspace.data, what="data sets", flag="--data")
    with console.screen(jobs=0) as callback:
        root = prepare.root_of(dataset, workspace.data)
        if not dataset.micro and root.is_dir():
            callback.stage(f"unpack {dataset.name}", 0, "archives")
            for name in archives.extract_archives(root, progress=callback.progress):
                callback.note(f"unpacked {name}")
        callback.stage(f"{'render' if dataset.micro else 'index'} {dataset.name}", 0, "files")
        prepared = prepare.open_prepared(dataset, workspace.data, progress=callback.progress)
    for split in dataset.splits:
        listing = prepared.listing(split)
        counts = ", ".join(f"{subset} {len(videos)}" for subset, videos in listing.subsets.items())
        missing = f", {len(listing.missing)} missing from disk" if listing.missing else ""
        click.echo(f"{dataset.name} split {split}: {counts}{missing}")
    click.echo(f"fingerprint {prepared.fingerprint}, in {prepared.root}")
    make(prepared, derived)
