"""Pixels inside figures: frames of videos, and arrays as PNG."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.core import registry
from harness.core.contract import Video
from harness.core.errors import BrokenVideo, DataMissing
from harness.metrics.scores import predictions, softmax
from reports.evidence import Evidence, Result, dataset_of, title_of
from reports.figures.accuracy import class_order, told
from reports.figures.drawing import Drawing, Figure, Panel

JPEG_QUALITY = 78
FRAMES = 4
"""Of a mistaken video."""
MISTAKES = 4
"""Shown of each data set."""
PANEL_PX = 370


def png_of(pixels: np.ndarray) -> bytes:
    """uint8 (H, W, 3 or 4), red first, -> PNG."""
    import cv2

    order = [2, 1, 0, 3][: pixels.shape[2]]
    return bytes(cv2.imencode(".png", np.ascontiguousarray(pixels[..., order]))[1])


def jpeg_of(pixels: np.ndarray) -> bytes:
    """uint8 (H, W, 3), red first, -> JPEG."""
    import cv2

    return bytes(
        cv2.imencode(".jpg", np.ascontiguousarray(pixels[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    )


# ---------------------------------------------------------------------------------------------- reading frames


@dataclass(frozen=True)
class Footage:
    """The videos of one data set on this machine."""

    videos: Mapping[str, Video]
    root: Path
    still: bool

    def frames(self, video_id: str, count: int, *, short_side_px: int) -> list[np.ndarray]:
        """uint8 (H, W, 3) pictures at even times, the first and the last among them; [] for a broken video."""
        from harness.video import decode

        path = self.root / self.videos[video_id].path
        if self.still:
            return [decode.read_image(path, short_side_px=short_side_px)]
        try:
            whole = decode.read_video(path, short_side_px=short_side_px)
        except BrokenVideo:
            return []
        return [whole[int(k)] for k in np.linspace(0, len(whole) - 1, count).round()]


def footage(dataset: str, data: Path, *, fingerprint: str) -> Footage | None:
    """The data set's files, if they are here and the ones that were scored; None otherwise. Writes nothing."""
    from harness.data.prepare import expected_fingerprint, open_prepared

    card = dataset_of(dataset)
    if card is None or expected_fingerprint(card, data) != fingerprint:
        return None
    try:
        prepared = open_prepared(card, data, render=False)
    except DataMissing:
        return None
    listings = [prepared.listing(split) for split in card.splits]
    videos = {video.id: video for listing in listings for part in listing.subsets.values() for video in part}
    return Footage(videos, prepared.root, card.kind == "images")


# ---------------------------------------------------------------------------------------------- mistakes


def mistakes(evidence: Evidence, dataset: str, found: Footage | None) -> Figure | None:
    """The videos that a data set's main baseline is most surely wrong about, each of another class."""
    results = evidence.best_modality(dataset)
    if not results:
        return None
    main = next((result for result in results if result.baseline == "i3d"), results[-1])
    rows = surest_mistakes(main)
    panels = tuple(_mistake(k + 1, row, main, results, found) for k, row in enumerate(rows))
    frames = "" if found else " Frames are left out: the videos that were scored are not on the machine that drew this."
    caption = (
        f"{told(evidence, dataset)}. Wrong answers that {main.name} gives the highest probability, at most one a class; "
        f"frames at even times from first to last.{frames}"
    )
    return Figure(f"mistakes-{dataset}", f"Surest mistakes on {dataset}", caption, panels) if panels else None


def surest_mistakes(result: Result, *, count: int = MISTAKES) -> list[int]:
    """Rows of the scores, the surest wrong answer first, one a true class; undecodable videos left out."""
    probability = softmax(result.scores.logits).max(axis=1)
    candidates = np.flatnonzero(~result.right & result.scores.decodable)
    ranked = sorted(candidates, key=lambda row: (-float(probability[row]), result.scores.ids[row]))
    chosen: dict[int, int] = {}
    for row in ranked:
        chosen.setdefault(int(result.scores.labels[row]), int(row))
    return list(chosen.values())[:count]


