"""Writing an embedded data set: every core renders, nothing is there until all of it is.

The set is written to a folder beside its own and renamed. A render that is killed leaves that folder behind; the next
one sweeps it away.
"""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

from harness.core import processes
from harness.core.errors import HarnessError
from harness.datasets.synthetic import sets
from harness.datasets.synthetic.catalogue import ClipSpec, StillSpec

MARKER = ".micro-world.json"
"""Written into every rendered set: which one it is, and of which version."""
CHUNK = 16
CODECS = {".mp4": "h264", ".avi": "mpeg4"}

Pictures = Sequence[tuple[str, ClipSpec | StillSpec]]


def is_rendered(name: str, root: Path) -> bool:
    """True if the set of the present version lies there, whole."""
    try:
        return json.loads((root / MARKER).read_text()) == _marker(name)
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return False


def render_set(
    name: str, root: Path, progress: Callable[[int, int], None] | None = None, *, workers: int | None = None
) -> None:
    """The set below `root`, the same bytes whatever the number of workers (default: the cores at hand).

    Does nothing if it is there; replaces one of another version. Raises HarnessError if the folder holds something
    else, or cannot be written.
    """
    if is_rendered(name, root):
        return
    if root.exists() and not (root / MARKER).is_file() and any(root.iterdir()):
        raise HarnessError(
            f"'{root}' holds something that is not the embedded data set {name}. Move it away, or choose another --data folder."
        )
    contents = sets.contents(name)
    with _disk_errors(root):
        root.parent.mkdir(parents=True, exist_ok=True)
        _sweep(root)
        draft = root.parent / f".{root.name}.rendering-{os.getpid()}"
        try:
            _folders(draft, [*contents.pictures, *contents.texts])
            for path, text in contents.texts.items():
                (draft / path).write_bytes(text.encode())
            _pictures(draft, contents.pictures, progress, workers or len(os.sched_getaffinity(0)))
            (draft / MARKER).write_text(json.dumps(_marker(name)))
            _publish(draft, root, name)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _marker(name: str) -> dict[str, object]:
    return {"set": name, "version": sets.VERSION}


def _folders(draft: Path, paths: Sequence[str]) -> None:
    for folder in sorted({(draft / path).parent for path in paths}):
        folder.mkdir(parents=True, exist_ok=True)


def _pictures(
    draft: Path,
    pictures: Mapping[str, ClipSpec | StillSpec],
    progress: Callable[[int, int], None] | None,
    workers: int,
) -> None:
    items = list(pictures.items())
    chunks = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
    done = 0
    for count in _each(draft, chunks, workers):
        done += count
        if progress:
            progress(done, len(items))


def _each(draft: Path, chunks: Sequence[Pictures], workers: int) -> Iterator[int]:
    """Numbers of files written, chunk by chunk as they are done."""
    if workers == 1:
        yield from (_write(draft, chunk) for chunk in chunks)
        return
    # Spawned, not forked: the parent may hold threads of torch or MLflow.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(chunks)), mp_context=context, initializer=processes.begin_worker)
    try:
        with processes.starting():
            waiting: set[Future[int]] = {pool.submit(_write, draft, chunk) for chunk in chunks}
        while waiting:
            finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in finished)
    except BrokenProcessPool as cause:
        raise HarnessError(
            f"a process that rendered into '{draft}' was killed, perhaps for want of memory. Run it again."
        ) from cause
    finally:
        pool.shutdown(cancel_futures=True)


def _write(draft: Path, chunk: Pictures) -> int:
    """Renders and encodes the files of a chunk; their number."""
    import cv2

    from harness.datasets.synthetic.scene import frames_of, still_of
    from harness.video.encode import write_still, write_video

    cv2.setNumThreads(1)
    for name, spec in chunk:
        path = draft / name
        if isinstance(spec, ClipSpec):
            write_video(path, frames_of(spec), codec=CODECS[path.suffix])
        else:
            write_still(path, still_of(spec))
    return len(chunk)


def _publish(draft: Path, root: Path, name: str) -> None:
    """The draft in the place of the root. Where somebody else was faster, theirs stays: it is the same."""
    if is_rendered(name, root):
        return
    old = root.parent / f".{root.name}.replaced-{os.getpid()}"
    if root.exists():
        root.rename(old)
    try:
        draft.rename(root)
    except OSError as cause:
        if cause.errno not in (errno.ENOTEMPTY, errno.EEXIST) or not is_rendered(name, root):
            raise
    shutil.rmtree(old, ignore_errors=True)


def _sweep(root: Path) -> None:
    """Removes what killed renders of this set left behind."""
    for folder in root.parent.iterdir():
        if folder.name.startswith((f".{root.name}.rendering-", f".{root.name}.replaced-")):
            number = folder.name.rpartition("-")[2]
            if number.isdigit() and not _alive(int(number)):
                shutil.rmtree(folder, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def _disk_errors(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as cause:
        raise HarnessError(
            f"cannot render into '{root}': {cause.strerror or cause}. Free some disk space, or choose another --data folder."
        ) from cause
