"""Files derived from the videos of a data set, one per video: made in processes, each by one rename, never half a file.

A kill costs the videos in progress. The same call again resumes, and changes nothing once all files are there.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from harness.core import processes, registry
from harness.core.atomic import atomic_write, remove_stale, temporary_path, write_text
from harness.core.contract import Video
from harness.core.errors import BrokenVideo, DataMissing, HarnessError
from harness.core.serialization import digest
from harness.data.index import Index, Progress

if TYPE_CHECKING:
    from harness.data.prepare import Prepared

IN_PROCESS = 2
"""Most videos for which starting processes would take longer than the work."""
BROKEN = "broken.json"
"""File of a store: file name -> why the original cannot be decoded."""
SAMPLES = 3
"""Videos that an estimate is measured on."""
SLACK = 1.15
"""Disk space required, relative to an estimate: videos differ."""


class Recipe(Protocol):
    """How the files of a store are made. Travels to other processes."""

    @property
    def title(self) -> str:
        """In messages: 'optical flow'."""

    @property
    def folder(self) -> str:
        """Beginning of the store's folder name: 'flow'."""

    @property
    def suffix(self) -> str:
        """Of the files."""

    @property
    def fps(self) -> float:
        """Frame rate that videos are resampled to."""

    @property
    def sample_frames(self) -> int:
        """Frames of a video that an estimate is measured on."""

    def key(self) -> dict[str, Any]:
        """Everything that decides the content of the files."""

    def make(self, source: Path, target: Path, limit: int | None = None) -> int:
        """Writes `target` from the first `limit` frames of `source` -> their number. Raises BrokenVideo, OSError."""

    def max_bytes(self, height: int, width: int, frames: int) -> int:
        """Most disk space that a video of this stored size can take."""


@dataclass(frozen=True)
class Store:
    """Files derived from videos of one data set."""

    folder: Path
    suffix: str
    rows: Index
    """Video id -> the facts of the original."""
    broken: Mapping[str, str] = field(default_factory=dict)
    """Video id -> why the original cannot be decoded."""

    def path(self, video: Video) -> Path:
        """The file of a video. Raises BrokenVideo for an original that cannot be decoded, KeyError for a video that is
        not of this data set."""
        if video.id in self.broken:
            raise BrokenVideo(self.broken[video.id])
        return self.folder / self.name(video.id, self.rows[video.id].bytes)

    def name(self, video_id: str, size: int) -> str:
        """Of the video's file. The size of the original is part of it: a video that is replaced gets a new file."""
        return f"{video_id}.{size}{self.suffix}"

    def names(self, videos: Iterable[Video]) -> dict[str, str]:
        """Video id -> name of its file, each video once: in a tenth of the time that `path` would take."""
        sizes = self.rows.sizes()
        return {video.id: self.name(video.id, sizes[video.id]) for video in videos}


@dataclass(frozen=True)
class Task:
    """One file to make."""

    source: Path
    target: Path
    video_id: str
    frames: int
    """By the header."""
    max_bytes: int


@dataclass(frozen=True)
class Estimate:
    """Time and disk space that a store will take."""

    title: str
    videos: int
    there: int
    """Videos whose files are there already."""
    workers: int
    bytes: int
    """To be written."""
    seconds: float
    free_bytes: int
    sampled: int
    """Videos that it was measured on."""


def make_store(
    prepared: Prepared,
    recipe: Recipe,
    videos: Sequence[Video],
    *,
    workers: int = 1,
    progress: Progress | None = None,
    announce: Callable[[Estimate], None] | None = None,
) -> Store:
    """The files of `videos`, made from the originals where they are not there yet; `Store.broken` names the others.

    With `announce`, a few videos are tried first, and it is called with an estimate of the rest. Raises HarnessError
    where there is too little disk space, before anything is made, and where the disk fills nevertheless.
    """
    store, key = _store(prepared, recipe), recipe.key()
    folder = store.folder
    names = store.names(videos)
    tasks = _tasks(prepared, recipe, videos, store, names)
    if not tasks:
        remove_stale(folder)
        return store
    there, workers = len(names) - len(tasks), min(workers, len(tasks))
    free = shutil.disk_usage(folder.parent).free
    need = sum(task.max_bytes for task in tasks)
    if announce:
        _begin(folder, key)
        announce(estimate := _estimate(recipe, tasks, there, workers, free))
        need = round(SLACK * estimate.bytes)
    if need > free:
        raise HarnessError(
            f"the {recipe.title} of {len(tasks)} videos of {prepared.dataset.name} takes {need / 1e9:.1f} GB, and "
            f"{folder.parent} has {free / 1e9:.1f} GB free; free some space, or choose another data folder with --data"
        )
    _begin(folder, key)
    broken = {}
    try:
        for done, (video_id, cause) in enumerate(_results(recipe, tasks, workers), there + 1):
            if cause:
                broken[video_id] = cause
            if progress:
                progress(done, len(names))
    finally:
        remove_stale(folder)  # again: workers of this run, or of an earlier one, may have been killed meanwhile
    if broken:
        causes = _causes(folder) | {names[video_id]: cause for video_id, cause in broken.items()}
        write_text(folder / BROKEN, json.dumps(causes, indent=1, sort_keys=True))
    return replace(store, broken=broken)


