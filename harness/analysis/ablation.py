"""Ablation of known implementation mistakes: a job's test videos scored again with one change at a time.

A change without an effect cannot explain a gap. One that *raises* the accuracy shows that the job's data already contain
that mistake. Differences are paired on the same videos and resampled by group.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.analysis.regression.compare import differences
from harness.core.callbacks import Callback
from harness.core.contract import Clip, FlowMethod, Scale, Video
from harness.data import index, loader
from harness.data.flow_store import flow_store
from harness.jobs.context import SCORE_BATCH, Data
from harness.jobs.options import JobOptions
from harness.jobs.restore import Scorer, open_job, open_test_set, scored_videos
from harness.metrics import statistics
from harness.metrics.scores import Scores, aligned, topk_correct
from harness.records.record import Record
from harness.training.evaluation import make_scores, video_logits

FLOW_PIXELS = 100e6
"""Most pixels of flow to compute for a change of the frame rate; more would take minutes to hours."""
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Inputs = dict[str, Tensor]


@dataclass(frozen=True)
class Perturbation:
    """One change to how a job scores its videos."""

    cause: str
    """Its family: 'label order', 'fps'."""
    instead: str
    """The change in a few words."""
    inputs: Callable[[Inputs], Inputs] = lambda inputs: inputs
    """Changes the input of the network."""
    method: Callable[[FlowMethod], FlowMethod] = lambda method: method
    """Changes how stored flow is read."""
    clip: Callable[[Clip], Clip] = lambda clip: clip
    fps: float | None = None
    labels: Callable[[np.ndarray], np.ndarray] | None = None
    """Changes the labels alone: nothing is scored again."""
    batch_statistics: bool = False
    """Use the statistics of the batch in batch norm."""


@dataclass(frozen=True)
class Effect:
    """The effect of a change on the job's accuracy on the sample."""

    change: Perturbation
    accuracy_pct: float
    difference: statistics.PairedTest | None
    """Changed minus unchanged; None if it was not measured."""
    predictions_changed: int = 0
    skipped: str = ""
    """Why it was not measured."""


@dataclass(frozen=True)
class AblationReport:
    """The changes of one job and their effects."""

    record: Record
    n: int
    """Videos of the sample."""
    n_of: int
    """Videos that the job was scored on."""
    accuracy_pct: float
    """Unchanged, on the sample."""
    recorded_pct: float
    """As recorded, on the same videos."""
    moved: float
    """Largest change of a logit since it was recorded."""
    effects: tuple[Effect, ...] = field(default_factory=tuple)


def ablate(record: Record, options: JobOptions, *, sample: int, callback: Callback | None = None) -> AblationReport:
    """Every change, measured on `sample` of the scored test videos: evenly spaced, the same in every call."""
    callback = callback or Callback()
    scorer, data = open_job(record, options), open_test_set(record, options)
    everything = scored_videos(record, data.listing)
    evenly = np.linspace(0, len(everything) - 1, min(sample, len(everything))).round().astype(int)
    videos = [everything[number] for number in evenly]
    changes = list(known_changes(scorer))
    callback.stage("score", (len(changes) + 1) * len(videos), "videos")
    unchanged = score_changed(Perturbation("", ""), scorer, data, videos)
    callback.advance(len(videos))
    recorded = aligned(record.scores(), unchanged.ids, part=True)
    effects = []
    for change in changes:
        effects.append(_effect(change, scorer, data, videos, unchanged))
        callback.advance(len(videos))
    return AblationReport(
        record=record,
        n=unchanged.n,
        n_of=len(everything),
        accuracy_pct=_pct(unchanged),
        recorded_pct=_pct(recorded),
        moved=differences(unchanged, recorded)[0],
        effects=tuple(effects),
    )


def _pct(scores: Scores) -> float:
    return 100.0 * float(topk_correct(scores).mean())


