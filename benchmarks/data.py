"""Clips for training, per second: ours against other readers used plainly, the frame store against the originals.

    python -m benchmarks.data [--only mpeg4,h264,store,loader,verify] [--rounds 9] [--processor-time]

Each of 64 frames at a random place of a file like UCF-101's (mpeg4 .avi, 320x240, 25 fps, a key frame every 12) or like
Kinetics' (h264 .mp4, x264's defaults), short side 256, a random square of 224 px, in two processes of one thread. Every
reader has two processes of its own, and they are told in turn. About five minutes on an idle machine; on a busy one ask
for processor time, of the slower process of the two. What it gave stands in docs/performance.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from harness.bench.values import Paired, alternate
from harness.contract import Clip, Dataset, Listing, Scale, Video
from harness.errors import HarnessError

FRAMES, SHORT_PX, SIDE_PX = 64, 256, 224
FILE_FRAMES, HEIGHT, WIDTH = 180, 240, 320
CLIPS = 4
"""A process and round."""
FILES = 3
"""Of each codec."""

Reader = Callable[[str, np.random.Generator], np.ndarray]


# ------------------------------------------------------------------------------------------------ files


def scene(number: int) -> np.ndarray:
    """uint8 (180, 240, 320, 3): a camera that pans over texture of all sizes, something that moves, and grain."""
    import cv2

    chance = np.random.default_rng(number)
    wide = np.zeros((3 * HEIGHT, 3 * WIDTH, 3), np.float32)
    for step in (2, 4, 8, 16, 32, 64, 128):
        noise = chance.normal(size=(wide.shape[0] // step + 2, wide.shape[1] // step + 2, 3)).astype(np.float32)
        noise = 0.3 * noise + noise[..., :1]
        wide += step**0.6 * 1.6 * cv2.resize(noise, (wide.shape[1], wide.shape[0]), interpolation=cv2.INTER_CUBIC)
    wide = 120 + wide
    frames = np.empty((FILE_FRAMES, HEIGHT, WIDTH, 3), np.uint8)
    for k in range(FILE_FRAMES):
        angle = k / 40 + number
        top, left = HEIGHT + 60 * np.sin(angle), WIDTH + 90 * np.cos(0.7 * angle)
        shown = cv2.warpAffine(wide, np.float32([[1, 0, -left], [0, 1, -top]]), (WIDTH, HEIGHT))
        centre = int(160 + 90 * np.sin(k / 9)), int(120 + 40 * np.cos(k / 7))
        cv2.circle(shown, centre, 30, (30.0, 60.0, 200.0), -1)
        frames[k] = np.clip(shown + chance.normal(0, 1.5, shown.shape), 0, 255)
    return frames


def write(path: Path, frames: np.ndarray) -> None:
    """.avi: mpeg4 as DivX files are, at UCF-101's 560 kbit/s; .mp4: h264 by x264's defaults."""
    import av
    import cv2

    xvid = path.suffix == ".avi"
    options = {"g": "12", "b": "560000"} if xvid else {"preset": "medium", "crf": "23"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4" if xvid else "libx264", rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        if xvid:
            stream.codec_context.codec_tag = "XVID"
        for number, picture in enumerate(frames):
            planes = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


# ------------------------------------------------------------------------------------------------ readers


def _start(chance: np.random.Generator) -> int:
    return int(chance.integers(0, FILE_FRAMES - FRAMES + 1))


def _place(height: int, width: int, chance: np.random.Generator) -> tuple[int, int]:
    return int(chance.integers(0, height - SIDE_PX + 1)), int(chance.integers(0, width - SIDE_PX + 1))


def ours(path: str, chance: np.random.Generator) -> np.ndarray:
    from harness.video import decode

    start = _start(chance)
    return decode.read_window(
        path,
        np.arange(start, start + FRAMES),
        short_side_px=SHORT_PX,
        crop=lambda height, width: (*_place(height, width, chance), SIDE_PX),
    )


def _cropped(pictures: Iterator[np.ndarray], chance: np.random.Generator) -> np.ndarray:
    """What a plain reader does with whole RGB frames."""
    import cv2

    out, corner = np.empty((FRAMES, SIDE_PX, SIDE_PX, 3), np.uint8), None
    for number, picture in enumerate(pictures):
        height, width = picture.shape[:2]
        size = (round(width * SHORT_PX / height), SHORT_PX)
        resized = cv2.resize(picture, size)
        top, left = corner = corner or _place(SHORT_PX, size[0], chance)
        out[number] = resized[top : top + SIDE_PX, left : left + SIDE_PX]
    return out


def opencv(path: str, chance: np.random.Generator) -> np.ndarray:
    import cv2

    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    capture.set(cv2.CAP_PROP_POS_FRAMES, _start(chance))
    clip = _cropped((capture.read()[1] for _ in range(FRAMES)), chance)
    capture.release()
    return np.stack([cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) for picture in clip])


def pyav(path: str, chance: np.random.Generator) -> np.ndarray:
    import av

    start_s = _start(chance) / 25

    def pictures() -> Iterator[np.ndarray]:
        with av.open(path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "NONE"
            container.seek(int(start_s / stream.time_base), stream=stream)
            shown = 0
            for frame in container.decode(stream):
                if (frame.time or 0.0) >= start_s - 1e-3 and shown < FRAMES:
                    shown += 1
                    yield frame.to_ndarray(format="rgb24")
                if shown == FRAMES:
                    return

    return _cropped(pictures(), chance)


def decord(path: str, chance: np.random.Generator) -> np.ndarray:
    from decord import VideoReader, cpu

    start = _start(chance)
    frames = VideoReader(path, ctx=cpu(0), num_threads=1).get_batch(range(start, start + FRAMES)).asnumpy()
    return _cropped(iter(frames), chance)


def torchcodec(path: str, chance: np.random.Generator) -> np.ndarray:
    from torchcodec.decoders import VideoDecoder

    start = _start(chance)
    decoder = VideoDecoder(path, dimension_order="NHWC", num_ffmpeg_threads=1, seek_mode="approximate")
    return _cropped(iter(decoder.get_frames_in_range(start, start + FRAMES).data.numpy()), chance)


READERS: dict[str, Reader] = {
    "ours": ours,
    "OpenCV": opencv,
    "PyAV": pyav,
    "decord": decord,
    "torchcodec": torchcodec,
}


def plain_readers() -> list[str]:
    """Those that are installed."""
    there = {name: name.lower() for name in ("decord", "torchcodec")}
    return ["OpenCV", "PyAV", *(name for name, module in there.items() if importlib.util.find_spec(module))]


# ------------------------------------------------------------------------------------------------ processes


def _serve(pipe: Any, reader: str, files: list[str], first: int) -> None:
    """CLIPS clips for each message -> the clips' mean, so that nothing can be left out."""
    import cv2

    cv2.setNumThreads(1)
    if reader == "torchcodec":
        import torch

        torch.set_num_threads(1)
    read = READERS[reader]
    while (number := pipe.recv()) is not None:
        begun = time.process_time()
        total = 0.0
        for clip in range(CLIPS):
            chance = np.random.default_rng([number, first, clip])
            found = read(files[(first + clip) % len(files)], chance)
            assert found.shape == (FRAMES, SIDE_PX, SIDE_PX, 3)
            total += float(found[:, ::16, ::16].mean())
        pipe.send((total / CLIPS, time.process_time() - begun))