def _mistake(rank: int, row: int, main: Result, results: Sequence[Result], found: Footage | None) -> Panel:
    video, names = main.scores.ids[row], main.classes
    true, guess = names[int(main.scores.labels[row])], names[int(predictions(main.scores)[row])]
    sure = 100 * float(softmax(main.scores.logits[row]).max())
    frames = found.frames(video, FRAMES, short_side_px=90) if found else []
    lines = _verdicts(video, true, main, results)
    height = _strip_height(frames)
    drawing = Drawing(PANEL_PX, 40 + height + 14 * len(lines))
    drawing.text(0, 12, f"{true}, taken for {guess}", style="bold")
    drawing.text(PANEL_PX, 12, f"{sure:.0f}% sure", style="mute small", anchor="end")
    _strip(drawing, frames, y=20, width=PANEL_PX)
    for k, line in enumerate(lines):
        drawing.text(0, 34 + height + 14 * k, line, style="mute small")
    return drawing.panel(str(rank), f"{video}: {true}, taken for {guess}", "; ".join(lines))


def _verdicts(video: str, true: str, main: Result, results: Sequence[Result]) -> list[str]:
    """What every other baseline says of the video, in lines."""
    said: dict[str, list[str]] = {}
    for result in results:
        if result is main or video not in result.scores.ids:
            continue
        guess = int(predictions(result.scores)[result.scores.ids.index(video)])
        answer = "nothing, it cannot be decoded" if guess < 0 else result.classes[guess]
        said.setdefault("is right" if answer == true else f"says {answer}", []).append(title_of(result.baseline))
    words = "; ".join(
        f"{', '.join(who)} {what.replace('is right', 'are right') if len(who) > 1 else what}"
        for what, who in said.items()
    )
    return [*textwrap.wrap(words, 66), *textwrap.wrap(video, 66)]


def _strip_height(frames: Sequence[np.ndarray]) -> float:
    if not frames:
        return 0
    return (PANEL_PX - 4 * (len(frames) - 1)) / len(frames) * frames[0].shape[0] / frames[0].shape[1]


def _strip(drawing: Drawing, frames: Sequence[np.ndarray], *, y: float, width: float) -> None:
    for k, frame in enumerate(frames):
        each = (width - 4 * (len(frames) - 1)) / len(frames)
        height = each * frame.shape[0] / frame.shape[1]
        drawing.picture(k * (each + 4), y, each, height, jpeg_of(frame))


# ---------------------------------------------------------------------------------------------- what a data set shows


def samples(dataset: str, names: Sequence[str], found: Footage) -> Figure | None:
    """First, middle and last frame of one video of every class; of images, one picture, twice as many in a line."""
    if len(names) > 60:
        return None
    first: dict[int, str] = {}
    for video in sorted(found.videos.values(), key=lambda video: video.id):
        first.setdefault(video.label, video.id)
    card = registry.load("dataset", dataset)
    columns, each, row = (4 if found.still else 2), 62, 66
    order = [k for _, k in class_order(dataset, names) if k in first]
    shown = [(names[k], found.frames(first[k], 3, short_side_px=56)) for k in order]
    drawing = Drawing(400, row * -(-len(shown) // columns))
    for k, (name, frames) in enumerate(shown):
        x, y = (k % columns) * (408 // columns), (k // columns) * row
        drawing.text(x, y + 10, name, style="small")
        for j, frame in enumerate(frames):
            height = min(46.0, (each + 2) * frame.shape[0] / frame.shape[1])
            drawing.picture(x + j * (each + 2), y + 14, each, height, jpeg_of(frame))
    panel = drawing.panel("classes", f"{card.title}, a video of each class", ", ".join(names))
    caption = (
        "First, middle and last frame of one video of each class." if card.kind == "video" else "One picture a class."
    )
    return Figure(f"data-{dataset}", card.title, caption, (panel,))
