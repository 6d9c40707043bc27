"""What a benchmark's process runs, by name: clips out of video files, and what goes over a data set's files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ratios.case import Case, Ready
from benchmarks.ratios.readers import FRAMES, READERS, SIDE_PX
from benchmarks.ratios.videos import CARD, files_of, scale_of
from harness.core.contract import Clip
from harness.core.errors import HarnessError


def clips(case: Case) -> Ready:
    """`size` clips a round by one reader; facts tell the first round's mean, so that nothing can be left out."""
    import cv2

    _compile_at_once(case)
    cv2.setNumThreads(case.threads)
    read, files = READERS[case.reader], files_of(case.corpus, Path(case.folder))
    rounds = 0

    def step() -> float:
        nonlocal rounds
        total = 0.0
        for clip in range(case.size):
            chance = np.random.default_rng([rounds, case.part, clip])
            found = read(files[(case.part + clip) % len(files)], chance)
            if found.shape != (FRAMES, SIDE_PX, SIDE_PX, 3):
                raise HarnessError(f"{case.reader} gave a clip of {found.shape}")
            total += float(found[:, ::16, ::16].mean())
        rounds += 1
        return total / case.size

    return Ready(step, {"clips": case.size, "mean": step()})


def loading(case: Case) -> Ready:
    """A clip of each file through the loader of training, in this process."""
    batches, wanted = _loader(case)
    return Ready(batches, {"clips": len(wanted())})


def decoding(case: Case) -> Ready:
    """The same positions and squares of the same files, by the reader alone."""
    from harness.video import decode

    _, wanted = _loader(case)
    squares = wanted()

    def step() -> None:
        for path, indices, square, how in squares:
            decode.read_window(path, indices, crop=lambda *_, square=square: square, **how)

    return Ready(step, {"clips": len(squares)})


def _compile_at_once(case: Case) -> None:
    """What other processes come to after 4,000 frames."""
    from harness.video import convert_numba, numba_cache

    numba_cache.keep_compiled(Path(case.folder) / "numba")
    convert_numba.compile_at_once()


def _loader(case: Case) -> tuple[Callable[[], None], Callable[[], list[tuple[Any, ...]]]]:
    """(runs all batches once, does so and gives what was asked of the reader)."""
    from harness.data import prepare
    from harness.data.loader import VideoReader, train_batches
    from harness.video import decode

    _compile_at_once(case)
    prepared = prepare.open_prepared(CARD, Path(case.folder))
    videos = list(prepared.listing(1).subsets["train"])
    reader = VideoReader(prepared, streams=("rgb",), scale=scale_of("originals"), cache_bytes=0)
    clip = Clip(window=FRAMES, side_px=SIDE_PX)

    def batches() -> None:
        for _ in train_batches(reader, videos, clip=clip, batch=1, seed=0, steps=len(videos)):
            pass

    def wanted() -> list[tuple[Any, ...]]:
        asked: list[tuple[Any, ...]] = []
        real = decode.read_window

        def noted(path: Path, indices: np.ndarray, *, crop: Any, **how: Any) -> np.ndarray:
            square: list[tuple[int, int, int]] = []

            def kept(height: int, width: int) -> tuple[int, int, int]:
                square.append(crop(height, width))
                return square[0]

            found = real(path, indices, crop=kept, **how)
            asked.append((path, indices, square[0], how))
            return found

        decode.read_window = noted  # type: ignore[assignment]
        try:
            batches()
        finally:
            decode.read_window = real
        return asked

    return batches, wanted


def verifying(case: Case) -> Ready:
    """`harness data verify` from nothing over `size` links to the files."""
    from harness.data import verify

    def step() -> None:
        with tempfile.TemporaryDirectory(prefix="harness-verify-", dir=case.folder) as folder:
            _links(case, Path(folder) / CARD.name)
            readable = verify.verify(CARD, Path(folder)).parts[0].readable
            if readable != case.size:
                raise HarnessError(f"data verify read {readable} of {case.size} files")

    return Ready(step, {"files": case.size})


def opening(case: Case) -> Ready:
    """The same files opened by PyAV one after the other, and their length and size read."""
    import av

    def step() -> None:
        with tempfile.TemporaryDirectory(prefix="harness-verify-", dir=case.folder) as folder:
            root = Path(folder) / CARD.name
            _links(case, root)
            for path in root.iterdir():
                with av.open(str(path)) as container:
                    stream = container.streams.video[0]
                    if not (stream.width and stream.average_rate and container.duration):
                        raise HarnessError(f"{path} tells no length")

    return Ready(step, {"files": case.size})


def _links(case: Case, root: Path) -> None:
    root.mkdir()
    files = [Path(path) for path in files_of(case.corpus, Path(case.folder))]
    for number in range(case.size):
        source = files[number % len(files)]
        target = root / f"{number}{source.suffix}"
        try:
            target.hardlink_to(source)
        except OSError:
            shutil.copyfile(source, target)


WHATS: Mapping[str, Callable[[Case], Ready]] = {
    "clips": clips,
    "loading": loading,
    "decoding": decoding,
    "verifying": verifying,
    "opening": opening,
}
