"""`harness predict`: Predict the classes of a video, or of every video in a folder.

Takes finished jobs or published weights. Prints the most probable classes; for a folder, writes predictions.csv to --out, or
prints it as CSV.
"""

from __future__ import annotations

import csv
import functools
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.commands.options import device_option, workspace_options
from harness.core.errors import BrokenVideo, HarnessError
from harness.core.workspace import Workspace, writable

if TYPE_CHECKING:
    from harness.jobs.networks import Predictor
    from harness.jobs.predict import Prediction, StreamPrediction

BAR_LETTERS = 24
BLOCKS = "▁▂▃▄▅▆▇█"
"""From 0 to 1: even the lowest shows."""
CURVE_LETTERS = 60


def network_options(*, job_help: str, stream_help: str) -> Callable[[Any], Any]:
    """The options of `harness.jobs.networks.open_networks`, and --device."""
    options = (
        click.option("--job", "jobs", multiple=True, metavar="ID", help=job_help),
        click.option(
            "--weights",
            metavar="published:NAME|DIR",
            help="Instead of a job: imported weights, or a folder that `harness weights export` wrote.",
        ),
        click.option(
            "--baseline", metavar="NAME", help="Architecture of --weights.  [default: the one they were published for]"
        ),
        click.option("--stream", "streams", multiple=True, metavar="rgb|flow", help=stream_help),
        device_option,
    )
    return lambda function: functools.reduce(lambda made, option: option(made), reversed(options), function)


@click.command()
@click.argument("video", type=click.Path(path_type=Path), metavar="VIDEO|FOLDER")
@network_options(
    job_help="Job whose network to use; give twice to fuse two streams.",
    stream_help="Stream of --weights to use.  [default: all]",
)
@click.option("--top", type=click.IntRange(1), default=5, help="Number of classes to print.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder for pictures of the clip and its scores, or predictions.csv.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@workspace_options
def command(video: Path, workspace: Workspace, *, top: int, out: Path | None, as_json: bool, **network: Any) -> None:
    from harness.jobs import predict
    from harness.jobs.networks import open_networks
    from reports.figures import prediction as figures

    if not video.exists():
        raise HarnessError(f"no video or folder at {video}")
    videos = predict.videos_in(video) if video.is_dir() else [video]
    if out:
        writable(out, content="pictures", flag="--out")
    predictor = open_networks(workspace, **network)
    if video.is_dir():
        _predict_folder(videos, video, predictor, top=top, out=out)
        return
    prediction = predictor.predict(video)
    files = figures.write_all(prediction, out) if out else []
    click.echo(json.dumps(_as_dict(prediction, top, files)) if as_json else _as_text(prediction, top, files))


def _as_text(prediction: Prediction, top: int, files: Sequence[Path]) -> str:
    lines = [f"{prediction.path}"]
    for stream in prediction.streams:
        lines += [f"  {stream.scorer.title} ({stream.scorer.name})", f"  input: {_input(stream)}"]
    if len(prediction.streams) > 1:
        lines.append("  fused by the sum of their logits")
    best = prediction.top(top)
    width = max(len(name) for name, _ in best)
    lines.append("")
    lines += [
        f"{100 * share:6.1f}%  {name:<{width}}  {'█' * round(BAR_LETTERS * share)}".rstrip() for name, share in best
    ]
    for stream in prediction.streams:
        lines += ["", _over_time(prediction, stream, best[0][0])]
    lines += ["", *(f"wrote {path}" for path in files)] if files else []
    return "\n".join(lines)


def _input(stream: StreamPrediction) -> str:
    """'5 clips of 16 rgb frames, 112 px, out of 90 at 25 fps'."""
    scorer, views = stream.scorer, len(stream.positions)
    frames = " and ".join(
        f"{len(numbers)} {name} frame{'s' if len(numbers) > 1 else ''}" for name, numbers in stream.frames.items()
    )
    looped = ", looped" if stream.num_frames < scorer.clip.window else ""
    return (
        f"{views} clip{'s' if views > 1 else ''} of {frames}, {scorer.clip.side_px} px, out of "
        f"{stream.num_frames} at {scorer.scale.fps:g} fps{looped}"
    )


def _over_time(prediction: Prediction, stream: StreamPrediction, name: str) -> str:
    """The probability of class `name` at each output position."""
    points = prediction.curve(stream, [name])
    ends = f"{points[0]['time_s']:.2f} s … {points[-1]['time_s']:.2f} s"
    curve = curve_text([point[name] for point in points])
    return f"{name} over time ({'+'.join(stream.scorer.streams)}, {ends}):  {curve}"


def curve_text(shares: Sequence[float]) -> str:
    """'▁▃█  2.1 to 98.0%': one block per point, thinned if there are many, and the lowest and highest value."""
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
                "name": stream.scorer.name,
                "title": stream.scorer.title,
                "views": len(stream.positions),
                "frames": {name: numbers.tolist() for name, numbers in stream.frames.items()},
                "curve": prediction.curve(stream, [name for name, _ in best]),
            }
            for stream in prediction.streams
        ],
        "files": [str(path) for path in files],
    }


def _predict_folder(videos: Sequence[Path], root: Path, predictor: Predictor, *, top: int, out: Path | None) -> None:
    """Write one row per video, at once. Raises HarnessError at the end if some cannot be decoded."""
    broken: list[str] = []
    target = out / "predictions.csv" if out else None
    stream = target.open("w", newline="", encoding="utf-8") if target else sys.stdout
    try:
        writer = csv.writer(stream)
        columns = [f"{column}_{rank}" for rank in range(1, top + 1) for column in ("class", "probability")]
        writer.writerow(["video", *columns, "error"])
        for video in videos:
            name = video.relative_to(root).as_posix()
            row, error = _row(video, predictor, top)
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
            f"{len(broken)} of {len(videos)} videos cannot be decoded; their rows state the cause: "
            f"{', '.join(broken[:5])}{' …' if len(broken) > 5 else ''}"
        )


def _row(video: Path, predictor: Predictor, top: int) -> tuple[list[str], str]:
    """(classes and probabilities, '') or (empty cells, why the video cannot be decoded)."""
    try:
        best = predictor.predict(video).top(top)
    except BrokenVideo as error:
        return [""] * (2 * top), str(error)
    cells = [text for name, share in best for text in (name, f"{share:.6f}")]
    return cells + [""] * (2 * top - len(cells)), ""
