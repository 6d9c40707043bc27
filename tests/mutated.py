"""Damaged video files, the same ones for the same seed, put through every way of reading.

`python -m tests.mutated FOLDER COUNT FILE...` damages the files in turn and prints one JSON line for each: what was
done, how it ended, the seconds it took and the memory of the process. HARNESS_DECODER names the decoder. Run as a process of its own, so that a crash in a
decoder is a failed test and not the end of the test run.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from harness.core.errors import BrokenVideo
from harness.video import decode
from harness.video.decoder import preferred

HEADER = 512
"""Bytes at the start (and end, where mp4 and avi keep their indexes) that hold most of the structure."""


def flip_bits(content: bytearray, rng: np.random.Generator) -> None:
    """Up to 200 bits anywhere."""
    for _ in range(int(rng.integers(1, 200))):
        content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))


def truncate(content: bytearray, rng: np.random.Generator) -> None:
    del content[int(rng.integers(len(content))) :]


def damage_header(content: bytearray, rng: np.random.Generator) -> None:
    """A few bytes of the first or the last half kilobyte become anything."""
    start = 0 if rng.integers(2) else max(0, len(content) - HEADER)
    for _ in range(int(rng.integers(1, 24))):
        content[min(len(content) - 1, start + int(rng.integers(HEADER)))] = int(rng.integers(256))


def extreme_numbers(content: bytearray, rng: np.random.Generator) -> None:
    """Four-byte fields become huge: sizes, durations, picture sizes, offsets."""
    for _ in range(int(rng.integers(1, 6))):
        at = int(rng.integers(max(1, min(len(content) - 4, 4 * HEADER))))
        content[at : at + 4] = rng.choice(
            [b"\xff\xff\xff\x7f", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\x00\x00\x00\x00"]
        )


def cut_out(content: bytearray, rng: np.random.Generator) -> None:
    """A stretch is missing in the middle."""
    start = int(rng.integers(len(content)))
    del content[start : start + int(rng.integers(1, 4096))]


def zero(content: bytearray, rng: np.random.Generator) -> None:
    """A stretch reads as zeros, as after a bad copy."""
    start, length = int(rng.integers(len(content))), int(rng.integers(1, 8192))
    content[start : start + length] = bytes(len(content[start : start + length]))


DAMAGES: tuple[Callable[[bytearray, np.random.Generator], None], ...] = (
    flip_bits,
    truncate,
    damage_header,
    extreme_numbers,
    cut_out,
    zero,
)


def read_everything(path: Path) -> str:
    """'N frames', or the cause; any other exception is a defect."""
    try:
        info = decode.probe(path)
        decoder = preferred()
        whole = decode.read_video(path, short_side_px=32, decoder=decoder)
        for first in (0, min(len(whole), info.num_frames) // 2, len(whole) - 1):
            window = decode.read_window(path, [first, first + 1], short_side_px=32, decoder=decoder)
            assert window.shape[1:] == whole.shape[1:]
    except BrokenVideo as broken:
        return str(broken).removeprefix(f"{path}: ") if str(path) in str(broken) else f"unnamed file: {broken}"
    return f"{len(whole)} frames"


def main(folder: Path, count: int, files: list[Path]) -> None:
    for number in range(count):
        source = files[number % len(files)]
        rng = np.random.default_rng([2017, number])
        damage = DAMAGES[int(rng.integers(len(DAMAGES)))]
        content = bytearray(source.read_bytes())
        damage(content, rng)
        path = folder / f"mutated{source.suffix}"
        path.write_bytes(content)
        began = time.monotonic()
        outcome = read_everything(path)
        line = {
            "number": number,
            "file": source.name,
            "damage": damage.__name__,
            "outcome": outcome,
            "seconds": round(time.monotonic() - began, 3),
            "memory": _memory_bytes(),
        }
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def _memory_bytes() -> int:
    import psutil

    return int(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), [Path(name) for name in sys.argv[3:]])
