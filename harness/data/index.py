"""Facts about every file of a data set without decoding it: one row per video, stored as a parquet file.

Building it reads one header per video, so rows are reused while a file keeps its size and time, and a journal next to it
has the rows of a killed build.
"""

from __future__ import annotations

import bisect
import functools
import json
import multiprocessing
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from harness.core import processes
from harness.core.atomic import atomic_write
from harness.core.contract import Dataset, Video
from harness.core.errors import BrokenVideo, DataMissing
from harness.data.columns import Column, Columns, Strings, packed
from harness.video import decode

Progress = Callable[[int, int], None]
"""(done, total) -> None."""

PARQUET = "index.parquet"
JOURNAL = "index.partial.jsonl"
CHUNK = 256
"""Videos between two reports of progress; the journal is flushed as often."""
PROCESSES_FROM = 2000
"""Fewest files for which processes pay. Measured: 215 headers per second in one thread of one core, 300 in four threads,
which share Python's lock, 390 in two processes, which take 2 s to start."""


@dataclass(frozen=True)
class IndexRow:
    """One file of a data set."""

    id: str
    path: str
    """Relative to the data set's root, with '/'."""
    bytes: int
    mtime_ns: int
    frames: int
    """In the file, before resampling; 1 for an image, 0 where the header cannot be read."""
    fps: float
    """0 for an image."""
    width: int
    """Px as stored, before rotation."""
    height: int
    duration_s: float
    codec: str
    error: str
    """Why the header cannot be read; '' if it can."""


class Index(Mapping[str, IndexRow]):
    """id -> row, packed: 260,000 rows take 30 MB instead of 280, and are read in a third of a second."""

    def __init__(self, columns: Mapping[str, Column]) -> None:
        """`columns`: field of IndexRow -> its values, in the order of ids."""
        self._ids = packed(columns["id"])
        self._rows = Columns(IndexRow, {**columns, "id": self._ids})

    def __getitem__(self, video_id: str) -> IndexRow:
        number = bisect.bisect_left(self._ids, video_id)
        if number == len(self._ids) or self._ids[number] != video_id:
            raise KeyError(video_id)
        return self._rows[number]

    def __iter__(self) -> Iterator[str]:
        return (self._ids[number] for number in range(len(self._ids)))

    def __len__(self) -> int:
        return len(self._ids)

    def sizes(self) -> dict[str, int]:
        """id -> bytes of every file."""
        return dict(zip(self, self._rows.column("bytes").tolist(), strict=True))


def build(
    videos: Mapping[str, Video], dataset: Dataset, root: Path, store: Path, *, progress: Progress | None
) -> dict[str, IndexRow]:
    """id -> row for every video, probing only files that are new or changed. Writes the parquet file in `store`."""
    stored, journaled = load(store), _journal(store / JOURNAL)
    rows: dict[str, IndexRow] = {}
    todo: list[tuple[Video, os.stat_result]] = []
    for video in videos.values():
        stat = _stat(root, video)
        row = journaled.get(video.id) or stored.get(video.id)
        if row and (row.path, row.bytes, row.mtime_ns) == (video.path, stat.st_size, stat.st_mtime_ns):
            rows[video.id] = row
        else:
            todo.append((video, stat))
    with (store / JOURNAL).open("a", encoding="ascii") as journal:
        for row in _probe_all(todo, dataset, root, done=len(rows), progress=progress):
            rows[row.id] = row
            journal.write(json.dumps(asdict(row)) + "\n")
    ordered = {video_id: rows[video_id] for video_id in sorted(rows)}
    _write(store / PARQUET, ordered.values())
    (store / JOURNAL).unlink(missing_ok=True)
    return ordered


def load(store: Path) -> Index:
    """id -> row, as `build` stored it; empty where nothing is stored, or an earlier version stored other columns."""
    names = [field.name for field in fields(IndexRow)]
    columns: Mapping[str, Column] = {name: [] for name in names}
    if (store / PARQUET).is_file():
        import pyarrow.parquet as pq

        # `pq.read_table` and arrays from `to_numpy` import pandas: a second and 50 MB in every process.
        with pq.ParquetFile(store / PARQUET) as file:
            if set(file.schema_arrow.names) == set(names):
                table = file.read()
                columns = {name: _from_arrow(table.column(name).combine_chunks()) for name in names}
    return Index(columns)


