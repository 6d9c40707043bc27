"""Whether a video file is as long as its header announces, from a few bytes of it: finds incomplete downloads quickly.

Reading a header gives size and number of frames, but both may be at the beginning of a file whose end is missing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

RIFF_PADDING = 1
"""Chunks are padded to even lengths, and some writers forget the last byte."""
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def bytes_short(path: Path) -> int:
    """Bytes missing at the end of an AVI, MP4/MOV or Matroska/WebM file, by its header; 0 for a complete file, another kind of
    file, and one that was written as a stream, without lengths. Raises OSError."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(12)
        if start[:4] == b"RIFF":
            return _riff(file, size)
        if start[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip"):
            return _boxes(file, size)
        if start[:4] == _EBML:
            return _segment(file, size)
    return 0


def _riff(file: BinaryIO, size: int) -> int:
    """Consecutive RIFF chunks: AVI files beyond 1 GiB have several."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(8)
        length = int.from_bytes(head[4:], "little")
        if head[:4] != b"RIFF" or length in (0, 2**32 - 1):
            return 0
        at += 8 + length + length % 2
    return at - size if at > size + RIFF_PADDING else 0


def _boxes(file: BinaryIO, size: int) -> int:
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:], "big")
        if length < 8:  # 0: to the end of the file; other values are not lengths
            return 0
        at += length
    return max(0, at - size)


def _segment(file: BinaryIO, size: int) -> int:
    """Matroska: a header element, then one segment with everything."""
    file.seek(4)
    length = _vint(file)
    if length is None:
        return 0
    file.seek(length, os.SEEK_CUR)
    if file.read(4) != _SEGMENT:
        return 0
    length = _vint(file)
    return 0 if length is None else max(0, file.tell() + length - size)


def _vint(file: BinaryIO) -> int | None:
    """A length in EBML's encoding; None for 'unknown'."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    octets = 9 - first[0].bit_length()
    mask = (1 << (7 * octets)) - 1
    value = int.from_bytes(first + file.read(octets - 1), "big") & mask
    return None if value == mask else value
