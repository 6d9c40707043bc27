"""Scores of videos as files of other programs: CSV with one row per video and one column per class, or NPZ.

=========  =========================================================================================================
``.csv``   header: anything, then the classes by name or index; rows: id of a video, then its scores. A row without
           scores is a video without an answer, which counts as wrong.
``.npz``   ``ids`` (N,) str, ``scores`` (N, C) float, and, if wanted, ``classes`` (C,) str and ``undecodable`` (M,) str
=========  =========================================================================================================
"""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import HarnessError
from harness.metrics.scores import Scores

SUFFIXES = (".csv", ".npz")


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """The content of a file, before it is compared with a data set."""

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    """Names or indices, in the order of the columns."""
    values: NDArray[np.float32]
    """(N, C), finite; zeros in rows without an answer."""
    unanswered: frozenset[str] = frozenset()
    """Ids of the rows without an answer."""


def table_of(scores: Scores, classes: tuple[str, ...]) -> ScoreTable:
    return ScoreTable(scores.ids, classes, scores.logits, frozenset(scores.undecodable))


def check_suffix(path: Path) -> None:
    """Raise HarnessError for a file of another format."""
    if path.suffix not in SUFFIXES:
        raise HarnessError(f"{path}: scores are files ending in {' or '.join(SUFFIXES)}")


def read_table(path: Path) -> ScoreTable:
    """The scores of a file. Raises HarnessError with the line, or the video, of whatever is wrong."""
    check_suffix(path)
    try:
        return _read_csv(path) if path.suffix == ".csv" else _read_npz(path)
    except FileNotFoundError as error:
        raise HarnessError(f"no file of scores at {path}") from error


def _read_csv(path: Path) -> ScoreTable:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            header, *rows = [row for row in csv.reader(stream) if row]
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise HarnessError(f"{path} is not a CSV file in UTF-8 with a header and rows below it ({error})") from error
    classes = tuple(name.strip() for name in header[1:])
    values = np.zeros((len(rows), len(classes)), np.float32)
    unanswered = set()
    for number, row in enumerate(rows):
        place = f"{path}, video '{row[0]}'"
        if not any(cell.strip() for cell in row[1:]):
            unanswered.add(row[0])
            continue
        if len(row) != len(header):
            raise HarnessError(f"{place}: {len(row) - 1} scores for {len(classes)} classes")
        values[number] = _numbers(row[1:], classes, place)
    return _checked(ScoreTable(tuple(row[0] for row in rows), classes, values, frozenset(unanswered)), path)


def _numbers(cells: Sequence[str], classes: Sequence[str], place: str) -> NDArray[np.float32]:
    try:
        return np.array(cells, dtype=np.float32)
    except ValueError:
        for name, cell in zip(classes, cells, strict=True):
            try:
                float(cell)
            except ValueError as error:
                raise HarnessError(
                    f"{place}: '{cell}' in the column '{name}' is not a number; leave out all scores of a video "
                    "without an answer, which then counts as wrong"
                ) from error
        raise


def _read_npz(path: Path) -> ScoreTable:
    try:
        with np.load(path, allow_pickle=False) as stored:
            ids = tuple(str(name) for name in stored["ids"])
            values = np.asarray(stored["scores"], dtype=np.float32)
            classes = tuple(str(name) for name in stored["classes"]) if "classes" in stored else ()
            unanswered = (
                frozenset(str(name) for name in stored["undecodable"]) if "undecodable" in stored else frozenset()
            )
    except (KeyError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise HarnessError(f"{path} is not an NPZ file with the arrays 'ids' and 'scores' ({error})") from error
    if values.ndim != 2 or len(values) != len(ids):
        raise HarnessError(
            f"{path}: scores have the shape {values.shape} for {len(ids)} ids; expected (videos, classes)"
        )
    return _checked(ScoreTable(ids, classes or tuple(map(str, range(values.shape[1]))), values, unanswered), path)


def _checked(table: ScoreTable, path: Path) -> ScoreTable:
    """The table. Raises HarnessError for videos or classes that occur twice, and for a score that is not finite."""
    for kind, names in (("video", table.ids), ("class", table.classes)):
        if twice := sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []:
            raise HarnessError(f"{path} has the {kind} '{twice[0]}' more than once; keep one of them")
    if table.values.shape[1] != len(table.classes):
        raise HarnessError(f"{path}: {table.values.shape[1]} scores per video for {len(table.classes)} classes")
    bad = np.flatnonzero(~np.isfinite(table.values).all(axis=1))
    if len(bad):
        raise HarnessError(
            f"{path}: scores of {len(bad)} videos are NaN or infinite, the first of '{table.ids[int(bad[0])]}'; leave out "
            "all scores of a video without an answer, which then counts as wrong"
        )
    return table


def write_csv(table: ScoreTable, stream: TextIO) -> None:
    """The table as CSV; reading it gives the same float32 numbers."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["video", *table.classes])
    for video, row in zip(table.ids, table.values, strict=True):
        answers = [""] * len(row) if video in table.unanswered else [str(value) for value in row]
        writer.writerow([video, *answers])


def write_npz(table: ScoreTable, path: Path) -> None:
    """The table as NPZ, without pickles."""
    np.savez_compressed(
        path,
        ids=np.array(table.ids, dtype=np.str_),
        scores=table.values,
        classes=np.array(table.classes, dtype=np.str_),
        undecodable=np.array(sorted(table.unanswered), dtype=np.str_),
    )


def looks_like_probabilities(table: ScoreTable) -> bool:
    """True if no score is negative and every row sums to 1."""
    answered = [video not in table.unanswered for video in table.ids]
    values = table.values[answered]
    return bool(len(values) and (values >= 0).all() and np.allclose(values.sum(axis=1), 1, atol=1e-3))


def log_of(table: ScoreTable, path: Path) -> ScoreTable:
    """Probabilities as logits: their logarithms. Raises HarnessError for negative ones."""
    if (table.values < 0).any():
        raise HarnessError(f"{path} has negative scores, which cannot be probabilities; leave out --probabilities")
    tiny = np.finfo(np.float32).tiny
    return replace(table, values=np.log(np.maximum(table.values, tiny)).astype(np.float32))
