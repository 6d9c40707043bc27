"""How fast clips reach the device: decoding with several processes, scoring, and a training that reads files."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.session import Session, network
from benchmarks.ratios import videos
from harness.core import environment, registry
from harness.core.callbacks import Callback
from harness.core.contract import Clip, FlowMethod, Schedule, Video
from harness.data import frame_store, loader, prepare
from harness.models.build import place
from harness.training import evaluation
from harness.training.config import Step, TrainingConfig
from harness.training.prefetch import prefetch_to_device
from harness.training.replicas import Replicas
from harness.training.trainer import train

CORPORA = {"mpeg4": ("mpeg4", "originals"), "h264": ("h264", "originals"), "raw store": ("h264", "raw-store")}
"""Name -> (codec of the files, source of the frames)."""
REPLICA = 6
"""Clips per batch-norm group, as in the paper."""


def _reader(corpus: str) -> tuple[loader.VideoReader, list[Video]]:
    """The files of a corpus, not cached in memory."""
    codec, source = CORPORA[corpus]
    prepared = prepare.open_prepared(videos.CARD, videos.data())
    suffix = videos.SUFFIXES[codec]
    listed = [video for video in prepared.listing(1).subsets["train"] if video.path.endswith(suffix)]
    scale = videos.scale_of("raw-store" if source == "raw-store" else "originals")
    store = frame_store.build_store(prepared, scale, videos=listed) if source == "raw-store" else None
    return loader.VideoReader(prepared, streams=("rgb",), scale=scale, frame_store=store, cache_bytes=0), listed


def _clip(session: Session) -> Clip:
    return Clip(window=16, side_px=64) if session.small else Clip(window=64, side_px=224)


def _flow() -> FlowMethod:
    method: FlowMethod = registry.load("scale", "paper").flow
    return method


def decoding(session: Session) -> None:
    """Clips per second that 1, 4, ... processes decode and hand over to the device."""
    cores = environment.cpu_threads()
    counts = (1,) if session.small else tuple(sorted({1, 4, 8, max(1, cores - 2), cores}))
    for corpus in CORPORA:
        reader, listed = _reader(corpus)
        for workers in counts:
            batches = loader.train_batches(
                reader, listed, clip=_clip(session), batch=REPLICA, seed=0, workers=workers, pinned=session.cuda
            )
            for _ in range(1 if session.small else 2 * workers + 2):
                next(batches)  # the processes start, and compile the conversion
            began, clips = time.perf_counter(), 0
            while time.perf_counter() - began < (1 if session.small else 6):
                batch = next(batches)
                loader.to_network(batch, session.device, _flow())
                clips += len(batch.ids)
            session.wait()
            rate = clips / (time.perf_counter() - began)
            session.note(f"{corpus}, {workers} decoding processes: clips/s on the device", round(rate, 1))
            batches.close()  # type: ignore[attr-defined]


def scoring(session: Session) -> None:
    """Test clips of whole videos, decoded by several processes and scored, in videos per second."""
    reader, listed = _reader("h264")
    size = "micro" if session.small else "paper"
    module = place(network("i3d", ("rgb",), size), session.device)
    clip = registry.load("baseline", "i3d").test_clip[size]
    workers = 1 if session.small else max(1, environment.cpu_threads() - 2)
    many = listed * (1 if session.small else 20)

    def views() -> Iterator[tuple[Any, Sequence[str]]]:
        for batch in loader.test_batches(reader, many, clip=clip, batch=16, workers=workers):
            yield loader.to_network(batch, session.device, _flow()), batch.ids

    began = time.perf_counter()
    precision = "float32" if session.small else "bfloat16"
    evaluation.video_logits(
        module,
        prefetch_to_device(views(), session.device, lambda view: view[0].values()),
        reduce="mean",
        device=session.device,
        precision=precision,
        callback=Callback(),
    )
    rate = len(many) / (time.perf_counter() - began)
    session.note(f"scoring with {workers} decoding processes, their start included: videos/s", round(rate, 2))


class Clock(Callback):
    """The time of each step."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def advance(self, count: int = 1, note: str = "") -> None:
        self.times.append(time.perf_counter())


def training(session: Session) -> None:
    """The trainer on files: clips per second after the first step, and the share of the time that it waits for clips."""
    steps, batch, replica = (2, 4, 2) if session.small else (5, 16 * REPLICA, REPLICA)
    full_ft: Schedule = registry.load("scale", "paper").stages["full-ft"]
    schedule = dataclasses.replace(full_ft, steps=steps, batch=batch, bn_batch=replica, eval_every=0)
    numbers = Replicas.of(schedule)
    torch.backends.cudnn.benchmark = True
    for corpus in ("mpeg4", "raw store"):
        reader, listed = _reader(corpus)
        module = place(network("i3d", ("rgb",), "micro" if session.small else "paper"), session.device).train()

        def steps_from(first: int, reader: Any = reader, listed: Any = listed) -> Iterator[Step]:
            batches = loader.train_batches(
                reader,
                listed,
                clip=_clip(session),
                batch=replica,
                seed=0,
                numbers=numbers.micro_steps(first, steps),
                workers=1 if session.small else max(1, environment.cpu_threads() - 2),
                pinned=session.cuda,
            )
            made = (
                Step(
                    loader.to_network(b, session.device, _flow()),
                    torch.as_tensor(b.labels, device=session.device),
                    b.ids,
                )
                for b in batches
            )
            return prefetch_to_device(made, session.device, lambda step: [*step.inputs.values(), step.labels])

        clock = Clock()
        with tempfile.TemporaryDirectory() as folder:
            config = TrainingConfig(
                schedule=schedule,
                device=session.device,
                precision="float32" if session.small else "bfloat16",
                job_id="gpu",
                checkpoints=Path(folder),
                loss=evaluation.clip_loss("reduced", "mean"),
            )
            result = train(module, steps_from, config, callback=clock)
        rate = batch * (steps - 1) / (clock.times[-1] - clock.times[-steps])
        waiting = round(result.wait_s / result.seconds, 2)
        session.note(f"I3D trained from {corpus}: clips/s, share of waiting", [round(rate, 1), waiting])
