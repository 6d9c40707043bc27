"""`harness features`: Compute features of videos, one file per video.

VIDEOS is a video, a folder, or a data set. Each .npz file has `features` (T, F), the input of the network's head, `times_s` (T,), and
hashes of the video and the network. A repeated command computes only what is missing.
"""

from __future__ import annotations

from pathlib import Path

import click

from harness.commands.options import workspace_options
from harness.commands.predict import network_options
from harness.core.errors import BrokenVideo, HarnessError
from harness.core.workspace import Workspace, writable


@click.command()
@click.argument("videos", metavar="VIDEOS")
@network_options(
    job_help="Job whose network to use; see `harness ls jobs`.",
    stream_help="Stream of --weights to use; required if they have two.",
)
@click.option("--window", type=click.IntRange(1), metavar="FRAMES", help="Length of a clip.  [default: as in testing]")
@click.option(
    "--stride",
    type=click.IntRange(1),
    metavar="FRAMES",
    help="Distance between the starts of clips.  [default: as in testing]",
)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, metavar="DIR", help="Folder to write to."
)
@workspace_options
def command(
    videos: str, workspace: Workspace, *, window: int | None, stride: int | None, out: Path, **network: object
) -> None:
    from harness.jobs import extract
    from harness.jobs.networks import open_networks

    writable(out, content="features", flag="--out")
    scorers = open_networks(workspace, **network).scorers  # type: ignore[arg-type]
    if len(scorers) > 1:
        names = " and ".join(scorer.name for scorer in scorers)
        raise HarnessError(f"features are of one network, not of {names}; choose with one --job, or --stream")
    (scorer,) = scorers
    clip = extract.clip_of(scorer, window, stride)
    sources, digest = extract.sources(videos, workspace), extract.digest_of(scorer)
    computed, broken = 0, []
    for source in sources:
        try:
            computed += extract.write_file(source, scorer, clip, out, network_sha256=digest)
        except BrokenVideo as error:
            broken.append(str(error))
    click.echo(f"{len(sources) - len(broken)} of {len(sources)} videos: wrote {computed} files to {out}")
    if broken:
        raise HarnessError(f"{len(broken)} of {len(sources)} videos cannot be decoded: {'; '.join(broken[:3])}")
