"""Figures of a prediction: the clip as a contact sheet and an animation, the class probabilities over time as a curve."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.data import preview
from harness.video import encode
from reports.figures.charts import axis_below, axis_left, legend
from reports.figures.drawing import Axis, Drawing, Panel, standalone

if TYPE_CHECKING:
    from harness.jobs.predict import Prediction, StreamPrediction

SHEET_COLUMNS = 8
SHORT_SIDE_PX = 160
"""Size of a frame on the sheet and in the animation, whatever the network's input size."""
CURVES = 5
WIDTH, CHART_PX = 700, 230


def write_all(prediction: Prediction, folder: Path) -> list[Path]:
    """NAME.clip.png, NAME.clip.gif and NAME.curve.svg in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    name = prediction.path.stem
    sheet, animation, curve = (folder / f"{name}{end}" for end in (".clip.png", ".clip.gif", ".curve.svg"))
    encode.write_image(sheet, sheet_of(prediction.streams))
    write_animation(animation, prediction.streams)
    curve.write_text(standalone(curves(prediction)), encoding="utf-8")
    return [sheet, animation, curve]


def sheet_of(streams: Sequence[StreamPrediction]) -> np.ndarray:
    """uint8 (H, W, 3): one captioned row of frames per stream; flow in colors, hue for direction."""
    rows, captions = [], []
    for stream in streams:
        rows += preview.clip_rows(dict(stream.shown), stream.scorer.scale.flow, columns=SHEET_COLUMNS)
        captions += [
            f"{name}: {min(SHEET_COLUMNS, len(clip))} of {len(clip)} frames, {clip.shape[1]} px"
            for name, clip in stream.shown.items()
        ]
    return preview.contact_sheet(rows, captions=captions, short_side_px=SHORT_SIDE_PX)


def write_animation(path: Path, streams: Sequence[StreamPrediction]) -> None:
    """The clip as a GIF that loops, its streams side by side, at the speed of the video; snippets of segments follow each other."""
    from PIL import Image

    strips = [strip for stream in streams for strip in _rows(stream)]
    count = max(len(strip) for strip in strips)
    rows = [[strip[number * len(strip) // count] for strip in strips] for number in range(count)]
    frames = [Image.fromarray(preview.contact_sheet([row], short_side_px=SHORT_SIDE_PX)) for row in rows]
    each_ms = round(1000 * streams[0].scorer.clip.span / streams[0].scorer.scale.fps / count)
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=max(20, each_ms), loop=0)


def _rows(stream: StreamPrediction) -> list[list[np.ndarray]]:
    """One row per stream, with every frame that the network saw."""
    longest = max(len(clip) for clip in stream.shown.values())
    return preview.clip_rows(dict(stream.shown), stream.scorer.scale.flow, columns=longest)


def curves(prediction: Prediction) -> Panel:
    """Probability of the likeliest classes at every output position of every view, one chart per network."""
    names = {name: series for series, (name, _) in enumerate(prediction.top(CURVES))}
    drawing = Drawing(WIDTH, 60 + CHART_PX * len(prediction.streams))
    drawing.text(0, 14, prediction.path.name, style="bold")
    for number, stream in enumerate(prediction.streams):
        top = 56 + CHART_PX * number
        points = prediction.curve(stream, list(names))
        times = [point["time_s"] for point in points]
        across, up = Axis(times[0], times[-1], 40, WIDTH - 10), Axis(0, 1, top + CHART_PX - 70, top)
        drawing.text(40, top - 8, stream.scorer.title, style="mute small")
        axis_left(drawing, up, "probability", left=40, right=WIDTH - 10)
        axis_below(drawing, across, "seconds" + _loops(stream), top=up(0), bottom=up(0) + 4)
        for name, series in names.items():
            places = [(across(time), up(point[name])) for time, point in zip(times, points, strict=True)]
            drawing.curve(places, style=f"s{series}")
            for x, y in places:
                drawing.marker(x, y, series)
    legend(drawing, names, 0, drawing.height - 8)
    return drawing.panel("curve", prediction.path.name, f"Probabilities of {', '.join(names)}")


def _loops(stream: StreamPrediction) -> str:
    if stream.num_frames >= stream.scorer.clip.window:
        return ""
    return f" (the video is looped after {stream.num_frames / stream.scorer.scale.fps:.2f} s)"
