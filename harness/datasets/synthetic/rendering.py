"""Writes the files of a micro data set, on every core."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from harness.core import processes
from harness.core.errors import HarnessError
from harness.datasets.synthetic import sets
from harness.datasets.synthetic.catalogue import ClipSpec, ImageSpec

CHUNK = 16
CODECS = {".mp4": "h264", ".avi": "mpeg4"}

Files = Sequence[tuple[str, ClipSpec | ImageSpec]]


def render_set(
    name: str, root: Path, progress: Callable[[int, int], None] | None = None, *, workers: int | None = None
) -> None:
    """The set below `root`, the same bytes for any number of workers (default: one per core). Raises OSError."""
    contents = sets.contents(name)
    for folder in {(root / path).parent for path in [*contents.files, *contents.texts]}:
        folder.mkdir(parents=True, exist_ok=True)
    for path, text in contents.texts.items():
        (root / path).write_bytes(text.encode())
    items = list(contents.files.items())
    chunks = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
    done = 0
    for count in _written(root, chunks, workers or len(os.sched_getaffinity(0))):
        done += count
        if progress:
            progress(done, len(items))


def _written(root: Path, chunks: Sequence[Files], workers: int) -> Iterator[int]:
    """Numbers of files written, one per finished chunk."""
    if workers == 1:
        yield from (_write(root, chunk) for chunk in chunks)
        return
    # Spawned, not forked: the parent may hold threads of torch or MLflow.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(chunks)), mp_context=context, initializer=processes.begin_worker)
    try:
        with processes.starting():
            futures = [pool.submit(_write, root, chunk) for chunk in chunks]
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool as cause:
        message = f"a process that rendered into '{root}' was killed (out of memory?); run the command again"
        raise HarnessError(message) from cause
    finally:
        pool.shutdown(cancel_futures=True)


def _write(root: Path, chunk: Files) -> int:
    """Renders and encodes the files of a chunk; their number."""
    import cv2

    from harness.datasets.synthetic.scene import frames_of, image_of
    from harness.video.encode import write_image, write_video

    cv2.setNumThreads(1)
    for name, spec in chunk:
        path = root / name
        if isinstance(spec, ClipSpec):
            write_video(path, frames_of(spec), codec=CODECS[path.suffix])
        else:
            write_image(path, image_of(spec))
    return len(chunk)