def _stat(root: Path, video: Video) -> os.stat_result:
    parts = video.path.split("/")
    if video.path.startswith("/") or ".." in parts:
        raise DataMissing(
            f"the lists under {root} name '{video.path}', which is outside the data set's folder; correct the list"
        )
    try:
        return (root / video.path).stat()
    except OSError as error:
        raise DataMissing(
            f"{root / video.path} was there when the data set was indexed and cannot be read now ({error.strerror}); restore "
            "it, or run the command again to re-index"
        ) from error


def _probe_all(
    todo: list[tuple[Video, os.stat_result]], dataset: Dataset, root: Path, *, done: int, progress: Progress | None
) -> Iterable[IndexRow]:
    probe = functools.partial(_probe_image if dataset.kind == "images" else _probe_video, root)
    total = done + len(todo)
    with _pool(len(todo)) as pool:
        for start in range(0, len(todo), CHUNK):
            with processes.starting():
                rows = pool.map(probe, *zip(*todo[start : start + CHUNK], strict=True), chunksize=CHUNK // 16)
            yield from rows
            if progress:
                progress(min(total, done + start + CHUNK), total)


def _pool(files: int) -> Executor:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if cores > 1 and files >= PROCESSES_FROM:
        spawn = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(max_workers=min(cores, 16), mp_context=spawn, initializer=processes.begin_worker)
    return ThreadPoolExecutor(max_workers=2 * cores)


def _probe_video(root: Path, video: Video, stat: os.stat_result) -> IndexRow:
    try:
        info = decode.probe(root / video.path)
    except BrokenVideo as broken:
        return _row(video, stat, error=str(broken))
    facts = asdict(info)
    return _row(video, stat, frames=facts.pop("num_frames"), **facts)


def _probe_image(root: Path, video: Video, stat: os.stat_result) -> IndexRow:
    import cv2

    # OpenCV has no header reader; decoding costs a fraction of a millisecond, and finds broken images.
    picture = cv2.imread(str(root / video.path))
    if picture is None:
        return _row(video, stat, error=f"{root / video.path}: not a picture that can be decoded ({stat.st_size} bytes)")
    codec = PurePosixPath(video.path).suffix.lstrip(".").lower()
    return _row(video, stat, frames=1, height=picture.shape[0], width=picture.shape[1], codec=codec)


def _row(video: Video, stat: os.stat_result, **facts: Any) -> IndexRow:
    empty = {"frames": 0, "fps": 0.0, "width": 0, "height": 0, "duration_s": 0.0, "codec": "", "error": ""}
    return IndexRow(id=video.id, path=video.path, bytes=stat.st_size, mtime_ns=stat.st_mtime_ns, **{**empty, **facts})


def _journal(path: Path) -> dict[str, IndexRow]:
    """The rows of a build that was killed; the last line may be torn."""
    if not path.is_file():
        return {}
    rows: dict[str, IndexRow] = {}
    for line in path.read_text(encoding="ascii", errors="replace").splitlines():
        try:
            row = IndexRow(**json.loads(line))
        except (ValueError, TypeError):
            continue
        rows[row.id] = row
    return rows


def _write(path: Path, rows: Collection[IndexRow]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {f.name: _to_arrow(str(f.type), [getattr(row, f.name) for row in rows]) for f in fields(IndexRow)}
    with atomic_write(path) as temporary:
        pq.write_table(pa.Table.from_arrays([*columns.values()], names=[*columns]), temporary)


def _to_arrow(kind: str, values: Sequence[Any]) -> Any:
    """Values of a field as an array of Arrow, from memory: `pa.array` of a list imports pandas."""
    import pyarrow as pa

    if kind == "str":
        strings = Strings.of(values)
        return pa.Array.from_buffers(
            pa.string(), len(values), [None, *map(pa.py_buffer, (strings.ends, strings.letters))]
        )
    numbers = np.asarray(values, {"int": np.int64, "float": np.float64}[kind])
    return pa.Array.from_buffers(pa.from_numpy_dtype(numbers.dtype), len(values), [None, pa.py_buffer(numbers)])


def _from_arrow(array: Any) -> Column:
    _, *buffers = array.buffers()
    if str(array.type) == "string":
        ends, letters = buffers
        return Strings(np.frombuffer(ends, np.int32), letters.to_pybytes() if letters else b"")
    return np.frombuffer(buffers[0], str(array.type).replace("double", "float64"))
