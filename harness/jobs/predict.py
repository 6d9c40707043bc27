"""Predictions of trained networks for any video file, and the clips they saw.

The clip is cut exactly as in testing: a test video of a job gets the logits that the job recorded, up to the last bits
of sums over batches of another size.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.core.contract import Clip, Dataset, Listing, Video
from harness.core.errors import BrokenVideo, DataMissing, HarnessError
from harness.data import index, loader, prepare
from harness.data.flow_store import flow_store
from harness.datasets.formats.listing import VIDEO_SUFFIXES, files_in
from harness.jobs.restore import Scorer
from harness.metrics.scores import softmax
from harness.training.evaluation import reduce_positions
from harness.video.sampling import test_positions

SUFFIXES = (*VIDEO_SUFFIXES, ".ogv", ".gif")
BATCH = 16
"""Views of one forward pass."""


@dataclass(frozen=True, eq=False)
class StreamPrediction:
    """The prediction of one network."""

    scorer: Scorer
    logits: np.ndarray
    """(C,) float32: the mean over its views, as in testing."""
    positions: np.ndarray
    """(V, P, C) float32: the logits of every view at every output position in time."""
    times_s: np.ndarray
    """(V, P) float64: the middle of each position, in seconds from the start. Past the end, a short video is looped."""
    shown: Mapping[str, np.ndarray]
    """The middle view: stream -> uint8 (T, H, W, C), RGB pictures or flow codes."""
    frames: Mapping[str, np.ndarray]
    """The middle view's frame numbers on the scale's timeline, by stream."""
    num_frames: int
    """Frames of the video on that timeline."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """The fused prediction of all networks for a video."""

    path: Path
    classes: tuple[str, ...]
    logits: np.ndarray
    """(C,) float64: logits of a single network, or the sum over networks (late fusion, paper section 2.4)."""
    streams: tuple[StreamPrediction, ...]

    def top(self, k: int = 5) -> list[tuple[str, float]]:
        """The k most probable classes with their probabilities."""
        shares = softmax(self.logits)
        return [(self.classes[c], float(shares[c])) for c in np.argsort(-shares, kind="stable")[:k]]

    def curve(self, stream: StreamPrediction, classes: Sequence[str]) -> list[dict[str, Any]]:
        """For one network, in the order of time: {'time_s', 'view', CLASS: its probability at that time, ...}."""
        shares = softmax(stream.positions)
        columns = [self.classes.index(name) for name in classes]
        points = [
            {"time_s": round(float(stream.times_s[view, place]), 3), "view": view}
            | {name: float(shares[view, place, column]) for name, column in zip(classes, columns, strict=True)}
            for view in range(len(shares))
            for place in range(shares.shape[1])
        ]
        return sorted(points, key=lambda point: (point["time_s"], point["view"]))


def check_together(scorers: Sequence[Scorer]) -> None:
    """Raise HarnessError unless the logits of these networks may be summed."""
    first = scorers[0]
    for other in scorers[1:]:
        if other.classes != first.classes:
            raise HarnessError(
                f"{first.title} ({first.name}) and {other.title} ({other.name}) have different classes; only networks of one "
                "data set can be fused"
            )
    names = [scorer.name for scorer in scorers]
    if len(set(names)) != len(names):
        raise HarnessError(f"{names[0]} is given twice; give the job of the other stream")
    joint = {scorer.baseline.title for scorer in scorers if scorer.baseline.combine == "joint"}
    if len(scorers) > 1 and joint:
        raise HarnessError(
            f"{joint.pop()} trains its streams jointly, so that its rgb+flow is one job; give that job alone"
        )


def predict(path: Path, scorers: Sequence[Scorer]) -> Prediction:
    """The networks' fused prediction for one file. Raises DataMissing, BrokenVideo naming file and cause, HarnessError."""
    check_together(scorers)
    if not path.is_file():
        raise DataMissing(f"no video at {path}")
    streams = tuple(predict_stream(path, scorer) for scorer in scorers)
    logits = np.stack([stream.logits for stream in streams]).sum(axis=0, dtype=np.float64)
    return Prediction(path, scorers[0].classes, logits, streams)


def videos_in(folder: Path) -> list[Path]:
    """Visible video files below a folder, sorted. Raises DataMissing if there are none."""
    videos = files_in(folder, SUFFIXES)
    if not videos:
        raise DataMissing(f"no video below {folder}; expected files ending in {' '.join(SUFFIXES)}")
    return sorted(folder / name for name in videos)


