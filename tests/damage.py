"""Ways to damage a finished record: by hand, by a bad copy, or to mislead. Each leaves the folder without a usable record."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from harness.records.record import RECORD, SCORES

Damage = Callable[[Path], object]


def _edited(**changes: Any) -> Damage:
    def edit(folder: Path) -> None:
        path = folder / RECORD
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return edit


def _without(name: str) -> Damage:
    def remove(folder: Path) -> None:
        fields = json.loads((folder / RECORD).read_text())
        del fields[name]
        (folder / RECORD).write_text(json.dumps(fields))

    return remove


def _text(content: str | bytes) -> Damage:
    return lambda folder: (folder / RECORD).write_bytes(content.encode() if isinstance(content, str) else content)


def _replaced(name: str, make: Callable[[Path], object]) -> Damage:
    """Another kind of file under the name."""

    def replace(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return replace


def _with_scores(content: bytes) -> Damage:
    """Other scores, with the hash in record.json that fits them: only their content shows that they are wrong."""

    def replace(folder: Path) -> None:
        (folder / SCORES).write_bytes(content)
        files = json.loads((folder / RECORD).read_text())["files"]
        _edited(files=files | {SCORES: hashlib.sha256(content).hexdigest()})(folder)

    return replace


def _arrays(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def _array_file(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _members(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return stream.getvalue()


def _header(text: str) -> bytes:
    """An array file, version 2, with this header and nothing below it."""
    header = text.encode()
    return b"\x93NUMPY\x02\x00" + len(header).to_bytes(4, "little") + header


def _huge() -> bytes:
    """A small archive whose arrays unpack to 2 GB."""
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("ids.npy", "w") as ids,
    ):
        ids.write(_header("{'descr': '<U1', 'fortran_order': False, 'shape': (500000000,), }\n"))
        for _ in range(2000 // 8):
            ids.write(bytes(8 << 20))
    return stream.getvalue()


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _folder_is(make: Callable[[Path], object]) -> Damage:
    def replace(folder: Path) -> None:
        shutil.rmtree(folder)
        make(folder)

    return replace


WORDS = {name: np.array(["a"]) for name in ("ids", "groups")} | {
    name: np.array([], dtype="U1") for name in ("undecodable", "missing")
}
LABELS = np.array([0])
A_LOGIT = np.array([[0.5, 1.0]], dtype=np.float32)
NESTED = "[" * 100_000

OF_RECORD: dict[str, Damage] = {
    "empty": _text(""),
    "torn": lambda folder: os.truncate(folder / RECORD, 100),
    "a list": _text("[]"),
    "a number": _text("1"),
    "null": _text("null"),
    "not text": _text(b"\xff\xfe\x00\x01" * 9),
    "nested": _text(NESTED),
    "a folder": _replaced(RECORD, Path.mkdir),
    "a link loop": _replaced(RECORD, _loop),
    "a dangling link": _replaced(RECORD, lambda path: path.symlink_to("nowhere")),
    "a pipe": _replaced(RECORD, os.mkfifo),
    "endless": _replaced(RECORD, lambda path: path.symlink_to("/dev/zero")),
    "folder is a link loop": _folder_is(_loop),
    "folder is a dangling link": _folder_is(lambda folder: folder.symlink_to("nowhere")),
    "schema list": _edited(schema=[]),
    "schema newer": _edited(schema=99),
    "schema older": _edited(schema=1),
    "another id": _edited(job_id="0" * 12),
    "surprise": _edited(surprise=1),
    "folder field": _edited(folder="/"),
    "top1 null": _edited(metrics={"top1": None}),
    "top1 empty": _edited(metrics={"top1": {}}),
    "top1 text": _edited(metrics={"top1": {"value": "61.1"}}),
    "top1 bool": _edited(metrics={"top1": {"value": True}}),
    "top1 nan": _edited(metrics={"top1": {"value": float("nan")}}),
    "top1 infinite": _edited(metrics={"top1": {"value": float("inf")}}),
    "top1 missing": _edited(metrics={"top5": {"value": 1.0}}),
    "low is a list": _edited(metrics={"top1": {"value": 1.0, "low": [], "high": 2.0}}),
    "low without high": _edited(metrics={"top1": {"value": 1.0, "low": 0.5}}),
    "counts empty": _edited(counts={}),
    "counts text": _edited(counts={"n": "1", "n_of": 1, "correct": 1, "undecodable": 0, "missing": 0}),
    "counts of others": _edited(counts={"n": 9, "n_of": 9, "correct": 9, "undecodable": 0, "missing": 0}),
    "cost empty": _edited(cost={}),
    "cost null": _edited(cost={"wall_s": None}),
    "curve of numbers": _edited(curves=[1, 2]),
    "curve of text": _edited(curves=[{"step": "1", "name": "train/loss", "value": 1.0}]),
    "curve without a value": _edited(curves=[{"step": 1, "name": "train/loss"}]),
    "rule is a list": _edited(chosen={"rule": []}),
    "held out is a number": _edited(chosen={"held_out": 3}),
    "no time": _edited(finished_at="yesterday"),
    "time is a number": _edited(finished_at=1),
    "title cannot be printed": _edited(title="\ud800"),
    "files outside": _edited(files={"../../secret": "0"}),
    "files is absolute": _edited(files={"/etc/passwd": "0"}),
    "cell is text": _edited(cell="i3d"),
    "spec is text": _edited(spec="i3d"),
    "spec is empty": _edited(spec={}),
    "spec of an unknown kind": _edited(spec={"kind": []}),
    "classes of another number": _edited(classes=["x"]),
    **{
        f"{name} {type(value).__name__}": _edited(**{name: value})
        for name in ("metrics", "counts", "cost", "curves", "classes", "chosen", "files", "upstream", "environment")
        for value in (None, "text", 1, True, [None], {"x": []})
        if (name, type(value)) not in (("environment", dict), ("chosen", dict))
    },
    **{
        f"without {name}": _without(name)
        for name in ("schema", "job_id", "spec", "title", "cell", "metrics", "cost", "curves", "upstream")
    },
}  # fmt: skip
"""Damage to record.json, for a job with scores."""

OF_SCORES: dict[str, Damage] = {
    "scores removed": lambda folder: (folder / SCORES).unlink(),
    "scores torn": lambda folder: os.truncate(folder / SCORES, 100),
    "scores are a folder": _replaced(SCORES, Path.mkdir),
    "scores are a link loop": _replaced(SCORES, _loop),
    "scores are a pipe": _replaced(SCORES, os.mkfifo),
    "scores are endless": _replaced(SCORES, lambda path: path.symlink_to("/dev/zero")),
    "scores are empty": _with_scores(b""),
    "scores are text": _with_scores(b"hello"),
    "scores are one array": _with_scores(_array_file(A_LOGIT)),
    "scores are of another number": _with_scores(_arrays(**WORDS, logits=A_LOGIT, labels=LABELS)),
    "scores lack labels": _with_scores(_arrays(**WORDS, logits=A_LOGIT)),
    "scores are integers": _with_scores(_arrays(**WORDS, logits=A_LOGIT.astype(np.int32), labels=LABELS)),
    "scores are not finite": _with_scores(_arrays(**WORDS, logits=A_LOGIT * np.float32(np.nan), labels=LABELS)),
    "scores of no video": _with_scores(_arrays(**WORDS, logits=A_LOGIT[:0], labels=LABELS[:0])),
    "scores with numbers as names": _with_scores(_arrays(**WORDS | {"ids": LABELS}, logits=A_LOGIT, labels=LABELS)),
    "scores with one name": _with_scores(_arrays(**WORDS | {"ids": np.array("a")}, logits=A_LOGIT, labels=LABELS)),
    "scores with objects": _with_scores(_arrays(**WORDS, logits=np.array([[None]], dtype=object), labels=LABELS)),
    "scores with a huge shape": _with_scores(
        _members(ids=_header("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 99999), }\n"))
    ),
    "scores with a long header": _with_scores(_members(ids=_header("{" + " " * 5_000_000 + "}\n"))),
    "scores with a nested header": _with_scores(_members(ids=_header("(" * 9000 + "\n"))),
    "scores with a header of code": _with_scores(_members(ids=_header("__import__('os').getcwd()\n"))),
    "scores that unpack to gigabytes": _with_scores(_huge()),
}
"""Damage to scores.npz."""

DAMAGES = OF_RECORD | OF_SCORES
