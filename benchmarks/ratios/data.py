"""Reading: clips by our reader against plain readers, the frame stores, the loader, `data verify`.

Each clip is 64 frames at a random place of a file like UCF-101's (mpeg4 .avi, 320x240, 25 fps, a key frame every 12) or
like Kinetics' (h264 .mp4, x264's defaults), short side 256, a random square of 224 px, in two processes of one thread.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ratios import readers, videos
from benchmarks.ratios.case import Builders, Case, Machine, Pair, Parallel, Ready
from benchmarks.ratios.readers import FRAMES, READERS, SIDE_PX
from benchmarks.ratios.videos import CARD
from harness.core.contract import Clip
from harness.core.errors import HarnessError

TARGETS = {"mpeg4": 1.5, "h264": 1.0}
STORE_TARGET = 2.0
FASTEST = ("OpenCV", "torchcodec")
"""The plain readers of originals that reading from a store is compared with."""
VERIFIED = 400
GREY_LEVELS = 4
"""Allowed difference of the mean of the same frames and squares: other conversions to RGB are one or two grey levels apart."""


# ---------------------------------------------------------------------------------------------------- pairs

STORES = {"store": "frame store", "raw-store": "raw store"}
"""Corpus -> its name in reports."""


def missing_libraries() -> list[str]:
    """Libraries that this suite needs and that are not installed."""
    return [name for name in ("av", "cv2") if importlib.util.find_spec(name) is None]


def pairs(machine: Machine) -> Iterator[Pair]:
    """None if libraries are missing."""
    if missing_libraries():
        return
    clips = Case("clips", reader="ours", size=2 if machine.quick else 4)
    for codec, target in TARGETS.items():
        ours = dataclasses.replace(clips, corpus=codec)
        for reader in readers.plain_readers():
            other = Parallel(dataclasses.replace(ours, reader=reader))
            yield Pair(
                "data", f"our reader, {codec} (vs {reader})", f"{reader}, used directly", Parallel(ours), other, target
            )
    for store in STORES:
        for codec in TARGETS:
            ours = dataclasses.replace(clips, corpus=f"{store} of {codec}")
            for reader in ("ours", *(name for name in FASTEST if name in readers.plain_readers())):
                other = Parallel(dataclasses.replace(clips, reader=reader, corpus=codec))
                reference = reader.replace("ours", "our reader")
                name = f"{STORES[store]} of {codec} (vs {reference})"
                yield Pair("data", name, f"{reference}, on the originals", Parallel(ours), other, STORE_TARGET)
    loading, decoding, verifying, opening = (
        Case(builder, corpus="all", size=VERIFIED) for builder in ("loading", "decoding", "verifying", "opening")
    )
    yield Pair("data", "training data loader", "decoding the same clips without the loader", loading, decoding)
    yield Pair("data", f"data verify, {VERIFIED} files", "opening each file with PyAV", verifying, opening)


def with_files(case: Case) -> Case:
    """The case with the folder of its files; they are rendered, and stored, at the first call."""
    if not case.corpus:
        return case
    folder = videos.data()
    videos.files_of(case.corpus, folder)
    return dataclasses.replace(case, folder=str(folder))


def facts_of(
    ours: Mapping[str, Any], other: Mapping[str, Any], ours_s: Sequence[float], other_s: Sequence[float]
) -> dict[str, str]:
    """A note with the rate or the extra time. Raises HarnessError if two readers gave different pictures."""
    parts = ours.get("parts", ())
    for a, b in zip(parts, other.get("parts", ()), strict=True):
        if abs(a["mean"] - b["mean"]) > GREY_LEVELS:
            raise HarnessError(
                f"two readers gave different pictures: {a['mean']:.1f} and {b['mean']:.1f} grey levels on average"
            )
    if parts:
        return {"note": f"{sum(part['clips'] for part in parts) / statistics.median(ours_s):.0f} clips/s"}
    if "files" in ours:
        return {"note": f"{ours['files'] / statistics.median(ours_s):.0f} files/s"}
    extra_s = statistics.median(x - y for x, y in zip(ours_s, other_s, strict=True)) / ours["clips"]
    return {"note": f"{1e3 * extra_s:.2f} ms more per clip"}


# ---------------------------------------------------------------------------------------------------- builders


def clips(case: Case) -> Ready:
    """`size` clips by one reader; the facts hold the mean of the first round, to compare the pictures."""
    import cv2

    _compile_now(case)
    cv2.setNumThreads(case.threads)
    read, files = READERS[case.reader], videos.files_of(case.corpus, Path(case.folder))
    rounds = 0

    def step() -> float:
        nonlocal rounds
        total = 0.0
        for number in range(case.size):
            rng = np.random.default_rng([rounds, case.part, number])
            clip = read(files[(case.part + number) % len(files)], rng)
            if clip.shape != (FRAMES, SIDE_PX, SIDE_PX, 3):
                raise HarnessError(f"{case.reader} gave a clip of {clip.shape}")
            total += float(clip[:, ::16, ::16].mean())
        rounds += 1
        return total / case.size

    return Ready(step, {"clips": case.size, "mean": step()})


def loading(case: Case) -> Ready:
    """One clip of each file through the training data loader, in this process."""
    load = _loader(case)
    return Ready(load, {"clips": len(_windows_read_by(load))})


def decoding(case: Case) -> Ready:
    """The same frames and squares of the same files, by the reader alone."""
    from harness.video import decode

    windows = _windows_read_by(_loader(case))

    def step() -> None:
        for path, indices, square, options in windows:
            decode.read_window(path, indices, crop=lambda *_, square=square: square, **options)

    return Ready(step, {"clips": len(windows)})


def _loader(case: Case) -> Callable[[], None]:
    """A function that makes one clip of each file."""
    from harness.data import prepare
    from harness.data.loader import VideoReader, train_batches

    _compile_now(case)
    prepared = prepare.open_prepared(CARD, Path(case.folder))
    train = list(prepared.listing(1).subsets["train"])
    reader = VideoReader(prepared, streams=("rgb",), scale=videos.scale_of("originals"), cache_bytes=0)
    clip = Clip(window=FRAMES, side_px=SIDE_PX)

    def load() -> None:
        for _ in train_batches(reader, train, clip=clip, batch=1, seed=0, steps=len(train)):
            pass

    return load


def _windows_read_by(load: Callable[[], None]) -> list[tuple[Any, ...]]:
    """(path, indices, square, other arguments) of each call of `decode.read_window`."""
    from harness.video import decode

    windows: list[tuple[Any, ...]] = []
    read_window = decode.read_window

    def recording(path: Path, indices: np.ndarray, *, crop: Any, **options: Any) -> np.ndarray:
        squares: list[tuple[int, int, int]] = []

        def recording_crop(height: int, width: int) -> tuple[int, int, int]:
            squares.append(crop(height, width))
            return squares[0]

        frames = read_window(path, indices, crop=recording_crop, **options)
        windows.append((path, indices, squares[0], options))
        return frames

    decode.read_window = recording  # type: ignore[assignment]
    try:
        load()
    finally:
        decode.read_window = read_window
    return windows


def _compile_now(case: Case) -> None:
    """Other processes compile after 4,000 frames."""
    from harness.video import convert_numba, numba_cache

    numba_cache.keep_compiled(Path(case.folder) / "numba")
    convert_numba.compile_at_once()


def verifying(case: Case) -> Ready:
    """`harness data verify` of `size` links to the files, without an index."""
    from harness.data import verify

    def step() -> None:
        with _linked(case) as folder:
            readable = verify.verify(CARD, Path(folder)).parts[0].readable
            if readable != case.size:
                raise HarnessError(f"data verify read {readable} of {case.size} files")

    return Ready(step, {"files": case.size})


def opening(case: Case) -> Ready:
    """The same files opened by PyAV one after the other, and their length and size read."""
    import av

    def step() -> None:
        with _linked(case) as folder:
            for path in (Path(folder) / CARD.name).iterdir():
                with av.open(str(path)) as container:
                    stream = container.streams.video[0]
                    if not (stream.width and stream.average_rate and container.duration):
                        raise HarnessError(f"{path} has no length")

    return Ready(step, {"files": case.size})


def _linked(case: Case) -> tempfile.TemporaryDirectory[str]:
    """A data folder with `size` links to the files of the case."""
    folder = tempfile.TemporaryDirectory(prefix="harness-verify-", dir=case.folder)
    root = Path(folder.name) / CARD.name
    root.mkdir()
    files = [Path(path) for path in videos.files_of(case.corpus, Path(case.folder))]
    for number in range(case.size):
        source = files[number % len(files)]
        target = root / f"{number}{source.suffix}"
        try:
            target.hardlink_to(source)
        except OSError:
            shutil.copyfile(source, target)
    return folder


BUILDERS: Builders = {
    "clips": clips,
    "loading": loading,
    "decoding": decoding,
    "verifying": verifying,
    "opening": opening,
}
