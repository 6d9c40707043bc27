"""Strict reading of the files of a record: any fault, down to the type of each number, is one RecordError with the remedy."""

from __future__ import annotations

import contextlib
import datetime
import json
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import HarnessError, RecordError
from harness.core.serialization import read
from harness.metrics.registered import PRIMARY, MetricValue

if TYPE_CHECKING:
    from harness.metrics.scores import Scores

UNREADABLE: tuple[type[Exception], ...] = (OSError, ValueError, TypeError, LookupError, AttributeError, EOFError)
UNREADABLE += (
    HarnessError,
    MemoryError,
    RuntimeError,
    SyntaxError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What the parsers of JSON, of zip archives, of arrays and of scores raise for a file of another kind."""
MOST_BYTES = 1 << 30
"""Most bytes of the arrays of one record's scores, enough for 300,000 videos of 800 classes. A small file may claim any size."""
MOST_JSON_BYTES = 256 << 20
"""Most bytes of a record.json; the curves of a million steps take 150 MB."""


def remedy(job_id: str, folder: Path) -> str:
    return f"remove {folder} to run job {job_id} again"


@contextlib.contextmanager
def refused(path: Path, fault: str, advice: str) -> Iterator[None]:
    """Raises RecordError, '`path` `fault` (cause); `advice`', for anything that goes wrong in the block."""
    try:
        yield
    except RecordError:
        raise
    except UNREADABLE as error:
        # The message of a parser may be as long as the file.
        raise RecordError(f"{path} {fault} ({type(error).__name__}: {error!s:.200}); {advice}") from error


def check_regular(path: Path) -> None:
    """Raises FileNotFoundError, or OSError for a folder, a pipe (reading it would wait forever) or a loop of links."""
    path.stat()
    if not path.is_file():
        raise OSError("not a regular file")


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises one of UNREADABLE, also for NaN, infinity and text that cannot be printed."""
    check_regular(path)
    if (size := path.stat().st_size) > MOST_JSON_BYTES:
        raise ValueError(f"{size:,} bytes, more than {MOST_JSON_BYTES:,}")
    content = json.loads(path.read_text(encoding="utf-8"))
    json.dumps(content, allow_nan=False, ensure_ascii=False).encode("utf-8")
    return content


@dataclass(frozen=True)
class _Counts:
    """Numbers of videos of a record with scores."""

    n: int
    n_of: int
    correct: int
    undecodable: int
    missing: int


@dataclass(frozen=True)
class _Point:
    """A point of a learning curve."""

    step: int
    name: str
    value: float


def check_fields(fields: Mapping[str, Any]) -> None:
    """Raises ValueError or KeyError for numbers that no job writes, in fields that already have the right outer type."""
    for name in {PRIMARY, *fields["metrics"]} if fields["metrics"] else ():
        read(MetricValue, fields["metrics"].get(name), f"metrics.{name}")
    if fields["metrics"] or fields["counts"]:
        read(_Counts, fields["counts"], "counts")
    for number, point in enumerate(fields["curves"]):
        read(_Point, point, f"curves[{number}]")
    read(float, fields["cost"].get("wall_s"), "cost.wall_s")
    read(str, fields["chosen"].get("rule", ""), "chosen.rule")
    for name in ("held_out", "skipped"):
        read(tuple[str, ...], fields["chosen"].get(name, []), f"chosen.{name}")  # type: ignore[arg-type]
    if fields["finished_at"]:
        datetime.datetime.fromisoformat(fields["finished_at"])
    for name in fields["files"]:
        if name in ("", ".", "..") or Path(name).name != name:
            raise ValueError(f"the field files names '{name}', which is not a file name inside the record's folder")


def read_fields(
    hints: Mapping[str, Any], stored: Mapping[str, Any], *, optional: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """Exactly the fields of `hints`, each as its type hint says; those of `optional` may be absent.

    Raises ValueError with the name of the field.
    """
    if different := sorted((hints.keys() - optional) ^ (stored.keys() - optional)):
        raise ValueError(f"'{different[0]}'")
    return {name: read(hints[name], value, name) for name, value in stored.items()}


def read_scores(path: Path) -> Scores:
    """The scores of a file by `write_scores`. Raises one of UNREADABLE for any other file."""
    import numpy as np

    from harness.metrics.scores import Scores

    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > MOST_BYTES:
        raise ValueError(f"arrays of {size:,} bytes, more than {MOST_BYTES:,}")
    with np.load(path, allow_pickle=False) as stored:
        words = {
            name: tuple(str(word) for word in _words(stored[name]))
            for name in ("ids", "groups", "undecodable", "missing")
        }
        return Scores(logits=stored["logits"], labels=stored["labels"], **words)


def _words(array: Any) -> Any:
    """The array. Raises ValueError unless it is one row of text."""
    if array.ndim != 1 or array.dtype.kind != "U":
        raise ValueError(f"names must be one row of text, got {array.dtype} {array.shape}")
    return array
