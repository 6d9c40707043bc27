"""`harness data prepare`: Get a data set ready: unpack or render, and index it.

Optionally stores its frames, or computes its flow, ahead of a run. Estimates time and disk space first, resumes where it
was stopped, and skips what is already done.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from harness.commands import console
from harness.commands.options import workspace_options
from harness.core import registry
from harness.core.callbacks import Callback
from harness.core.contract import Dataset, Scale
from harness.core.errors import HarnessError
from harness.core.workspace import Workspace, writable
from reports.units import duration, size

if TYPE_CHECKING:
    from harness.data.derived import Estimate
    from harness.data.prepare import Prepared

STORES = (("store", "frame store"), ("raw-store", "raw frames"))


@click.command()
@click.argument("name")
@click.option("--store", is_flag=True, help="Re-encode all videos for fast seeking (for scale.video_source=store).")
@click.option(
    "--raw-store",
    is_flag=True,
    help="Store all frames uncompressed, on a large disk (for scale.video_source=raw-store).",
)
@click.option("--flow", is_flag=True, help="Compute all optical flow now. Otherwise a run computes what it needs.")
@click.option(
    "--scale",
    metavar="NAME",
    help="Scale whose frame rate, sizes and flow to use.  [default: micro for micro data sets, else paper]",
)
@click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="Number of processes.  [default: one per core]"
)
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
    with console.screen(jobs=0) as callback:
        _make(prepared, card, stores, flow, workers or cpu_threads(), callback)


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


def _make(
    prepared: Prepared, scale: Scale, stores: list[tuple[str, str]], flow: bool, workers: int, callback: Callback
) -> None:
    """Make what is missing of the stores, and of the optical flow."""
    from harness.data.flow_store import flow_store
    from harness.data.frame_store import build_store
    from harness.video.decoder import preferred

    videos = list(prepared.videos)
    settings: dict[str, Any] = {
        "videos": videos,
        "decoder": preferred(),
        "workers": workers,
        "progress": callback.progress,
        "announce": lambda estimate: callback.note(estimate_text(estimate)),
    }
    for source, title in stores:
        callback.stage(title, len(videos), "videos")
        store = build_store(prepared, replace(scale, video_source=source), **settings)  # type: ignore[arg-type]
        _print_result(title, store, len(videos), callback)
    if flow:
        callback.stage("optical flow", len(videos), "videos")
        store = flow_store(prepared, scale.flow, fps=scale.fps, **settings)
        _print_result("optical flow", store, len(videos), callback)


def estimate_text(estimate: Estimate) -> str:
    """One line: how many videos, how much disk space, how long."""
    videos = f"{estimate.videos} videos to do" + (f", {estimate.there} done before" if estimate.there else "")
    disk = f"{size(estimate.bytes)} of {size(estimate.free_bytes)} free"
    if not estimate.sampled:
        return f"{estimate.title}: {videos}; at most {disk} (no sampled video could be decoded, so the time is unknown)"
    processes = f"{estimate.workers} process{'es' if estimate.workers > 1 else ''}"
    return (
        f"{estimate.title}: {videos}; about {disk}, about {duration(estimate.seconds)} in {processes} "
        f"(from the beginning of {estimate.sampled} of them)"
    )


def _print_result(title: str, store: Any, videos: int, callback: Callback) -> None:
    causes = list(store.broken.values())
    total = sum(path.stat().st_size for path in store.folder.rglob("*") if path.is_file())
    click.echo(f"{title} of {videos - len(causes)} videos, {size(total)}, in {store.folder}")
    for cause in causes[:10]:
        callback.note(cause)
    if len(causes) > 10:
        callback.note(f"and {len(causes) - 10} more that cannot be decoded")
