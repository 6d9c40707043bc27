"""TensorFlow's checkpoints, read without TensorFlow: the two files `PREFIX.index` and `PREFIX.data-00000-of-00001`.

The index is a LevelDB table (github.com/google/leveldb, doc/table_format.md) of name -> BundleEntryProto (tensorflow,
core/protobuf/tensor_bundle.proto); the data file holds the tensors' bytes at the offsets that it names.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.core.errors import HarnessError
from harness.models.name_maps import DATA, INDEX

MAGIC = 0xDB4775248B80FB57
FOOTER = 48
TYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}
"""Number in TensorFlow's DataType -> type of the numbers in the file."""


@dataclass(frozen=True)
class Entry:
    """Location of one variable."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int


def read_index(path: Path) -> dict[str, Entry]:
    """Variable -> entry. Raises HarnessError for a file that is not an index, is truncated, or is compressed."""
    content = path.read_bytes()
    try:
        return {key.decode(): _entry(value) for key, value in _records(content) if key}
    except (IndexError, struct.error, UnicodeDecodeError, ValueError) as error:
        message = f"{path} is not a TensorFlow checkpoint index, or it is damaged ({error}); download it again"
        raise HarnessError(message) from error


def read_checkpoint(prefix: Path) -> dict[str, np.ndarray]:
    """Variable -> array of the checkpoint with this prefix. Raises HarnessError as `read_index` does."""
    index, data = (Path(f"{prefix}{suffix}") for suffix in (INDEX, DATA))
    for file in (index, data):
        if not file.is_file():
            raise HarnessError(f"{file} is missing: a TensorFlow checkpoint is an {INDEX} file next to its data file")
    content = np.memmap(data, mode="r", dtype=np.uint8)
    return {name: _array(name, entry, content, data) for name, entry in read_index(index).items()}


def _array(name: str, entry: Entry, content: np.ndarray, data: Path) -> np.ndarray:
    if entry.dtype not in TYPES or entry.shard != 0:
        message = f"{data}: variable '{name}' has type {entry.dtype} in shard {entry.shard}, which is not supported"
        raise HarnessError(message)
    raw = content[entry.offset : entry.offset + entry.size].tobytes()
    expected = int(np.prod(entry.shape, dtype=np.int64)) * np.dtype(TYPES[entry.dtype]).itemsize
    if len(raw) != entry.size or entry.size != expected:
        raise HarnessError(f"{data} is truncated or does not belong to its index: variable '{name}'; download it again")
    return np.frombuffer(raw, TYPES[entry.dtype]).reshape(entry.shape)


def _records(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    if len(content) < FOOTER or struct.unpack("<Q", content[-8:])[0] != MAGIC:
        raise ValueError("no table magic at its end")
    _, at = _handle(content, len(content) - FOOTER)
    (start, size), _ = _handle(content, at)
    for _, block in _block(content, start, size):
        (start, size), _ = _handle(block, 0)
        yield from _block(content, start, size)


def _handle(content: bytes, at: int) -> tuple[tuple[int, int], int]:
    offset, at = _varint(content, at)
    size, at = _varint(content, at)
    return (offset, size), at


def _block(content: bytes, start: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    if content[start + size] != 0:
        raise ValueError("compressed tables are not read")
    block = content[start : start + size]
    (restarts,) = struct.unpack("<I", block[-4:])
    at, end, key = 0, len(block) - 4 - 4 * restarts, b""
    while at < end:
        shared, at = _varint(block, at)
        fresh, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + fresh]
        yield key, block[at + fresh : at + fresh + length]
        at += fresh + length


def _entry(message: bytes) -> Entry:
    fields: dict[int, Any] = dict(_fields(message))
    dims: Iterator[dict[int, Any]] = (dict(_fields(dim)) for number, dim in _fields(fields.get(2, b"")) if number == 2)
    shape = tuple(int(dim.get(1, 0)) for dim in dims)
    return Entry(fields.get(1, 0), shape, fields.get(3, 0), fields.get(4, 0), fields.get(5, 0))


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """(field number, value) in order: varints as int, length-delimited as bytes, fixed ones as bytes."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield tag >> 3, value
            continue
        if kind == 2:
            length, at = _varint(message, at)
        else:
            length = {1: 8, 5: 4}[kind] if kind in (1, 5) else -1
        if length < 0 or at + length > len(message):
            raise ValueError("a field runs past its message")
        yield tag >> 3, message[at : at + length]
        at += length


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
