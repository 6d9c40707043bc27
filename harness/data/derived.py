"""Files made of a data set's videos, one a video: in processes, each by one rename, so that nothing half-made is ever read.

What a kill costs is the videos that were being worked on. The same call again goes on where it stopped, and changes
nothing once all is there.
"""

from __future__ import annotations

import json
import multiprocessing
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from harness.core import processes, registry
from harness.core.atomic import atomic_write, remove_stale, temporary_path, write_text
from harness.core.contract import Video
from harness.core.errors import BrokenVideo, HarnessError
from harness.data.index import Progress

if TYPE_CHECKING:
    from harness.data.prepare import Prepared

IN_PROCESS = 2
"""Videos up to which starting processes would take longer than the work."""
SAMPLES = 3
"""Videos that the estimate is measured on."""
SLACK = 1.15
"""How much more room is asked for than a sample says: videos differ."""


class Recipe(Protocol):
    """How one file is made. Travels to other processes."""

    @property
    def what(self) -> str:
        """In messages: 'optical flow'."""

    @property
    def sample_frames(self) -> int:
        """Enough of a video to tell what the rest will take."""

    def make(self, source: Path, target: Path, limit: int | None = None) -> int:
        """Writes `target` from the first `limit` frames of `source` -> how many those were. Raises BrokenVideo, OSError."""

    def bytes_at_most(self, height: int, width: int, frames: int) -> int:
        """Room that a video of this size, as it is stored on disk, can take."""


@dataclass(frozen=True)
class Task:
    """One file to make."""

    source: Path
    target: Path
    video_id: str
    frames: int
    """As the header has it."""
    most_bytes: int


@dataclass(frozen=True)
class Estimate:
    """What is about to happen, before it does."""

    what: str
    videos: int
    there: int
    """Videos that are done already."""
    workers: int
    bytes: int
    """To be written."""
    seconds: float
    free_bytes: int
    sampled: int
    """Videos that it was measured on."""


def tasks_of(
    prepared: Prepared, recipe: Recipe, videos: Sequence[Video], files: Mapping[str, Path], fps: float
) -> list[Task]:
    """What is still to be made, each video once. Those that cannot even be opened are left in, to be named as broken."""
    tasks = []
    for video in {video.id: video for video in videos}.values():
        if files[video.id].is_file():
            continue
        row = prepared.rows[video.id]
        frames = 0 if row.error else prepared.num_frames(video, fps)
        room = 0 if row.error else recipe.bytes_at_most(row.height, row.width, frames)
        tasks.append(Task(prepared.path(video), files[video.id], video.id, frames, room))
    return tasks


def build(
    recipe: Recipe,
    tasks: Sequence[Task],
    *,
    key: Mapping[str, Any],
    folder: Path,
    name: str,
    there: int = 0,
    workers: int = 1,
    progress: Progress | None = None,
    announce: Callable[[Estimate], None] | None = None,
) -> dict[str, str]:
    """Makes the files of `tasks` in `folder`, whose key.json says of what -> video id: why it cannot be decoded.

    `name` is the data set's, `there` how many of its files are made already. With `announce`, a few videos are tried first
    and it is told what the rest will take. Raises HarnessError where there is too little room, before anything is made,
    and where the disk fills all the same.
    """
    if not tasks:
        return {}
    workers = min(workers, len(tasks))
    free = shutil.disk_usage(folder.parent).free
    if announce:
        _begin(folder, key)
        estimate = _estimate(recipe, tasks, there, workers, free)
        announce(estimate)
        _check_space(recipe, name, len(tasks), round(SLACK * estimate.bytes), folder, free)
    else:
        _check_space(recipe, name, len(tasks), sum(task.most_bytes for task in tasks), folder, free)
        _begin(folder, key)
    broken = {}
    for done, (video_id, cause) in enumerate(_results(recipe, tasks, workers), there + 1):
        if cause:
            broken[video_id] = cause
        if progress:
            progress(done, there + len(tasks))
    remove_stale(folder)  # again: of a killed run, workers may have been dying still when this one began
    return broken


def _begin(folder: Path, key: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    remove_stale(folder)
    target = folder / "key.json"
    write_text(target, json.dumps(key, indent=1, sort_keys=True))


def _check_space(recipe: Recipe, name: str, videos: int, need: int, folder: Path, free: int) -> None:
    if need > free:
        raise HarnessError(
            f"the {recipe.what} of {videos} videos of {name} takes {need / 1e9:.1f} GB, and {folder.parent} has "
            f"{free / 1e9:.1f} GB free; free some space, or keep data elsewhere with --data"
        )


def _estimate(recipe: Recipe, tasks: Sequence[Task], there: int, workers: int, free: int) -> Estimate:
    """Measured on the beginning of a few videos, spread over all."""
    chosen = [tasks[(2 * n + 1) * len(tasks) // (2 * SAMPLES)] for n in range(SAMPLES)]
    frames = size = sampled = 0
    seconds = 0.0
    for number, task in enumerate(dict.fromkeys(chosen)):
        temporary = temporary_path(task.target)
        try:
            temporary.parent.mkdir(parents=True, exist_ok=True)
            if number == 0:
                recipe.make(task.source, temporary, 2)  # compilers and libraries load
            began = time.perf_counter()
            frames += recipe.make(task.source, temporary, recipe.sample_frames)
            seconds += time.perf_counter() - began
            size += temporary.stat().st_size
            sampled += 1
        except BrokenVideo:
            continue
        except OSError as error:
            raise _full(recipe, temporary, error) from error
        finally:
            temporary.unlink(missing_ok=True)
    total = sum(task.frames for task in tasks)
    need = round(size / frames * total) if frames else sum(task.most_bytes for task in tasks)
    took = seconds / frames * total / workers if frames else 0.0
    return Estimate(recipe.what, len(tasks), there, workers, need, took, free, sampled)


def _results(recipe: Recipe, tasks: Sequence[Task], workers: int) -> Iterator[tuple[str, str]]:
    """(video id, '' or why it failed), in the order of finishing."""
    if workers <= 1 or len(tasks) <= IN_PROCESS:
        for task in tasks:
            yield _make(recipe, task)
        return
    spawn = multiprocessing.get_context("spawn")
    plugins = (registry.plugin_folders(),)
    with ProcessPoolExecutor(workers, spawn, initializer=processes.begin_worker, initargs=plugins) as pool:
        try:
            with processes.starting():
                futures = [pool.submit(_make, recipe, task) for task in tasks]
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise HarnessError(
                f"a process that makes the {recipe.what} was killed (out of memory?); run the command again, it goes on "
                "where it stopped"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _make(recipe: Recipe, task: Task) -> tuple[str, str]:
    try:
        task.target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(task.target) as temporary:
            recipe.make(task.source, temporary)
    except BrokenVideo as error:
        return task.video_id, str(error)
    except OSError as error:
        raise _full(recipe, task.target, error) from error
    return task.video_id, ""


def _full(recipe: Recipe, target: Path, error: OSError) -> HarnessError:
    return HarnessError(
        f"cannot store the {recipe.what} at {target}: {error.strerror or error}; free some space there or name "
        "another folder with --data, and run the command again: it goes on where it stopped"
    )
