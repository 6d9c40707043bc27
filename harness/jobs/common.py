"""What jobs of several kinds do: start from weights, score videos, keep account of what was trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from harness.core.callbacks import Watch
from harness.core.contract import Listing, Schedule, Video
from harness.data import leaks
from harness.data.leaks import TRAINED_ON, TrainedOn
from harness.jobs.context import Data, Work
from harness.metrics.scores import Scores
from harness.models import build, pretrained, transfer
from harness.records.record import WEIGHTS
from harness.training import evaluation

State = Mapping[str, Tensor]
STILLS_SUBSET = "val"
"""What the 2D network is scored on: stills have no test set here."""


def start(work: Work, num_classes: int) -> nn.Module:
    """The network with the weights that the plan says it starts from."""
    spec = work.build_spec(num_classes)
    network = build.build(work.baseline, spec)
    source, image = starting_weights(work)
    if source is not None:
        transfer.load_source(network, source, num_classes)
    if image is not None:
        transfer.load_image(network, image, work.baseline, spec)
    return network


def starting_weights(work: Work) -> tuple[State | None, State | None]:
    """(state of the same network trained elsewhere, state of the 2D network), of upstream jobs or as published."""
    states = {
        role: transfer.read_weights(work.upstream(role).path(WEIGHTS))
        for role in ("source", "image")
        if role in work.job.upstream
    }
    if "published" in work.spec:
        from harness.models.importing import load_imported

        key, where = work.spec["published"], work.house.places
        if key["stream"] == "image":
            weights = pretrained.image_weights(work.baseline, work.spec["backbone"])
            states["image"], _ = load_imported(weights, pretrained.folder(where))
        else:
            weights = pretrained.stream_weights(work.baseline, key["name"], key["stream"])
            states["source"], _ = load_imported(weights, pretrained.folder(where))
    return states.get("source"), states.get("image")


def found_schedule(work: Work) -> Schedule:
    """The job's schedule; under `replay`, on all training videos with the drops that an earlier job found on held-out ones."""
    if "schedule" not in work.job.upstream:
        return work.schedule
    found = work.upstream("schedule").chosen
    return dataclasses.replace(
        work.schedule, policy="steps", milestones=tuple(found["drops"]), steps=int(found["steps"]), held_out=0.0
    )


def score(
    work: Work, module: nn.Module, views: Iterator[Any], videos: Sequence[Video], listing: Listing, broken: list[str]
) -> Scores:
    """Scores of `videos`, the subset that the job is scored on; `broken` fills while `views` is read."""
    logits = evaluation.video_logits(
        module, views, reduce=work.baseline.reduce, device=work.device, precision=work.precision, watch=work.watch
    )
    missing = listing.missing_of(str(work.spec.get("subset", STILLS_SUBSET)))
    return evaluation.make_scores(logits, videos, num_classes=len(listing.classes), undecodable=broken, missing=missing)


def loss_on(work: Work, module: nn.Module, views: Iterator[Any], videos: Sequence[Video]) -> float:
    """Mean cross-entropy of the held-out videos' logits."""
    logits = evaluation.video_logits(
        module, views, reduce=work.baseline.reduce, device=work.device, precision=work.precision, watch=Watch()
    )
    labels = {video.id: video.label for video in videos}
    stacked = torch.tensor([logits[video_id].tolist() for video_id in logits])
    return float(nn.functional.cross_entropy(stacked, torch.tensor([labels[video_id] for video_id in logits])))


def trained_on(work: Work, data: Data, training: Sequence[Video], scored: Sequence[Video]) -> TrainedOn:
    """What the weights will have been trained on, upstream included. Raises HarnessError if a scored video is among it."""
    return leaks.refuse(data.prepared.dataset.name, training, scored, before=upstream_trained_on(work))


def upstream_trained_on(work: Work) -> TrainedOn:
    """What the weights that the job starts from were trained on."""
    return leaks.merged(work.upstream(role).path(TRAINED_ON) for role in work.job.upstream)
