"""Finished networks, restored from their records to score videos exactly as their jobs did."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from harness.core import environment, registry
from harness.core.atomic import file_sha256
from harness.core.callbacks import Callback
from harness.core.cells import PUBLISHED
from harness.core.contract import Baseline, BuildSpec, Clip, Frames, Listing, Pixels, Scale, Video, streams_of
from harness.core.errors import RecordError
from harness.core.workspace import Workspace
from harness.jobs.common import build_head, start
from harness.jobs.context import Data, JobContext, configure, open_data
from harness.jobs.frozen import features_context, job_of
from harness.jobs.options import JobOptions
from harness.metrics.scores import Scores
from harness.models import build, pretrained, transfer
from harness.models.precision import autocast
from harness.records.record import WEIGHTS, Record
from harness.training import evaluation
from harness.video.decoder import preferred


@dataclass(frozen=True)
class Scorer:
    """A trained network and everything that decides how it sees a video."""

    name: str
    """A job's id, or 'published:NAME STREAM'."""
    title: str
    baseline: Baseline
    streams: tuple[str, ...]
    network: nn.Module
    """The network in eval mode, on the device."""
    scale: Scale
    pixels: Pixels | None
    """Values of the pictures that it reads; None: [-1, 1]."""
    clip: Clip
    """Test clip."""
    classes: tuple[str, ...]
    """Class names in the order of the logits."""
    device: str
    precision: str
    decoder: str
    """By name."""
    threads: int
    """CPU threads, which decide the order of sums; 0: unchanged."""

    def logits(self, clips: Any) -> torch.Tensor:
        """stream -> (N, C, T, H, W) -> (N, P, classes) float32 on the CPU: the logits at every output position."""
        return self._computed(self.network, clips)

    def features(self, clips: Any) -> torch.Tensor:
        """clips[stream] (N, C, T, H, W) float32 in [-1, 1] -> (N, P, F) float32 on the CPU: the head's inputs."""
        return self._computed(self.network.features, clips)

    def _computed(self, function: Any, clips: Any) -> torch.Tensor:
        if self.threads:
            torch.set_num_threads(self.threads)
        with torch.inference_mode(), autocast(self.device, self.precision):
            outputs: torch.Tensor = function(clips)
            return outputs.float().cpu()


def work_of(record: Record, options: JobOptions) -> JobContext:
    """The context of a record's job, as if it were running. Raises RecordError for kinds that score no videos."""
    job = dataclasses.replace(job_of(record), spec=record.scored_spec)
    return JobContext(job=job, options=options, callback=Callback())


def open_job(record: Record, options: JobOptions) -> Scorer:
    """The final network of a job.

    Raises RecordError if its weights, or those of an upstream job, are missing (records pulled from MLflow have none)
    or not the recorded ones.
    """
    context = work_of(record, options)
    configure(context)
    if record.kind == "head":
        network = _head_on_its_trunk(context, record)
    else:
        network = build.build(context.baseline, context.build_spec(len(record.classes)))
        network.load_state_dict(_weights(record), strict=True)
    return scorer_of(network, context, record)


def scorer_of(network: nn.Module, context: JobContext[Any], record: Record) -> Scorer:
    """The job's network as a scorer, on the device."""
    return Scorer(
        name=record.job_id,
        title=record.title + (" · in bfloat16" if context.eval_precision == "bfloat16" else ""),
        baseline=context.baseline,
        streams=context.streams,
        network=build.place(network, context.device).eval(),
        scale=context.scale,
        pixels=context.pixels,
        clip=context.spec.test_clip,
        classes=record.classes,
        device=context.device,
        precision=context.eval_precision,
        decoder=context.decoder,
        threads=context.spec.threads,
    )


def _head_on_its_trunk(context: JobContext[Any], record: Record) -> nn.Module:
    """The recorded head on the network that computed its features. Under Fixed a record holds only the head."""
    network = start(features_context(context), len(record.classes))
    network.head = build_head(network, record.spec, len(record.classes))
    head = _weights(record)
    wanted = {name for name in network.state_dict() if name.startswith(transfer.HEAD)}
    if head.keys() != wanted:
        raise RecordError(
            f"the head of job {record.job_id} does not fit its network; delete {record.folder}, then repeat the command that made it"
        )
    network.load_state_dict(head, strict=False)
    return network


def _weights(record: Record) -> dict[str, torch.Tensor]:
    if WEIGHTS not in record.files:
        raise RecordError(
            f"the record of job {record.job_id} ({record.title}) has no weights: it was pulled from MLflow, which stores "
            f"none; copy runs/{record.job_id} from the machine that trained it, or delete {record.folder} and run the job here"
        )
    path = record.path(WEIGHTS)
    if file_sha256(path) != record.files[WEIGHTS]:
        raise RecordError(
            f"{path} is not the recorded file (sha256 differs); copy it again, or delete {record.folder} and repeat the "
            "command that made it"
        )
    return transfer.read_weights(path)


def open_published(name: str, baseline: Baseline, stream: str, workspace: Workspace) -> Scorer:
    """A published network at paper scale. Raises HarnessError with the remedy if its weights are not imported."""
    from harness.models.importing import load_imported

    weights = pretrained.stream_weights(baseline, name, stream)
    state, card = load_imported(weights, pretrained.folder(workspace))
    scale: Scale = baseline.adapted(registry.load("scale", pretrained.PAPER))
    streams = streams_of(stream)
    device = environment.device()
    network = build.build(baseline, BuildSpec(streams=streams, num_classes=weights.classes, scale=scale))
    network.load_state_dict(state, strict=True)
    return Scorer(
        name=f"{PUBLISHED}{name} {stream}",
        title=f"{baseline.name} · {stream} · {weights.trained_on}",
        baseline=baseline,
        streams=streams,
        network=build.place(network, device).eval(),
        scale=scale,
        pixels=baseline.frames.get(scale.name, Frames()).pixels,
        clip=baseline.test_clip[scale.name],
        classes=tuple(card["labels"])
        or weights.labels
        or tuple(f"class {number}" for number in range(weights.classes)),
        device=device,
        precision=scale.eval_precision,
        decoder=preferred(),
        threads=0,
    )


def scored_videos(record: Record, listing: Listing) -> tuple[Video, ...]:
    """The scored videos of the job, in its order."""
    return listing.subsets[record.scored_spec.subset]


def open_test_set(record: Record, options: JobOptions) -> Data:
    """The scored data set of a job, with the flow of its scored videos. Raises HarnessError if it has changed."""
    return open_data(
        work_of(record, options),
        split=record.scored_spec.split,
        videos=lambda listing: scored_videos(record, listing),
        make=True,
    )


def score_again(record: Record, options: JobOptions) -> Scores:
    """Scores of the job's scored videos by the restored network; a job trained as a whole uses the same batches as before."""
    scorer, data = open_job(record, options), open_test_set(record, options)
    videos = scored_videos(record, data.listing)
    broken: list[str] = []
    logits = evaluation.video_logits(
        scorer.network,
        data.views(videos, scorer.clip, broken),
        reduce=scorer.baseline.reduce,
        device=scorer.device,
        precision=scorer.precision,
        callback=Callback(),
    )
    missing = data.listing.missing_of(record.scored_spec.subset)
    return evaluation.make_scores(logits, videos, num_classes=len(scorer.classes), undecodable=broken, missing=missing)
