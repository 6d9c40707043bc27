"""Benchmarks of reading: clips by our reader against others used plainly, the frame store, the loader, `data verify`.

Each clip is 64 frames at a random place of a file like UCF-101's (mpeg4 .avi, 320x240, 25 fps, a key frame every 12) or
like Kinetics' (h264 .mp4, x264's defaults), short side 256, a random square of 224 px, in two processes of one thread.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.ratios import readers, videos
from benchmarks.ratios.case import Case
from benchmarks.ratios.pairing import Both, Machine, Pairing
from harness.core.errors import HarnessError

TARGETS = {"mpeg4": 1.5, "h264": 1.0}
STORE_TARGET = 2.0
QUICKEST = ("OpenCV", "torchcodec")
"""The plain readers that clips of the store are held against, on the originals."""
VERIFIED = 400
GREY_LEVELS = 4
"""The same frames and squares: other conversions to RGB are a grey level or two apart on average."""


def lacking() -> list[str]:
    """What this suite needs and a bare machine may not have."""
    return [name for name in ("av", "cv2") if importlib.util.find_spec(name) is None]


def pairings(machine: Machine) -> Iterator[Pairing]:
    """None where the libraries are missing; `run` says so. Files are rendered when the first pair is asked for."""
    if lacking():
        return
    ours = Case("clips", reader="ours", size=2 if machine.quick else 4)
    for codec, target in TARGETS.items():
        mine = dataclasses.replace(ours, corpus=codec)
        for name in readers.plain_readers():
            theirs = dataclasses.replace(mine, reader=name)
            yield Pairing("data", f"{codec} clips, {name}", f"{name}, plainly", Both(mine), Both(theirs), target)
    for frames, codec in ((frames, codec) for frames in ("store", "raw-store") for codec in TARGETS):
        mine = dataclasses.replace(ours, corpus=f"{frames} of {codec}")
        for name in ("ours", *(name for name in QUICKEST if name in readers.plain_readers())):
            theirs = dataclasses.replace(ours, reader=name, corpus=codec)
            what = f"clips from the {frames.replace('-', ' ')} of {codec}, {name}"
            yield Pairing("data", what, f"{name} on the originals", Both(mine), Both(theirs), STORE_TARGET)
    loading, decoding, verifying, opening = (
        Case(what, corpus="all", size=VERIFIED) for what in ("loading", "decoding", "verifying", "opening")
    )
    yield Pairing("data", "loader of training", "its windows decoded alone", loading, decoding)
    yield Pairing("data", f"data verify, {VERIFIED} files", "PyAV opening each", verifying, opening)


def at_hand(case: Case) -> Case:
    """The case with the files it reads; rendered, and recoded, at the first call."""
    if not case.corpus:
        return case
    folder = videos.data()
    videos.files_of(case.corpus, folder)
    return dataclasses.replace(case, folder=str(folder))


def facts_of(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], ours_s: Sequence[float], theirs_s: Sequence[float]
) -> dict[str, str]:
    """A note on what the ratio does not tell. Raises HarnessError if two readers did not give the same pictures."""
    parts = ours.get("parts", ()), theirs.get("parts", ())
    for mine, other in zip(*parts, strict=True):
        if abs(mine["mean"] - other["mean"]) > GREY_LEVELS:
            raise HarnessError(
                f"two readers gave different pictures: {mine['mean']:.1f} and {other['mean']:.1f} grey levels on average"
            )
    if parts[0]:
        clips = sum(part["clips"] for part in parts[0])
        return {"note": f"{clips / statistics.median(ours_s):.0f} clips/s"}
    if "files" in ours:
        return {"note": f"{ours['files'] / statistics.median(ours_s):.0f} files/s"}
    if "clips" in ours:
        more_s = statistics.median(x - y for x, y in zip(ours_s, theirs_s, strict=True)) / ours["clips"]
        return {"note": f"{1e3 * more_s:.2f} ms a clip more"}
    return {}