@contextmanager
def pair_of(reader: str, files: list[str], *, busy: bool) -> Iterator[Callable[[], float]]:
    """A function that has two processes read 2 x CLIPS clips and gives the seconds: by the clock, or where the machine
    is busy with other work the processor time of the slower process."""
    spawn = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for first in range(2):
        here, there = spawn.Pipe()
        process = spawn.Process(target=_serve, args=(there, reader, files, first), daemon=True)
        process.start()
        pipes.append(here)
        processes.append(process)
    rounds = iter(range(10**6))

    def run() -> float:
        number = next(rounds)
        begun = time.perf_counter()
        for pipe in pipes:
            pipe.send(number)
        answers = [pipe.recv() for pipe in pipes]
        run.answers = answers  # type: ignore[attr-defined]
        return max(answer[1] for answer in answers) if busy else time.perf_counter() - begun

    try:
        run()
        yield run
    finally:
        for pipe in pipes:
            pipe.send(None)
        for process in processes:
            process.join()


def against(
    name: str,
    mine: tuple[str, list[str]],
    others: dict[str, tuple[str, list[str]]],
    *,
    rounds: int,
    target: float,
    busy: bool,
) -> None:
    """Ours in turn with each of the others."""
    for other, (reader, files) in others.items():
        with pair_of(*mine, busy=busy) as a, pair_of(reader, files, busy=busy) as b:
            same = [answer[0] for answer in a.answers], [answer[0] for answer in b.answers]  # type: ignore[attr-defined]
            # The same frames and squares: other conversions to RGB are a grey level or two apart.
            assert np.allclose(*same, atol=4), (name, other, same)
            ours_s, theirs_s = alternate(a, b, rounds=rounds)
        clips = CLIPS if busy else 2 * CLIPS  # of one process, or of both
        scaled = (tuple(seconds / clips for seconds in those) for those in (ours_s, theirs_s))
        tell(Paired("data", name, other, *scaled, target))


def tell(one: Paired) -> None:
    low, high = one.interval
    theirs = 1e3 * float(np.median(one.reference_s))
    print(
        f"| {one.name} | {one.reference} | **{one.ratio:.2f}** | {low:.2f} to {high:.2f} | {one.target or ''} "
        f"| {1e3 * one.median_s:.1f} | {theirs:.1f} |",
        flush=True,
    )


# ------------------------------------------------------------------------------------------------ a data set of them


def _read(root: Path, split: int) -> Listing:
    files = sorted(path.name for path in root.iterdir() if path.suffix in (".avi", ".mp4"))
    videos = tuple(Video(name, name, 0) for name in files)
    return Listing(("one", "two"), {"train": videos, "test": ()})


