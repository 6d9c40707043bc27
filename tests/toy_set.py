"""A data set of four small videos for tests, and a way to kill its preparation at random moments."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from harness.core.contract import Dataset, Listing, Video
from harness.core.errors import DataMissing
from harness.data import prepare
from tests import videos

LENGTHS = (3, 5, 8, 4)


def read(root: Path, split: int) -> Listing:
    try:
        lines = (root / "list.txt").read_text().splitlines()
    except FileNotFoundError:
        raise DataMissing(f"no {root / 'list.txt'}") from None
    found = [Video(path.rsplit(".", 1)[0], path, int(label)) for path, label in map(str.split, lines)]
    there = tuple(video for video in found if (root / video.path).is_file())
    missing = tuple(video.id for video in found if video not in there)
    return Listing(("a", "b"), {"train": there[:2], "test": there[2:]}, missing)


def render(root: Path, progress=None) -> None:
    for number, length in enumerate(LENGTHS):
        videos.write(root / f"class{number % 2}/v{number}.avi", videos.numbered(length), codec="mpeg4")
        if progress:
            progress(number + 1, len(LENGTHS))
    (root / "list.txt").write_text("".join(f"class{n % 2}/v{n}.avi {n % 2}\n" for n in range(len(LENGTHS))))


CARD = Dataset(
    name="toy",
    title="Toy",
    kind="video",
    num_classes=2,
    splits=(1, 2),
    subsets=("test",),
    counts={},
    read=read,
    layout="list.txt\nCLASS/NAME.avi",
    download="From nowhere.",
    licence="none",
    render=render,
)
DOWNLOADED = replace(CARD, render=None)


def everything(toy: prepare.Prepared) -> list[Video]:
    listing = toy.listing(1)
    return [*listing.subsets["train"], *listing.subsets["test"]]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def made_of(path: Path) -> bool:
    """Whether a finished file of a store is made of a video."""
    stored = any(part.startswith(("flow-", "frames-")) for part in path.parts)
    return stored and path.suffix not in (".json", ".half")


def kill_at_random_moments(code: str, place: Path, same: Callable[[Path], None], *, kills: int = 20) -> str:
    """`python -c code FOLDER` killed, with its processes, at moments spread over its run, until `kills` have hit; the same
    folder goes on after each. One that came through is checked by `same(folder)`, as the last is, and a fresh one begun.

    What happened, in words.
    """
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", code, str(place / "timed")], check=True)
    whole_s = time.monotonic() - began
    rng, hit, runs, found = np.random.default_rng(0), 0, 0, []
    while hit < kills:
        folder = place / str(runs)
        began = time.monotonic()
        process = subprocess.Popen([sys.executable, "-c", code, str(folder)], start_new_session=True)
        try:
            assert process.wait(rng.uniform(0.5, 1.0) * whole_s) == 0
            whole_s = max(0.5, time.monotonic() - began)  # the machine has become faster
            same(folder)
            runs += 1
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            hit += 1
            found.append(len([path for path in folder.rglob("*.*") if path.is_file() and made_of(path)]))
    subprocess.run([sys.executable, "-c", code, str(place / str(runs))], check=True)
    same(place / str(runs))
    return f"{hit} kills over {runs + 1} folders, files of the store after each: {found}"
