"""What `harness predict` does: a file to its likeliest classes, a folder to a CSV."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.core.errors import BrokenVideo, HarnessError
from harness.core.workspace import Workspace, writable
from harness.records.record import RunStore

if TYPE_CHECKING:
    from harness.jobs.predict import Prediction, StreamPrediction
    from harness.jobs.restore import Scorer

BAR_LETTERS = 24
BLOCKS = "▁▂▃▄▅▆▇█"
"""From nothing to certain: every point shows, however improbable."""
CURVE_LETTERS = 60


def predict(
    path: Path,
    workspace: Workspace,
    *,
    jobs: Sequence[str],
    weights: str | None,
    baseline: str | None,
    streams: Sequence[str],
    top: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """`harness predict`: unknown jobs and broken files fail before and while a network is opened, naming what to do."""
    from harness.jobs import predict as predicting

    if not path.exists():
        raise HarnessError(f"no video or folder at {path}")
    videos = predicting.videos_in(path) if path.is_dir() else [path]
    if out:
        writable(out, what="pictures", flag="--out")
    scorers = open_scorers(workspace, jobs=jobs, weights=weights, baseline=baseline, streams=streams)
    predicting.check_together(scorers)
    if path.is_dir():
        _folder(videos, path, scorers, top=top, out=out)
        return
    prediction = predicting.predict(path, scorers)
    files = _files(prediction, out)
    if as_json:
        click.echo(json.dumps(_as_dict(prediction, top, files)))
    else:
        click.echo(_as_text(prediction, top, files))


def open_scorers(
    workspace: Workspace, *, jobs: Sequence[str], weights: str | None, baseline: str | None, streams: Sequence[str]
) -> list[Scorer]:
    """The networks that are asked, in the order they were named. Raises HarnessError unless some are named, one way."""
    if bool(jobs) == bool(weights):
        raise HarnessError(
            "name who is asked: --job ID (see `harness ls jobs`; a second --job adds the other stream), or "
            "--weights published:NAME --baseline NAME (see `harness weights list`)"
        )
    if weights:
        return _published(workspace, weights, baseline, streams)
    records = [RunStore(workspace.runs).find(job) for job in jobs]
    from harness.jobs.options import JobOptions
    from harness.jobs.restore import open_job

    return [open_job(record, JobOptions(places=workspace)) for record in records]


def _published(workspace: Workspace, weights: str, baseline: str | None, streams: Sequence[str]) -> list[Scorer]:
    from harness.core import registry
    from harness.jobs.restore import PUBLISHED, open_published
    from harness.models import pretrained

    name = weights.removeprefix(PUBLISHED)
    offered = [(card, one.stream) for card, one in pretrained.named(name) if one.stream != "image"]
    card = registry.load("baseline", baseline) if baseline else offered[0][0] if offered else None
    found = [stream for _, stream in offered if not streams or stream in streams]
    if card is None or not found:
        raise HarnessError(f"'{name}' is not published for the stream {' or '.join(streams) or 'rgb or flow'}")
    return [open_published(name, card, stream, workspace) for stream in found]


# ---------------------------------------------------------------------------------------------------- one file


def _files(prediction: Prediction, out: Path | None) -> list[Path]:
    if out is None:
        return []
    from harness.app import sights

    return sights.write_all(prediction, out)


def _as_text(prediction: Prediction, top: int, files: Sequence[Path]) -> str:
    lines = [f"{prediction.path}"]
    for sight in prediction.sights:
        lines.append(f"  {sight.scorer.title} ({sight.scorer.name})")
        lines.append(f"  saw {_seen(sight)}")
    if len(prediction.sights) > 1:
        lines.append("  fused by the sum of their logits")
    best = prediction.top(top)
    width = max(len(name) for name, _ in best)
    lines.append("")
    lines += [
        f"{100 * share:6.1f}%  {name:<{width}}  {'█' * round(BAR_LETTERS * share)}".rstrip() for name, share in best
    ]
    for sight in prediction.sights:
        lines += ["", *_over_time(prediction, sight, best[0][0])]
    lines += ["", *(f"wrote {path}" for path in files)] if files else []
    return "\n".join(lines)


def _seen(sight: StreamPrediction) -> str:
    scorer, views = sight.scorer, len(sight.positions)
    frames = " and ".join(
        f"{len(numbers)} {stream} frame{'s' if len(numbers) > 1 else ''}" for stream, numbers in sight.frames.items()
    )
    fps, loops = scorer.scale.fps, sight.num_frames < scorer.clip.window
    return (
        f"{views} clip{'s' if views > 1 else ''} of {frames}, {scorer.clip.side_px} px, out of "
        f"{sight.num_frames} at {fps:g} fps{', looped' if loops else ''}"
    )


def _over_time(prediction: Prediction, sight: StreamPrediction, name: str) -> list[str]:
    """The likeliest class's probability at each output position."""
    points = prediction.curve(sight, [name])
    ends = f"{points[0]['time_s']:.2f} s … {points[-1]['time_s']:.2f} s"
    curve = curve_text([point[name] for point in points])
    return [f"{name} over time ({'+'.join(sight.scorer.streams)}, {ends}):  {curve}"]


