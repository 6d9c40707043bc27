"""Optical flow, computed once and kept: one compressed file a video, any frame of which is read alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.core.contract import FlowMethod, Video
from harness.core.errors import BrokenVideo
from harness.core.plain import digest
from harness.data import derived
from harness.data.index import Progress
from harness.video import decode, numba_cache
from harness.video.decoder import DEFAULT
from harness.video.flow import codec, estimation, file
from harness.video.sampling import short_side_size

if TYPE_CHECKING:
    from harness.data.prepare import Prepared

FORMAT = 2
"""Raised when the files change their meaning."""
STORED_SHARE = 0.5
"""Of the bytes of the codes, how many their files take at most: real clips 0.04 to 0.12, the micro world 0.38 to 0.43."""


@dataclass(frozen=True)
class FlowStore:
    """Stored flow of one data set by one method."""

    folder: Path
    sizes: Mapping[str, int]
    """Video id -> bytes of the file that the flow was computed from."""
    broken: Mapping[str, str] = field(default_factory=dict)
    """Video id -> why no flow could be computed."""

    def path(self, video: Video) -> Path:
        """Where its flow lies. Raises BrokenVideo; KeyError if not stored."""
        if video.id in self.broken:
            raise BrokenVideo(self.broken[video.id])
        return _file(self.folder, video.id, self.sizes[video.id])

    def open(self, video: Video) -> file.FlowFile:
        """Its frames, any of them. Raises as `path` does; HarnessError for a damaged file."""
        return file.FlowFile(self.path(video))

    def read(self, video: Video) -> np.ndarray:
        """uint8 codes (T, H, W, 2) of all frames. Raises as `open` does."""
        return self.open(video).read()


@dataclass(frozen=True)
class FlowRecipe:
    """Frames of the original at `fps` -> flow codes."""

    method: FlowMethod
    fps: float
    decoder: str
    what: str = "optical flow"
    sample_frames: int = 4

    def make(self, source: Path, target: Path, limit: int | None = None) -> int:
        frames = islice(
            decode.iter_video(source, fps=self.fps, short_side_px=self.method.short_side_px, decoder=self.decoder),
            limit,
        )
        flows = estimation.iter_flow(frames, self.method)
        return file.write(target, (codec.encode(one, self.method) for one in flows))

    def bytes_at_most(self, height: int, width: int, frames: int) -> int:
        height, width = short_side_size(height, width, self.method.short_side_px)
        return round(STORED_SHARE * 2 * height * width * frames)


def flow_store(
    prepared: Prepared,
    method: FlowMethod,
    *,
    videos: Sequence[Video],
    fps: float,
    decoder: str = DEFAULT,
    workers: int = 1,
    progress: Progress | None = None,
    announce: Callable[[derived.Estimate], None] | None = None,
) -> FlowStore:
    """The flow of `videos`, computed from the originals where it is not stored yet.

    Each video's codes appear by one rename, so a killed run loses what it was at and nothing else. Videos that cannot
    be decoded are named in `FlowStore.broken`. Raises HarnessError for a method that does not exist and a full disk.
    """
    method = estimation.resolved(method)
    key = {"format": FORMAT, "flow": estimation.method_key(method), "decoder": decode.decoder_key(decoder), "fps": fps}
    folder = prepared.store / f"flow-{digest(key)}"
    sizes = {video.id: prepared.rows[video.id].bytes for video in videos}
    wanted = {video.id: _file(folder, video.id, sizes[video.id]) for video in videos}
    recipe = FlowRecipe(method, fps, decoder)
    numba_cache.keep_compiled(prepared.store.parent / "numba")
    tasks = derived.tasks_of(prepared, recipe, videos, wanted, fps)
    broken = derived.build(
        recipe,
        tasks,
        key=key,
        folder=folder,
        name=prepared.dataset.name,
        there=len(wanted) - len(tasks),
        workers=min(workers, estimation.max_workers(method) or workers),
        progress=progress,
        announce=announce,
    )
    return FlowStore(folder, sizes, broken)


def _file(folder: Path, video_id: str, size: int) -> Path:
    # The size of the original is part of the name: a file that was replaced gets its own flow.
    return folder / f"{video_id}.{size}.flow"
