"""What `harness data prepare` makes of a data set's videos: the frame store, optical flow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from harness.commands import console
from harness.core.callbacks import Callback
from harness.core.contract import Scale, Video
from harness.core.errors import HarnessError
from harness.core.units import duration, size

if TYPE_CHECKING:
    from harness.data.derived import Estimate
    from harness.data.prepare import Prepared


@dataclass(frozen=True)
class Derived:
    """What was asked for."""

    store: bool = False
    raw_store: bool = False
    flow: bool = False
    scale: str | None = None
    """None: 'micro' for embedded sets, else 'paper'."""
    workers: int | None = None
    """None: one a core."""


def make(prepared: Prepared, wanted: Derived) -> None:
    """Makes what is asked for and not there yet, and says what it came to. Raises HarnessError for images."""
    from harness.core import environment, registry
    from harness.data.frame_store import build_store
    from harness.data.prepare import flow_store
    from harness.video.decoder import preferred

    if not (wanted.store or wanted.raw_store or wanted.flow):
        return
    if prepared.dataset.kind != "video":
        raise HarnessError(f"{prepared.dataset.name} holds images: there is nothing to seek in, and no motion")
    scale: Scale = registry.load("scale", wanted.scale or ("micro" if prepared.dataset.micro else "paper"))
    videos, workers = _everything(prepared), wanted.workers or environment.cpu_threads()
    decoder = preferred()
    with console.screen(jobs=0) as callback:

        def announce(estimate: Estimate) -> None:
            callback.note(told(estimate))

        stores: dict[Literal["store", "raw-store"], bool] = {"store": wanted.store, "raw-store": wanted.raw_store}
        for frames in (name for name, asked in stores.items() if asked):
            callback.stage("frame store", len(videos), "videos")
            store = build_store(
                prepared,
                replace(scale, video_source=frames),
                videos=videos,
                decoder=decoder,
                workers=workers,
                progress=callback.progress,
                announce=announce,
            )
            _came_to(
                "frame store" if frames == "store" else "raw frames", store.folder, len(videos), store.broken, callback
            )
        if wanted.flow:
            callback.stage("optical flow", len(videos), "videos")
            flow = flow_store(
                prepared,
                scale.flow,
                videos=videos,
                fps=scale.fps,
                decoder=decoder,
                workers=workers,
                progress=callback.progress,
                announce=announce,
            )
            _came_to("optical flow", flow.folder, len(videos), flow.broken, callback)


def told(estimate: Estimate) -> str:
    """An estimate in words."""
    left = f"{estimate.videos} videos to do" + (f", {estimate.there} done before" if estimate.there else "")
    processes = f"{estimate.workers} process{'es' if estimate.workers > 1 else ''}"
    room = f"{size(estimate.bytes)} of {size(estimate.free_bytes)} free"
    if not estimate.sampled:
        return (
            f"{estimate.what}: {left}; at most {room} (none of those tried could be decoded, so the time is not known)"
        )
    tried = f"from the beginning of {estimate.sampled} of them"
    return f"{estimate.what}: {left}; about {room}, about {duration(estimate.seconds)} in {processes} ({tried})"


def _came_to(what: str, folder: Path, videos: int, broken: Mapping[str, str], callback: Callback) -> None:
    taken = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    click.echo(f"{what} of {videos - len(broken)} videos, {size(taken)}, in {folder}")
    for cause in list(broken.values())[:10]:
        callback.note(cause)
    if len(broken) > 10:
        callback.note(f"and {len(broken) - 10} more that cannot be decoded")


def _everything(prepared: Prepared) -> list[Video]:
    """Every video in any split, once."""
    found = {
        video.id: video
        for split in prepared.dataset.splits
        for part in prepared.listing(split).subsets.values()
        for video in part
    }
    return [found[video_id] for video_id in sorted(found)]