def curve_text(shares: Sequence[float]) -> str:
    """'▁▃█  2.1 to 98.0%': a row of blocks, thinned where it is long, with the lowest and the highest of all."""
    step = -(-len(shares) // CURVE_LETTERS)
    blocks = "".join(BLOCKS[min(len(BLOCKS) - 1, int(share * len(BLOCKS)))] for share in shares[::step])
    low, high = (f"{100 * share:.1f}" for share in (min(shares), max(shares)))
    return f"{blocks}  {low}%" if low == high else f"{blocks}  {low} to {high}%"


def _as_dict(prediction: Prediction, top: int, files: Sequence[Path]) -> dict[str, Any]:
    best = prediction.top(top)
    return {
        "video": str(prediction.path),
        "top": [{"class": name, "probability": share} for name, share in best],
        "logits": dict(zip(prediction.classes, map(float, prediction.logits), strict=True)),
        "networks": [
            {
                "name": sight.scorer.name,
                "title": sight.scorer.title,
                "views": len(sight.positions),
                "frames": {stream: numbers.tolist() for stream, numbers in sight.frames.items()},
                "curve": prediction.curve(sight, [name for name, _ in best]),
            }
            for sight in prediction.sights
        ],
        "files": [str(path) for path in files],
    }


# ---------------------------------------------------------------------------------------------------- a folder


def _folder(videos: Sequence[Path], root: Path, scorers: Sequence[Scorer], *, top: int, out: Path | None) -> None:
    """A row a video, written as it comes; a video that cannot be decoded has the cause in its row, and is named at the end."""
    broken: list[str] = []
    target = out / "predictions.csv" if out else None
    stream = target.open("w", newline="", encoding="utf-8") if target else sys.stdout
    try:
        writer = csv.writer(stream)
        ranks = range(1, top + 1)
        writer.writerow(["video", *(f"{what}_{k}" for k in ranks for what in ("class", "probability")), "error"])
        for video in videos:
            name = video.relative_to(root).as_posix()
            row, error = _row(video, scorers, top)
            broken += [name] if error else []
            writer.writerow([name, *row, error])
            stream.flush()
    finally:
        if target:
            stream.close()
    if target:
        click.echo(f"{len(videos) - len(broken)} of {len(videos)} videos: wrote {target}")
    if broken:
        raise HarnessError(
            f"{len(broken)} of {len(videos)} videos cannot be decoded and have the cause in their row: "
            f"{', '.join(broken[:5])}{' …' if len(broken) > 5 else ''}"
        )


def _row(video: Path, scorers: Sequence[Scorer], top: int) -> tuple[list[str], str]:
    from harness.jobs.predict import predict as ask

    try:
        best = ask(video, scorers).top(top)
    except BrokenVideo as error:
        return [""] * (2 * top), str(error)
    cells = [text for name, share in best for text in (name, f"{share:.6f}")]
    return cells + [""] * (2 * top - len(cells)), ""
