"""Figures with frames of videos in them: mistakes, and a sample of every class."""

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
from reports.figures.accuracy import scored_on
from reports.figures.charts import PANEL_PX
from reports.figures.drawing import Drawing, Figure, Panel, encoded
from reports.figures.matrices import UNDECODABLE, class_order

FRAMES = 4
"""Shown of a misclassified video."""
MISTAKES = 4
"""Shown per data set."""
GAP_PX = 4


def strip(drawing: Drawing, frames: Sequence[np.ndarray], x: float, y: float, width: float, height: float) -> None:
    """uint8 (H, W, 3) frames next to each other from (x, y) on, each in a box of `width` x `height` px."""
    for k, frame in enumerate(frames):
        drawing.picture(x + k * (width + GAP_PX), y, width, height, encoded(frame, ".jpg"))


@dataclass(frozen=True)
class Footage:
    """The videos of one data set on this machine."""

    videos: Mapping[str, Video]
    root: Path
    images: bool

    def frames(self, video_id: str, count: int, *, short_side_px: int) -> list[np.ndarray]:
        """uint8 (H, W, 3) pictures at even times, the first and the last among them; [] for a broken video."""
        from harness.video import decode

        path = self.root / self.videos[video_id].path
        if self.images:
            return [decode.read_image(path, short_side_px=short_side_px)]
        try:
            frames = decode.read_video(path, short_side_px=short_side_px)
        except BrokenVideo:
            return []
        return [frames[int(k)] for k in np.linspace(0, len(frames) - 1, count).round()]


def footage(dataset: str, data: Path, *, fingerprint: str) -> Footage | None:
    """The data set's files, if those that were scored are on this machine; None otherwise. Writes nothing."""
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


def mistakes(evidence: Evidence, dataset: str, footage: Footage | None) -> Figure | None:
    """The videos that I3D, or else the data set's last baseline, gets wrong with the highest probability."""
    results = evidence.best_modality(dataset)
    if not results:
        return None
    main = next((result for result in results if result.baseline == "i3d"), results[-1])
    panels = tuple(_mistake(k + 1, row, main, results, footage) for k, row in enumerate(surest_mistakes(main)))
    frames = "" if footage else " Frames are left out: the videos are not on the machine that drew this."
    caption = (
        f"{scored_on(evidence, dataset)}. Wrong answers that {main.name} gives the highest probability, at most one per class; "
        f"frames at even times from first to last.{frames}"
    )
    return Figure(f"mistakes-{dataset}", f"Surest mistakes on {dataset}", caption, panels) if panels else None


def surest_mistakes(result: Result, *, count: int = MISTAKES) -> list[int]:
    """Rows of the scores, the surest wrong answer first, one per true class; undecodable videos left out."""
    probability = softmax(result.scores.logits).max(axis=1)
    candidates = np.flatnonzero(~result.right & result.scores.decodable)
    ranked = sorted(candidates, key=lambda row: (-float(probability[row]), result.scores.ids[row]))
    chosen: dict[int, int] = {}
    for row in ranked:
        chosen.setdefault(int(result.scores.labels[row]), int(row))
    return list(chosen.values())[:count]


def _mistake(rank: int, row: int, main: Result, results: Sequence[Result], footage: Footage | None) -> Panel:
    video, names = main.scores.ids[row], main.classes
    true, guess = names[int(main.scores.labels[row])], names[int(predictions(main.scores)[row])]
    frames = footage.frames(video, FRAMES, short_side_px=90) if footage else []
    width = (PANEL_PX + GAP_PX) / max(1, len(frames)) - GAP_PX
    height = width * frames[0].shape[0] / frames[0].shape[1] if frames else 0
    lines = _other_answers(video, true, [result for result in results if result is not main])
    drawing = Drawing(PANEL_PX, 26 + height + 14 * len(lines))
    drawing.text(0, 12, f"{true}, predicted as {guess}", style="bold")
    probability = float(softmax(main.scores.logits[row]).max())
    drawing.text(PANEL_PX, 12, f"probability {probability:.2f}", style="mute small", anchor="end")
    strip(drawing, frames, 0, 20, width, height)
    for k, line in enumerate(lines):
        drawing.text(0, 34 + height + 14 * k, line, style="mute small")
    return drawing.panel(str(rank), f"{video}: {true}, predicted as {guess}", "; ".join(lines))


def _other_answers(video: str, true: str, results: Sequence[Result]) -> list[str]:
    """The answers of the other baselines and the video's id, in lines."""
    answers: dict[str, list[str]] = {}
    for result in results:
        if video in result.scores.ids:
            guess = int(predictions(result.scores)[result.scores.ids.index(video)])
            answer = UNDECODABLE if guess < 0 else result.classes[guess]
            answers.setdefault("correct" if answer == true else answer, []).append(title_of(result.baseline))
    words = "; ".join(f"{answer}: {', '.join(names)}" for answer, names in answers.items())
    return [*textwrap.wrap(words, 66), *textwrap.wrap(video, 66)]


def samples(dataset: str, names: Sequence[str], footage: Footage) -> Figure | None:
    """First, middle and last frame of one video of every class; of images, one per class and twice as many in a line."""
    if len(names) > 60:
        return None
    first: dict[int, str] = {}
    for video in sorted(footage.videos.values(), key=lambda video: video.id):
        first.setdefault(video.label, video.id)
    card = registry.load("dataset", dataset)
    columns, row = (4 if footage.images else 2), 66
    order = [k for _, k in class_order(dataset, names) if k in first]
    drawing = Drawing(400, row * -(-len(order) // columns))
    for place, k in enumerate(order):
        x, y = (place % columns) * (408 // columns), (place // columns) * row
        drawing.text(x, y + 10, names[k], style="small")
        strip(drawing, footage.frames(first[k], 3, short_side_px=56), x, y + 14, 60, 46)
    panel = drawing.panel("classes", f"{card.title}, a video of each class", ", ".join(names))
    caption = "One image per class." if footage.images else "First, middle and last frame of one video of every class."
    return Figure(f"data-{dataset}", card.title, caption, (panel,))