CARD = Dataset(
    name="bench",
    title="files of the benchmark",
    kind="video",
    source="",
    num_classes=2,
    splits=(1,),
    subsets=("test",),
    counts={},
    read=_read,
    layout="*.avi, *.mp4",
    where="made by the benchmark",
    licence="as this program",
)


def scale_of(frames: str) -> Scale:
    import dataclasses

    from harness import discover

    paper: Scale = discover.load("scale", "paper")
    return dataclasses.replace(paper, frames=frames)


def stored(data: Path) -> dict[str, str]:
    """Original -> file of the frame store, as `harness data prepare --store` makes it."""
    from harness.video import prepare, store

    prepared = prepare.open_prepared(CARD, data)
    videos = list(prepared.listing(1).subsets["train"])
    built = store.build_store(prepared, scale_of("store"), videos=videos)
    return {str(prepared.path(video)): str(built.path(video)) for video in videos}


def loader_overhead(data: Path, *, rounds: int) -> None:
    """Batches of train_batches against read_window alone, one process, the same positions and squares."""
    from harness.video import decode, prepare
    from harness.video.loader import VideoReader, train_batches

    prepared = prepare.open_prepared(CARD, data)
    videos = list(prepared.listing(1).subsets["train"])
    reader = VideoReader(prepared, streams=("rgb",), scale=scale_of("originals"), cache_bytes=0)
    clip, steps = Clip(window=FRAMES, side_px=SIDE_PX), len(videos)
    wanted: list[tuple[Any, ...]] = []
    real = decode.read_window

    def noted(path: Path, indices: np.ndarray, *, crop: Any, **how: Any) -> np.ndarray:
        square: list[tuple[int, int, int]] = []
        found = real(path, indices, crop=lambda height, width: square.append(crop(height, width)) or square[0], **how)
        wanted.append((path, indices, square[0], how))
        return found

    decode.read_window = noted  # type: ignore[assignment]
    list(train_batches(reader, videos, clip=clip, batch=1, seed=0, steps=steps))
    decode.read_window = real

    def loading() -> float:
        begun = time.process_time()
        for _ in train_batches(reader, videos, clip=clip, batch=1, seed=0, steps=steps):
            pass
        return time.process_time() - begun

    def decoding() -> float:
        begun = time.process_time()
        for path, indices, square, how in wanted:
            decode.read_window(path, indices, crop=lambda *_, square=square: square, **how)
        return time.process_time() - begun

    mine, pure = alternate(loading, decoding, rounds=rounds)
    more_ms = [1e3 * (a - b) / steps for a, b in zip(mine, pure, strict=True)]
    print(f"loader over pure decoding: {np.median(more_ms):.2f} ms a clip of processor time (target: 2 at most)")


def headers(data: Path, copies: int = 400) -> None:
    """`harness data verify` from nothing over links to the files, by the clock."""
    from harness.video import verify

    many = data / "many" / "bench"
    many.mkdir(parents=True)
    files = sorted((data / "bench").iterdir())
    for number in range(copies):
        source = files[number % len(files)]
        (many / f"{number}{source.suffix}").hardlink_to(source)
    begun = time.perf_counter()
    found = verify.verify(CARD, data / "many")
    took = time.perf_counter() - begun
    assert found.parts[0].readable == copies
    print(f"data verify: {copies / took:.0f} files a second by the clock, {copies} files (target: 200)")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--only", default="mpeg4,h264,store,loader,verify")
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--processor-time", action="store_true")
    asked = arguments.parse_args()
    how: dict[str, Any] = {"rounds": asked.rounds, "busy": asked.processor_time}
    only = asked.only.split(",")
    if unknown := set(only) - {"mpeg4", "h264", "store", "loader", "verify"}:
        raise HarnessError(f"no part {', '.join(sorted(unknown))} of this benchmark; see --help")
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="harness-bench-")))
        (data / CARD.name).mkdir()
        for number in range(FILES):
            frames = scene(number)
            for suffix in (".avi", ".mp4"):
                write(data / CARD.name / f"{number}{suffix}", frames)
        files = {
            codec: sorted(str(path) for path in (data / CARD.name).glob(f"*{suffix}"))
            for codec, suffix in (("mpeg4", ".avi"), ("h264", ".mp4"))
        }
        for codec, those in files.items():
            size = sum(Path(one).stat().st_size for one in those) / FILE_FRAMES / FILES
            print(f"{codec}: {size / 1e3:.1f} kB a frame")
        print("| clips | against | times as fast | 95% | target | ours ms | theirs ms |\n|---|---|---|---|---|---|---|")
        for codec, target in (("mpeg4", 1.5), ("h264", 1.0)):
            if codec in only:
                others = {name: (name, files[codec]) for name in plain_readers()}
                against(codec, ("ours", files[codec]), others, target=target, **how)
        if "store" in only:
            kept = stored(data)
            for codec in files:
                mine = "ours", [kept[one] for one in files[codec]]
                others = {f"{reader} on the original": (reader, files[codec]) for reader in ("ours", "OpenCV")}
                against(f"store made from {codec}", mine, others, target=2.0, **how)
        if "loader" in only:
            loader_overhead(data, rounds=asked.rounds)
        if "verify" in only:
            headers(data)


if __name__ == "__main__":
    main()
