"""What `harness data` does."""

from __future__ import annotations

import click

from harness import console
from harness.places import Places, writable


def list_data(where: Places) -> None:
    """`harness data list`."""
    from harness import listings

    click.echo(listings.datasets(where))
    click.echo(f"\nLooked for in {where.data}.")


def prepare_data(name: str, where: Places) -> None:
    """`harness data prepare`: rendered where it is embedded, indexed, and what it came to."""
    from harness import discover
    from harness.video import prepare

    dataset = discover.load("dataset", name)
    writable(where.data, what="data sets", flag="--data")
    with console.screen(jobs=0) as watch:
        watch.stage(f"{'render' if dataset.micro else 'index'} {dataset.name}", 0, "files")
        prepared = prepare.open_prepared(dataset, where.data, progress=watch.progress)
    for split in dataset.splits:
        listing = prepared.listing(split)
        counts = ", ".join(f"{subset} {len(videos)}" for subset, videos in listing.subsets.items())
        missing = f", {len(listing.missing)} missing from disk" if listing.missing else ""
        click.echo(f"{dataset.name} split {split}: {counts}{missing}")
    click.echo(f"fingerprint {prepared.fingerprint}, in {prepared.root}")
