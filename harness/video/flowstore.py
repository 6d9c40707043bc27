"""Optical flow, computed once and kept: one compressed file a video, any frame of which is read alone."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.contract import FlowMethod, Video
from harness.errors import BrokenVideo, HarnessError
from harness.spec import digest
from harness.video import decode, flow, flowfile
from harness.video.halves import half, sweep
from harness.video.index import Progress
from harness.video.views import short_side_size

if TYPE_CHECKING:
    from harness.video.prepare import Prepared

FORMAT = 2
"""Raised when the files change their meaning."""
STORED_SHARE = 0.5
"""Of the bytes of the codes, how many their files take at most: real clips 0.04 to 0.11, the micro world 0.38 to 0.43."""
IN_PROCESS = 2
"""Videos up to which starting processes would take longer than the work."""


@dataclass(frozen=True)
class FlowStore:
    """Stored flow of one data set by one method."""

    folder: Path
    sizes: Mapping[str, int]
    """Video id -> bytes of the file that the flow was computed from."""
    broken: Mapping[str, str] = field(default_factory=dict)
    """Video id -> why no flow could be computed."""

    def open(self, video: Video) -> flowfile.FlowFile:
        """Its frames, any of them. Raises BrokenVideo; KeyError if not stored; HarnessError for a damaged file."""
        if video.id in self.broken:
            raise BrokenVideo(self.broken[video.id])
        return flowfile.FlowFile(_file(self.folder, video.id, self.sizes[video.id]))

    def read(self, video: Video) -> np.ndarray:
        """uint8 codes (T, H, W, 2) of all frames. Raises as `open` does."""
        return self.open(video).read()


def flow_store(
    prepared: Prepared,
    method: FlowMethod,
    *,
    videos: Sequence[Video],
    fps: float,
    workers: int = 1,
    progress: Progress | None = None,
) -> FlowStore:
    """The flow of `videos`, computed from the originals where it is not stored yet.

    Each video's codes appear by one rename, so a killed run loses what it was at and nothing else. Videos that cannot
    be decoded are named in `FlowStore.broken`. Raises HarnessError for a method that does not exist and a full disk.
    """
    key = {"format": FORMAT, "flow": flow.method_key(method), "decoder": decode.decoder_key(), "fps": fps}
    folder = prepared.store / f"flow-{digest(key)}"
    sizes = {video.id: prepared.rows[video.id].bytes for video in videos}
    wanted = {video.id: video for video in videos}
    missing = [video for video in wanted.values() if not _file(folder, video.id, sizes[video.id]).is_file()]
    broken: dict[str, str] = {}
    if missing:
        _check_space(prepared, method, missing, fps)
        _begin(folder, key)
        tasks = [_Task(prepared.path(v), _file(folder, v.id, sizes[v.id]), v.id, method, fps) for v in missing]
        done = len(wanted) - len(missing)
        for video_id, cause in _results(tasks, min(workers, len(tasks))):
            done += 1
            if cause:
                broken[video_id] = cause
            if progress:
                progress(done, len(wanted))
    return FlowStore(folder, sizes, broken)


@dataclass(frozen=True)
class _Task:
    source: Path
    target: Path
    video_id: str
    method: FlowMethod
    fps: float


def _file(folder: Path, video_id: str, size: int) -> Path:
    # The size of the original is part of the name: a file that was replaced gets its own flow.
    return folder / f"{video_id}.{size}.flow"


def _begin(folder: Path, key: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "key.json").write_text(json.dumps(key, indent=1, sort_keys=True), encoding="utf-8")
    sweep(folder)


def _check_space(prepared: Prepared, method: FlowMethod, videos: Sequence[Video], fps: float) -> None:
    need = 0
    for video in videos:
        row = prepared.rows[video.id]
        if not row.error:
            height, width = short_side_size(row.height, row.width, method.short_side_px)
            need += round(STORED_SHARE * 2 * height * width * prepared.num_frames(video, fps))
    free = shutil.disk_usage(prepared.store).free
    if need > free:
        raise HarnessError(
            f"the optical flow of {len(videos)} videos of {prepared.dataset.name} takes {need / 1e9:.1f} GB, and "
            f"{prepared.store} has {free / 1e9:.1f} GB free; free some space, or keep data elsewhere with --data"
        )


def _results(tasks: Sequence[_Task], workers: int) -> Iterator[tuple[str, str]]:
    """(video id, '' or why it failed), in the order of finishing."""
    if workers <= 1 or len(tasks) <= IN_PROCESS:
        yield from map(_compute, tasks)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_start_worker) as pool:
        try:
            futures = [pool.submit(_compute, task) for task in tasks]
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise HarnessError(
                "a process that computes optical flow was killed (out of memory?); run the command again, it goes on "
                "where it stopped"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    # Ctrl-C reaches the whole group; the parent decides what happens.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _compute(task: _Task) -> tuple[str, str]:
    task.target.parent.mkdir(parents=True, exist_ok=True)
    fresh = half(task.target)
    try:
        frames = decode.iter_video(task.source, fps=task.fps, short_side_px=task.method.short_side_px)
        codes = (flow.encode(one, task.method) for one in flow.pairwise(frames, task.method))
        flowfile.write(fresh, codes)
        fresh.replace(task.target)
    except BrokenVideo as error:
        return task.video_id, str(error)
    except OSError as error:
        raise HarnessError(
            f"cannot store optical flow at {task.target}: {error.strerror or error}; free some space there or name "
            "another folder with --data, and run the command again: it goes on where it stopped"
        ) from error
    finally:
        fresh.unlink(missing_ok=True)
    return task.video_id, ""