def known_changes(scorer: Scorer) -> Iterator[Perturbation]:
    """Changes that apply to this network, the most likely causes first."""
    yield from _label_changes(scorer.classes)
    if "rgb" in scorer.streams:
        yield from _picture_changes()
    if "flow" in scorer.streams:
        yield from _flow_changes(scorer.scale)
    if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in scorer.network.modules()):
        yield Perturbation("BN mode", "statistics of the batch, as in training", batch_statistics=True)
    for fps in (scorer.scale.fps / 2, scorer.scale.fps * 1.2):
        yield Perturbation("fps", f"{fps:g} frames per second", fps=fps)
    if scorer.clip.count > 1 or scorer.clip.dense:
        yield Perturbation(
            "views", "the middle clip alone", clip=lambda clip: dataclasses.replace(clip, count=1, dense=False)
        )
    if not scorer.clip.dense:
        more = max(10, 2 * scorer.clip.count)
        yield Perturbation("views", f"{more} clips", clip=lambda clip: dataclasses.replace(clip, count=more))
    yield Perturbation("views", "mirrored left to right", inputs=_mirrored)


def _label_changes(classes: Sequence[str]) -> Iterator[Perturbation]:
    yield Perturbation("label order", "counted from 1", labels=lambda labels: (labels + 1) % len(classes))
    for order_name, key in (("by lower case", str.lower), ("with blanks for '_'", lambda name: name.replace("_", " "))):
        order = sorted(range(len(classes)), key=lambda number: key(classes[number]))
        if order != list(range(len(classes))):
            yield Perturbation("label order", f"sorted {order_name}", labels=np.argsort(order).__getitem__)


def _on(stream: str, change: Callable[[Tensor], Tensor]) -> Callable[[Inputs], Inputs]:
    return lambda inputs: {**inputs, stream: change(inputs[stream])}


def _picture_changes() -> Iterator[Perturbation]:
    def standardised(rgb: Tensor) -> Tensor:
        mean, deviation = (
            torch.tensor(value, device=rgb.device)[None, :, None, None, None]
            for value in (IMAGENET_MEAN, IMAGENET_DEVIATION)
        )
        return ((rgb + 1) / 2 - mean) / deviation

    yield Perturbation("RGB/BGR", "blue first", inputs=_on("rgb", lambda rgb: rgb.flip(1)))
    yield Perturbation("value range", "pictures in [0, 1]", inputs=_on("rgb", lambda rgb: (rgb + 1) / 2))
    yield Perturbation("value range", "pictures in [0, 255]", inputs=_on("rgb", lambda rgb: (rgb + 1) * 127.5))
    yield Perturbation("value range", "ImageNet's mean and standard deviation", inputs=_on("rgb", standardised))


def _flow_changes(scale: Scale) -> Iterator[Perturbation]:
    bound = scale.flow.bound_px
    other: Any = "released-256" if scale.flow.quantization == "zero-exact" else "zero-exact"
    yield Perturbation("flow order", "y before x", inputs=_on("flow", lambda flow: flow.flip(1)))
    yield Perturbation("flow order", "backward: to the frame before", inputs=_on("flow", lambda flow: -flow))
    yield Perturbation("flow order", "one frame late", inputs=_on("flow", lambda flow: flow.roll(1, dims=2)))
    yield Perturbation(
        "flow quantization", f"read as '{other}'", method=lambda method: dataclasses.replace(method, quantization=other)
    )
    yield Perturbation(
        "flow quantization", f"in px, not divided by {bound:g}", inputs=_on("flow", lambda flow: flow * bound)
    )


def _mirrored(inputs: Inputs) -> Inputs:
    turned = {stream: clip.flip(-1) for stream, clip in inputs.items()}
    if "flow" in turned:
        turned["flow"] = torch.cat([-turned["flow"][:, :1], turned["flow"][:, 1:]], dim=1)
    return turned


