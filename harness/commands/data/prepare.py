"""`harness data prepare`: Render (embedded sets), unpack and index a data set.

Optionally stores its frames, or computes its flow, ahead of a run. Estimates time and disk space first, resumes where it
was stopped, and does nothing that is done already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from harness.commands import console
from harness.commands.options import workspace_options
from harness.core import registry
from harness.core.callbacks import Callback
from harness.core.contract import Dataset, Scale, Video
from harness.core.errors import HarnessError
from harness.core.workspace import Workspace, writable
from reports.units import duration, size

if TYPE_CHECKING:
    from harness.data.derived import Estimate
    from harness.data.prepare import Prepared

STORES: tuple[tuple[Literal["store", "raw-store"], str], ...] = (("store", "frame store"), ("raw-store", "raw frames"))


@click.command()
@click.argument("name")
@click.option("--store", is_flag=True, help="Re-encode all videos for fast seeking (for scale.video_source=store).")
@click.option(
    "--raw-store",
    is_flag=True,
    help="Store all frames uncompressed, on a large disk (for scale.video_source=raw-store).",
)
@click.option("--flow", is_flag=True, help="Compute all optical flow, instead of during a run.")
@click.option(
    "--scale",
    metavar="NAME",
    help="Scale whose frame rate, sizes and flow to use [default: micro for embedded sets, else paper].",
)
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Number of processes [default: one per core].")
@workspace_options
def command(
    name: str, workspace: Workspace, store: bool, raw_store: bool, flow: bool, scale: str | None, workers: int | None
) -> None:
    from harness.core.environment import cpu_threads

    dataset = registry.load("dataset", name)
    stores = [stored for stored, chosen in zip(STORES, (store, raw_store), strict=True) if chosen]
    writable(workspace.data, content="data sets", flag="--data")
    prepared = _index(dataset, workspace)
    if not (stores or flow):
        return
    if dataset.kind != "video":
        raise HarnessError(f"{dataset.name} contains images: --store, --raw-store and --flow are for videos")
    card: Scale = registry.load("scale", scale or ("micro" if dataset.micro else "paper"))
    videos, workers = list(prepared.videos), workers or cpu_threads()
    with console.screen(jobs=0) as callback:
        for source, title in stores:
            _make_store(prepared, replace(card, video_source=source), videos, workers, title, callback)
        if flow:
            _make_flow(prepared, card, videos, workers, callback)


def _index(dataset: Dataset, workspace: Workspace) -> Prepared:
    """The data set, rendered or unpacked, and indexed; prints its counts."""
    from harness.data import archives, prepare

    with console.screen(jobs=0) as callback:
        root = prepare.root_of(dataset, workspace.data)
        if not dataset.micro and root.is_dir():
            callback.stage(f"unpack {dataset.name}", 0, "archives")
            for archive in archives.extract_archives(root, progress=callback.progress):
                callback.note(f"unpacked {archive}")
        callback.stage(f"{'render' if dataset.micro else 'index'} {dataset.name}", 0, "files")
        prepared = prepare.open_prepared(dataset, workspace.data, progress=callback.progress)
    for split in dataset.splits:
        listing = prepared.listing(split)
        counts = ", ".join(f"{subset} {len(videos)}" for subset, videos in listing.subsets.items())
        missing = f", {len(listing.missing)} missing from disk" if listing.missing else ""
        click.echo(f"{dataset.name} split {split}: {counts}{missing}")
    click.echo(f"fingerprint {prepared.fingerprint}, in {prepared.root}")
    return prepared


def _make_store(
    prepared: Prepared, scale: Scale, videos: list[Video], workers: int, title: str, callback: Callback
) -> None:
    from harness.data.frame_store import build_store
    from harness.video.decoder import preferred

    callback.stage("frame store", len(videos), "videos")
    store = build_store(
        prepared,
        scale,
        videos=videos,
        decoder=preferred(),
        workers=workers,
        progress=callback.progress,
        announce=lambda estimate: callback.note(estimate_text(estimate)),
    )
    _print_result(title, store.folder, len(videos), store.broken, callback)


def _make_flow(prepared: Prepared, scale: Scale, videos: list[Video], workers: int, callback: Callback) -> None:
    from harness.data.prepare import flow_store
    from harness.video.decoder import preferred

    callback.stage("optical flow", len(videos), "videos")
    store = flow_store(
        prepared,
        scale.flow,
        videos=videos,
        fps=scale.fps,
        decoder=preferred(),
        workers=workers,
        progress=callback.progress,
        announce=lambda estimate: callback.note(estimate_text(estimate)),
    )
    _print_result("optical flow", store.folder, len(videos), store.broken, callback)


def estimate_text(estimate: Estimate) -> str:
    """One line: how many videos, how much disk space, how long."""
    videos = f"{estimate.videos} videos to do" + (f", {estimate.there} done before" if estimate.there else "")
    disk = f"{size(estimate.bytes)} of {size(estimate.free_bytes)} free"
    if not estimate.sampled:
        return f"{estimate.what}: {videos}; at most {disk} (no sampled video could be decoded, so the time is unknown)"
    processes = f"{estimate.workers} process{'es' if estimate.workers > 1 else ''}"
    return (
        f"{estimate.what}: {videos}; about {disk}, about {duration(estimate.seconds)} in {processes} "
        f"(from the beginning of {estimate.sampled} of them)"
    )


def _print_result(title: str, folder: Path, videos: int, broken: Mapping[str, str], callback: Callback) -> None:
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    click.echo(f"{title} of {videos - len(broken)} videos, {size(total)}, in {folder}")
    for cause in list(broken.values())[:10]:
        callback.note(cause)
    if len(broken) > 10:
        callback.note(f"and {len(broken) - 10} more that cannot be decoded")