@dataclass(frozen=True, eq=False)
class Views:
    """What one network computed for every view of a video."""

    outputs: torch.Tensor
    """(V, P, ...) float32: by view and output position in time."""
    times_s: np.ndarray
    """(V, P) float64: the middle of each position, in seconds from the start. Past the end, a short video is looped."""
    shown: Mapping[str, np.ndarray]
    """The middle view: stream -> uint8 (T, H, W, C), RGB pictures or flow codes."""
    frames: Mapping[str, np.ndarray]
    """The middle view's frame numbers, by stream."""
    num_frames: int
    """Frames of the video on the scale's timeline."""


def compute_views(path: Path, scorer: Scorer, clip: Clip, compute: Callable[[Any], torch.Tensor]) -> Views:
    """compute(stream -> (N, C, T, H, W)) -> (N, P, ...) float32 of every view that `clip` cuts from the video."""
    with tempfile.TemporaryDirectory(prefix="harness-predict-") as store:
        reader, video = _reader(path.resolve(), scorer, Path(store))
        frames = reader.num_frames(video)
        batches = loader.test_batches(reader, [video], clip=clip, batch=BATCH)
        cuts = [cut for cut in test_positions(frames, clip) for _ in range(clip.crops)]
        middle = len(cuts) // clip.crops // 2 * clip.crops
        parts, shown = [], {}
        for batch in batches:
            inputs = loader.to_network(batch, scorer.device, scorer.scale.flow, scorer.pixels)
            parts.append(compute(inputs))
            if middle in batch.views.tolist():
                row = batch.views.tolist().index(middle)
                shown = {stream: np.array(clips[row]) for stream, clips in batch.clips.items()}
    outputs = torch.cat(parts)
    return Views(
        outputs=outputs,
        times_s=_times(cuts, outputs.shape[1], scorer, clip),
        shown=shown,
        frames={stream: cuts[middle][stream] for stream in scorer.streams},
        num_frames=frames,
    )


def predict_stream(path: Path, scorer: Scorer) -> StreamPrediction:
    """The prediction of one network, and the clips it saw."""
    views = compute_views(path, scorer, scorer.clip, scorer.logits)
    # As in `evaluation.video_logits`: over positions, then over views in float64.
    mean = reduce_positions(views.outputs, scorer.baseline.reduce).numpy().astype(np.float64).mean(axis=0)
    return StreamPrediction(
        scorer=scorer,
        logits=mean.astype(np.float32),
        positions=views.outputs.numpy(),
        times_s=views.times_s,
        shown=views.shown,
        frames=views.frames,
        num_frames=views.num_frames,
    )


def features(path: Path, scorer: Scorer) -> np.ndarray:
    """(V, P, F) float32: the head's inputs, for V test clips of a file at P output positions. Raises as `predict` does."""
    if not path.is_file():
        raise DataMissing(f"no video at {path}")
    return compute_views(path, scorer, scorer.clip, scorer.features).outputs.numpy()


def _times(cuts: Iterable[Mapping[str, np.ndarray]], count: int, scorer: Scorer, clip: Clip) -> np.ndarray:
    """(V, P) seconds: each view's window divided evenly among its output positions; each segment's, where it has several.

    Positions that cannot be divided among the segments are placed around the segments' mean.
    """
    starts = np.array([cut[scorer.streams[0]].reshape(clip.segments, -1)[:, 0] for cut in cuts], np.float64)
    if count % clip.segments:
        starts = starts.mean(axis=1, keepdims=True)
    each = count // starts.shape[1]
    within = (np.arange(each) + 0.5) * clip.window / each
    return (starts[:, :, None] + within).reshape(len(starts), count) / scorer.scale.fps


def _reader(path: Path, scorer: Scorer, store: Path) -> tuple[loader.VideoReader, Video]:
    """A reader of one file, with its flow if the network takes it. Intermediate files go to `store`."""
    video = Video(id="video", path=path.name, label=0)
    # A card for a single file, so that it is read as every video is. Its lists are never read.
    card = Dataset(
        name=path.name,
        title=path.name,
        kind="video",
        num_classes=0,
        splits=(1,),
        subsets=(),
        counts={},
        read=lambda root, split: Listing((), {}),
        layout="one file",
        download="",
        licence="",
    )
    index.build({video.id: video}, card, path.parent, store, progress=None)
    prepared = prepare.Prepared(card, path.parent, store, fingerprint="")
    prepared.info(video)
    flow = None
    if "flow" in scorer.streams:
        flow = flow_store(prepared, scorer.scale.flow, videos=[video], fps=scorer.scale.fps, decoder=scorer.decoder)
        if video.id in flow.broken:
            raise BrokenVideo(flow.broken[video.id])
    scale = dataclasses.replace(scorer.scale, video_source="originals")
    reader = loader.VideoReader(prepared, streams=scorer.streams, scale=scale, flow_store=flow, decoder=scorer.decoder)
    return reader, video
