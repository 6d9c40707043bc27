"""The flow store: optical flow, computed once, in one compressed file per video."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.contract import FlowMethod, Video
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
"""Most bytes of a file, relative to the codes in it: real clips take 0.04 to 0.12, the micro world 0.38 to 0.43."""


@dataclass(frozen=True)
class FlowRecipe:
    """Frames of the original at `fps` -> flow codes."""

    method: FlowMethod
    fps: float
    decoder: str = DEFAULT
    title: str = "optical flow"
    folder: str = "flow"
    suffix: str = ".flow"
    sample_frames: int = 4

    def key(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "flow": estimation.method_key(self.method),
            "decoder": decode.decoder_key(self.decoder),
            "fps": self.fps,
        }

    def make(self, source: Path, target: Path, limit: int | None = None) -> int:
        rules: dict[str, Any] = {"short_side_px": self.method.short_side_px, "decoder": self.decoder}
        frames = decode.iter_video(source, fps=self.fps, **rules)
        flows = estimation.iter_flow(islice(frames, limit), self.method)
        return file.write(target, (codec.encode(flow, self.method) for flow in flows))

    def max_bytes(self, height: int, width: int, frames: int) -> int:
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
) -> derived.Store:
    """The flow of `videos`, computed from the originals where it is not stored yet; see `derived.make_store`.

    Raises UnknownName for a method that does not exist.
    """
    method = estimation.resolved(method)
    numba_cache.keep_compiled(prepared.store.parent / "numba")
    workers = min(workers, estimation.max_workers(method) or workers)
    recipe = FlowRecipe(method, fps, decoder)
    return derived.make_store(prepared, recipe, videos, workers=workers, progress=progress, announce=announce)