def open_store(prepared: Prepared, recipe: Recipe, videos: Sequence[Video]) -> Store:
    """The files of `videos` that `make_store` has made. Raises DataMissing if some are not there."""
    store = _store(prepared, recipe)
    causes = _causes(store.folder)
    names = store.names(videos)
    broken = {video_id: causes[name] for video_id, name in names.items() if name in causes}
    store = replace(store, broken=broken)
    missing = [video_id for video_id, name in names.items() if video_id not in broken and not _is_there(store, name)]
    if missing:
        raise DataMissing(
            f"the {recipe.title} of {len(missing)} of {len(names)} videos of {prepared.dataset.name} is not in "
            f"{store.folder} ({missing[0]}, for one)"
        )
    return store


def _store(prepared: Prepared, recipe: Recipe) -> Store:
    folder = prepared.store / f"{recipe.folder}-{digest(recipe.key())}"
    return Store(folder, recipe.suffix, prepared.rows)


def _is_there(store: Store, name: str) -> bool:
    return os.path.isfile(f"{store.folder}/{name}")  # noqa: PTH113 (a Path for each of 260,000 files takes a second)


def _causes(folder: Path) -> dict[str, str]:
    """File name -> why it could not be made. Raises HarnessError for a damaged list."""
    path = folder / BROKEN
    if not path.exists():
        return {}
    try:
        return {str(name): str(cause) for name, cause in json.loads(path.read_text(encoding="utf-8")).items()}
    except (ValueError, AttributeError) as error:
        raise HarnessError(f"{path} is damaged ({error}); delete it and run the command again") from error


def _tasks(
    prepared: Prepared, recipe: Recipe, videos: Sequence[Video], store: Store, names: Mapping[str, str]
) -> list[Task]:
    """The files still to make, each video once. Those that cannot be opened are among them, to be named as broken."""
    tasks = []
    for video in {video.id: video for video in videos}.values():
        if _is_there(store, names[video.id]):
            continue
        row = prepared.rows[video.id]
        frames = 0 if row.error else prepared.num_frames(video, recipe.fps)
        most = 0 if row.error else recipe.max_bytes(row.height, row.width, frames)
        tasks.append(Task(prepared.path(video), store.folder / names[video.id], video.id, frames, most))
    return tasks


def _begin(folder: Path, key: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    remove_stale(folder)
    write_text(folder / "key.json", json.dumps(key, indent=1, sort_keys=True))


def _estimate(recipe: Recipe, tasks: Sequence[Task], there: int, workers: int, free: int) -> Estimate:
    """Measured on the beginning of a few videos, spread over all."""
    samples = [tasks[(2 * n + 1) * len(tasks) // (2 * SAMPLES)] for n in range(SAMPLES)]
    frames = size = sampled = 0
    seconds = 0.0
    for number, task in enumerate(dict.fromkeys(samples)):
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
    need = round(size / frames * total) if frames else sum(task.max_bytes for task in tasks)
    total_s = seconds / frames * total / workers if frames else 0.0
    return Estimate(recipe.title, len(tasks), there, workers, need, total_s, free, sampled)


def _results(recipe: Recipe, tasks: Sequence[Task], workers: int) -> Iterator[tuple[str, str]]:
    """(video id, '' or why it failed), in the order in which they finish."""
    if workers <= 1 or len(tasks) <= IN_PROCESS:
        for task in tasks:
            yield _make(recipe, task)
        return
    spawn = multiprocessing.get_context("spawn")
    plugins = (registry.plugin_folders(),)
    with ProcessPoolExecutor(workers, spawn, initializer=processes.begin_writer, initargs=plugins) as pool:
        try:
            with processes.starting():
                futures = [pool.submit(_make, recipe, task) for task in tasks]
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise HarnessError(
                f"a process that makes the {recipe.title} was killed (out of memory?); run the command again to resume"
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
        f"cannot store the {recipe.title} at {target}: {error.strerror or error}; free some space there or name "
        "another folder with --data, and run the command again to resume"
    )
