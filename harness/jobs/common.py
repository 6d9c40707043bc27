"""Shared steps of several kinds of job: initial weights, scoring, and the ids that weights were trained on."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.core import registry
from harness.core.callbacks import Callback
from harness.core.contract import Dataset, Listing, Schedule, Video, Weights
from harness.core.plugins import Head
from harness.data.splits import TRAINED_ON, TrainedOn, merge_trained_on, refuse_leaks
from harness.jobs.context import Data, JobContext
from harness.metrics.scores import Scores, check_count
from harness.models import build, catalog, pretrained, transfer
from harness.records.record import WEIGHTS
from harness.training import evaluation
from harness.training.group import Group

State = Mapping[str, Tensor]
IMAGES_SUBSET = "val"
"""Subset that the 2D network is scored on: the image data sets here have no test set."""


def start(context: JobContext[Any], num_classes: int) -> nn.Module:
    """The network with the initial weights of the plan: those of upstream jobs, or published ones."""
    spec = context.build_spec(num_classes)
    network = build.build(context.baseline, spec)
    states: dict[str, State] = {
        role: transfer.read_weights(context.upstream(role).path(WEIGHTS))
        for role in ("source", "image")
        if role in context.job.upstream
    }
    if key := getattr(context.spec, "pretrained", None):
        if key.stream == "image":
            states["image"] = _imported(context, pretrained.image_weights(context.baseline, context.spec.backbone))
        else:
            states["source"] = _imported(context, pretrained.stream_weights(context.baseline, key.name, key.stream))
    if "source" in states:
        transfer.load_source(network, states["source"], num_classes)
    if "image" in states:
        transfer.load_image(network, states["image"], context.baseline, spec)
    return network


def as_published(context: JobContext[Any], classes: Sequence[str]) -> nn.Module:
    """The network with its published weights and head, whose classes are matched by name. Raises HarnessError as
    `pretrained.rows_of` does."""
    from harness.models.importing import load_imported

    key = context.spec.pretrained
    weights = pretrained.stream_weights(context.baseline, key.name, key.stream)
    state, card = load_imported(weights, pretrained.folder(context.options.workspace))
    rows = pretrained.rows_of(classes, tuple(card["labels"]) or weights.labels, weights.classes)
    network = build.build(context.baseline, context.build_spec(len(classes)))
    transfer.load_published(network, state, rows, weights.classes)
    return network


def _imported(context: JobContext[Any], weights: Weights) -> State:
    from harness.models.importing import load_imported

    state, _ = load_imported(weights, pretrained.folder(context.options.workspace))
    return state


def build_head(network: Any, spec: Any, num_classes: int) -> nn.Module:
    """A new head of the kind that the job trains on the network's features."""
    card: Head = registry.load("head", spec.head.name)
    if card.build is not None:
        return card.build(network, num_classes, spec.head.params)  # type: ignore[no-any-return]
    network.new_head(num_classes)
    return network.head  # type: ignore[no-any-return]


def found_schedule(context: JobContext[Any]) -> Schedule:
    """The job's schedule. Under `retrain_on_all`: all training videos, with the drops that an earlier job chose."""
    schedule: Schedule = context.spec.schedule
    if "schedule" not in context.job.upstream:
        return schedule
    earlier = context.upstream("schedule").chosen
    return dataclasses.replace(
        schedule, policy="steps", milestones=tuple(earlier["drops"]), steps=int(earlier["steps"]), held_out=0.0
    )


def score(
    context: JobContext[Any],
    module: nn.Module,
    views: Iterator[Any],
    videos: Sequence[Video],
    listing: Listing,
    broken: list[str],
) -> tuple[Scores, Scores | None]:
    """Scores of `videos`, the subset to score, and those of the centre crops alone (None: there are no other crops).

    `views` has this process's share of the videos; `broken` is filled while they are read.
    """
    crops = getattr(getattr(context.spec, "test_clip", None), "crops", 1)
    centre: dict[str, np.ndarray] | None = {} if crops > 1 else None
    logits = _logits(context, module, views, context.callback, crops=crops, centre=centre)
    scores_of = partial(
        evaluation.make_scores,
        videos=videos,
        num_classes=len(listing.classes),
        undecodable=list(itertools.chain(*Group.current().gather(broken))),
        missing=listing.missing_of(scored_subset(context)),
        expected=expected_count(context),
    )
    return scores_of(logits), None if centre is None else scores_of(centre)


def _logits(
    context: JobContext[Any],
    module: nn.Module,
    views: Iterator[Any],
    callback: Callback,
    *,
    crops: int = 1,
    centre: dict[str, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """Logits by video, of the views of all processes; those of the centre crops are added to `centre`."""
    logits = evaluation.video_logits(
        module,
        views,
        reduce=context.baseline.reduce,
        device=context.device,
        precision=context.eval_precision,
        callback=callback,
        crops=crops,
        centre=centre,
    )
    for others, others_centre in Group.current().gather((logits, centre)):
        logits |= others
        if centre is not None:
            centre |= others_centre or {}
    return logits


def scored_subset(context: JobContext[Any]) -> str:
    return str(getattr(context.spec, "subset", IMAGES_SUBSET))


def expected_count(context: JobContext[Any]) -> int | None:
    """Number of videos of the scored subset by the data set's card and `--limit`; None if the card has none, as for held-out parts."""
    dataset: Dataset = registry.load("dataset", context.spec.dataset.name)
    split = getattr(context.spec, "split", dataset.splits[0])
    count = dataset.counts.get((split, scored_subset(context)))
    return count and min(count, context.spec.dataset.limit or count)


def loss_on(context: JobContext[Any], module: nn.Module, views: Iterator[Any], videos: Sequence[Video]) -> float:
    """Mean cross-entropy of the logits of held-out videos. `views` has this process's share of them."""
    logits = _logits(context, module, views, Callback())
    scored = [video for video in videos if video.id in logits]
    stacked = torch.tensor([logits[video.id].tolist() for video in scored])
    return float(nn.functional.cross_entropy(stacked, torch.tensor([video.label for video in scored])))


def trained_on(context: JobContext[Any], data: Data, training: Sequence[Video], scored: Sequence[Video]) -> TrainedOn:
    """Ids that the weights will have been trained on, upstream jobs included. Raises HarnessError if a scored video
    is among them, or if the number of scored videos is not the card's.
    """
    check_count(len(scored), len(data.listing.missing_of(scored_subset(context))), expected_count(context))
    return refuse_leaks(data.prepared.dataset.name, training, scored, before=upstream_trained_on(context))


def drawn_videos(context: JobContext[Any], training: Sequence[Video]) -> dict[str, Any]:
    """For the record of a job on a draw of the training videos: how many it has, of how many groups; {} for any other."""
    if not (getattr(context.spec, "shots", 0) or getattr(context.spec, "share", 0.0)):
        return {}
    groups = {video.group or video.id for video in training}
    return {"drawn": {"videos": len(training), "groups": len(groups), "draw": context.spec.seed}}


def upstream_trained_on(context: JobContext[Any]) -> TrainedOn:
    """Known ids that the job's initial weights were trained on."""
    files = [context.upstream(role).path(TRAINED_ON) for role in context.job.upstream]
    key = getattr(context.spec, "pretrained", None)
    if key and catalog.is_folder(key.name):
        files.append(Path(key.name) / TRAINED_ON)
    return merge_trained_on(files)