def _effect(change: Perturbation, scorer: Scorer, data: Data, videos: Sequence[Video], unchanged: Scores) -> Effect:
    if why := _too_long(change, scorer, data, videos):
        return Effect(change, float("nan"), None, skipped=why)
    if change.labels is not None:
        changed = dataclasses.replace(unchanged, labels=change.labels(unchanged.labels).astype(np.int64))
    else:
        changed = score_changed(change, scorer, data, videos)
    clusters = statistics.clusters_of(unchanged.ids, unchanged.groups)
    difference = statistics.paired(topk_correct(changed), topk_correct(unchanged), clusters)
    # A change of labels changes no answer; it changes which answers are right.
    moved = 0 if change.labels is not None else differences(changed, unchanged)[1]
    return Effect(change, _pct(changed), difference, predictions_changed=moved)


def _too_long(change: Perturbation, scorer: Scorer, data: Data, videos: Sequence[Video]) -> str:
    if change.fps is None or "flow" not in scorer.streams:
        return ""
    side = scorer.scale.flow.short_side_px
    rows = [data.prepared.rows[video.id] for video in videos]
    pixels = sum(
        side * side * row.duration_s * change.fps * max(row.width, row.height) / max(1, min(row.width, row.height))
        for row in rows
    )
    if pixels <= FLOW_PIXELS:
        return ""
    return f"{pixels / 1e6:,.0f} million pixels of flow would have to be computed; ask for fewer --videos"


def score_changed(change: Perturbation, scorer: Scorer, data: Data, videos: Sequence[Video]) -> Scores:
    """`videos` scored with the change; `Perturbation("", "")` changes nothing."""
    broken: list[str] = []
    with _reader(change, scorer, data, videos) as reader, _statistics(scorer.network, change.batch_statistics):
        method = change.method(scorer.scale.flow)
        batches = loader.test_batches(reader, videos, clip=change.clip(scorer.clip), batch=SCORE_BATCH, broken=broken)
        pixels = scorer.pixels
        views = (
            (change.inputs(loader.to_network(batch, scorer.device, method, pixels)), batch.ids) for batch in batches
        )
        logits = video_logits(
            _Mode(scorer.network, change.batch_statistics),
            views,
            reduce=scorer.baseline.reduce,
            device=scorer.device,
            precision=scorer.precision,
            callback=Callback(),
        )
    return make_scores(logits, videos, num_classes=len(scorer.classes), undecodable=broken, missing=())


class _Mode:
    """The network as `video_logits` takes it; batch norm stays in training mode under eval() with `batch_statistics`."""

    def __init__(self, network: nn.Module, batch_statistics: bool) -> None:
        self.network, self.batch_statistics, self.training = network, batch_statistics, False

    def __call__(self, inputs: Any) -> Tensor:
        return self.network(inputs)  # type: ignore[no-any-return]

    def eval(self) -> None:
        self.train(False)

    def train(self, mode: bool) -> None:
        self.network.train(mode)
        if self.batch_statistics and not mode:
            for module in self.network.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.train()


@contextlib.contextmanager
def _statistics(network: nn.Module, restore: bool) -> Iterator[None]:
    """Restores the moving statistics afterwards: batch norm in training mode moves them."""
    before = {name: buffer.clone() for name, buffer in network.named_buffers()} if restore else {}
    try:
        yield
    finally:
        for name, buffer in network.named_buffers():
            if name in before:
                buffer.copy_(before[name])
        network.eval()


@contextlib.contextmanager
def _reader(change: Perturbation, scorer: Scorer, data: Data, videos: Sequence[Video]) -> Iterator[loader.VideoReader]:
    """The job's own reader, which caches frames; for another frame rate a reader with its flow in a temporary folder."""
    if change.fps is None:
        yield data.reader
        return
    scale = dataclasses.replace(scorer.scale, fps=change.fps, video_source="originals")
    with tempfile.TemporaryDirectory(prefix="harness-diagnose-") as folder:
        shutil.copy(data.prepared.store / index.PARQUET, folder)
        prepared = dataclasses.replace(data.prepared, store=Path(folder))
        flow = None
        if "flow" in scorer.streams:
            flow = flow_store(prepared, scale.flow, videos=list(videos), fps=change.fps, decoder=scorer.decoder)
        yield loader.VideoReader(prepared, streams=scorer.streams, scale=scale, flow_store=flow, decoder=scorer.decoder)
