"""Features of videos as files for other programs: one .npz per video.

=================  ==================================================================================================
``features``       (T, F) float32: the input of the network's head, by view, then by output position in time
``times_s``        (T,) float64: the middle of each position, in seconds from the start of the video
``view``           (T,) int64: the view (clip and crop) of each row
``network``        job id or 'published:NAME STREAM', ``network_sha256``: hash of its weights, ``video_sha256``
``settings``       JSON: window, step, crops and side of the clips, frame rate, streams, precision, decoder
=================  ==================================================================================================

The mean over views of the head's outputs at these features is the prediction of `harness predict`, if the clips are those of
testing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.core import registry
from harness.core.atomic import atomic_write, file_sha256
from harness.core.contract import Clip, Dataset
from harness.core.errors import HarnessError
from harness.core.workspace import Workspace
from harness.data import prepare
from harness.jobs.predict import compute_views, videos_in
from harness.jobs.restore import Scorer


@dataclass(frozen=True)
class Source:
    """A video to compute features of."""

    path: Path
    name: str
    """Its file of features, relative to the output folder, without '.npz'."""


def sources(videos: str, workspace: Workspace) -> list[Source]:
    """The videos of a file, a folder, or a data set (all splits, each video once).

    Raises HarnessError where two videos of a folder differ in their suffix alone.
    """
    path = Path(videos)
    if path.is_file():
        return [Source(path, path.stem)]
    if path.is_dir():
        listed = [Source(video, video.relative_to(path).with_suffix("").as_posix()) for video in videos_in(path)]
    else:
        card: Dataset = registry.load("dataset", videos)
        prepared = prepare.open_prepared(card, workspace.data)
        listed = [Source(prepared.path(video), video.id) for video in prepared.videos]
    by_name: dict[str, Source] = {}
    for source in listed:
        if source.name in by_name:
            raise HarnessError(
                f"{by_name[source.name].path} and {source.path} would have the same file of features; rename one"
            )
        by_name[source.name] = source
    return listed


def clip_of(scorer: Scorer, window: int | None, step: int | None) -> Clip:
    """The clips to cut: those of testing, with another window and step. Raises HarnessError for a window the network cannot take."""
    clip = scorer.clip
    if window and window != clip.window and not clip.dense:
        raise HarnessError(
            f"--window {window}: {scorer.baseline.title} takes clips of {clip.window} frames only; leave out --window"
        )
    return dataclasses.replace(clip, window=window or clip.window, step=step or 0)


def digest_of(scorer: Scorer) -> str:
    """SHA-256 of the network's tensors, by name."""
    content = hashlib.sha256()
    for name, tensor in sorted(scorer.network.state_dict().items()):
        content.update(name.encode())
        content.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return content.hexdigest()


def write_file(source: Source, scorer: Scorer, clip: Clip, out: Path, *, network_sha256: str) -> bool:
    """Write the features of a video, unless its file is there and of the same network, video and clips; whether it was written.

    Raises BrokenVideo if the video cannot be decoded.
    """
    target = out / f"{source.name}.npz"
    facts = _facts(source.path, scorer, clip, network_sha256)
    if _is_of(target, facts):
        return False
    _write(target, source.path, scorer, clip, facts)
    return True


def _facts(video: Path, scorer: Scorer, clip: Clip, network: str) -> dict[str, str]:
    settings = {
        "window": clip.window,
        "step": clip.step,
        "count": clip.count,
        "crops": clip.crops,
        "side_px": clip.side_px,
        "dense": clip.dense,
        "fps": scorer.scale.fps,
        "streams": list(scorer.streams),
        "precision": scorer.precision,
        "decoder": scorer.decoder,
    }
    return {
        "network": scorer.name,
        "network_sha256": network,
        "video_sha256": file_sha256(video),
        "settings": json.dumps(settings),
    }


def _is_of(target: Path, facts: dict[str, str]) -> bool:
    """Whether the file has features of the same network, video and clips."""
    try:
        with np.load(target, allow_pickle=False) as stored:
            return all(str(stored[name]) == value for name, value in facts.items())
    except (OSError, ValueError, KeyError):
        return False


def _write(target: Path, video: Path, scorer: Scorer, clip: Clip, facts: dict[str, str]) -> None:
    views = compute_views(video, scorer, clip, scorer.features)
    count, positions, size = views.outputs.shape
    target.parent.mkdir(parents=True, exist_ok=True)
    arrays = {name: np.array(value) for name, value in facts.items()}
    with atomic_write(target) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(
            stream,
            features=views.outputs.numpy().reshape(count * positions, size),
            times_s=views.times_s.reshape(-1),
            view=np.repeat(np.arange(count), positions),
            **arrays,  # type: ignore[arg-type]
        )
