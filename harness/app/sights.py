"""What a network saw, as files: the clip as a sheet and as an animation, the probabilities over time as a curve."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harness.data import preview
from harness.jobs.predict import Prediction, StreamPrediction
from harness.video import encode

SHEET_COLUMNS = 8
SHORT_SIDE_PX = 160
"""Of a picture on the sheet and in the animation, whatever the network's own size."""
CURVES = 5


def write_all(prediction: Prediction, folder: Path) -> list[Path]:
    """NAME.clip.png, NAME.clip.gif and NAME.curve.png in `folder`, one set a video."""
    folder.mkdir(parents=True, exist_ok=True)
    name = prediction.path.stem
    sheet, animation, curve = (folder / f"{name}{end}" for end in (".clip.png", ".clip.gif", ".curve.png"))
    encode.write_still(sheet, sheet_of(prediction.sights))
    write_animation(animation, prediction.sights)
    draw_curves(curve, prediction)
    return [sheet, animation, curve]


def sheet_of(sights: Sequence[StreamPrediction]) -> np.ndarray:
    """uint8 (H, W, 3): one captioned row of frames a stream; flow in colours, hue for direction."""
    rows, captions = [], []
    for sight in sights:
        rows += preview.clip_rows(dict(sight.shown), sight.scorer.scale.flow, columns=SHEET_COLUMNS)
        captions += [
            f"{stream}: {min(SHEET_COLUMNS, len(clip))} of {len(clip)} frames, {clip.shape[1]} px"
            for stream, clip in sight.shown.items()
        ]
    return preview.contact_sheet(rows, captions=captions, short_side_px=SHORT_SIDE_PX)


def write_animation(path: Path, sights: Sequence[StreamPrediction]) -> None:
    """The clip as a GIF that loops, its streams side by side, at the speed of the video."""
    from PIL import Image

    strips = [strip for sight in sights for strip in _whole(sight)]
    count = max(len(strip) for strip in strips)
    fps = sights[0].scorer.scale.fps
    window = sights[0].scorer.clip.window
    frames = [
        Image.fromarray(
            preview.contact_sheet(
                [[strip[number * len(strip) // count] for strip in strips]], short_side_px=SHORT_SIDE_PX
            )
        )
        for number in range(count)
    ]
    each_ms = round(1000 * window / fps / count)
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=max(20, each_ms), loop=0)


def _whole(sight: StreamPrediction) -> list[list[np.ndarray]]:
    """A row of every frame the network saw, for each of its streams."""
    longest = max(len(clip) for clip in sight.shown.values())
    return preview.clip_rows(dict(sight.shown), sight.scorer.scale.flow, columns=longest)


def draw_curves(path: Path, prediction: Prediction) -> None:
    """Probability of the likeliest classes at every output position of every view, one panel a network."""
    from matplotlib.figure import Figure

    names = [name for name, _ in prediction.top(CURVES)]
    count = len(prediction.sights)
    figure = Figure(figsize=(7.0, 0.6 + 2.6 * count), layout="constrained")
    panels = figure.subplots(count, 1, squeeze=False, sharex=True)[:, 0]
    for panel, sight in zip(panels, prediction.sights, strict=True):
        points = prediction.curve(sight, names)
        for name in names:
            panel.plot([p["time_s"] for p in points], [p[name] for p in points], marker="o", markersize=3, label=name)
        # A little room: a line along 0 or 1 would lie on the frame and be cut in half.
        panel.set(ylim=(-0.03, 1.03), ylabel="probability", title=sight.scorer.title)
        panel.title.set_size(8)
    panels[-1].set_xlabel("seconds" + _loops(prediction.sights[0]))
    panels[0].legend(fontsize=7, loc="best")
    figure.suptitle(prediction.path.name, fontsize=9)
    figure.savefig(path, dpi=120)


def _loops(sight: StreamPrediction) -> str:
    if sight.num_frames >= sight.scorer.clip.window:
        return ""
    return f" (the video is looped after {sight.num_frames / sight.scorer.scale.fps:.2f} s)"
