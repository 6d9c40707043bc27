"""Probes: every view forwarded once through the frozen network, and a head fitted to those features."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from harness.core import registry
from harness.core.contract import Schedule, Video
from harness.core.job_specs import FeaturesSpec, ProbeSpec
from harness.core.plugins import Head
from harness.data.splits import hold_out
from harness.jobs.common import build_head, found_schedule, loss_on, score, start, trained_on, upstream_trained_on
from harness.jobs.context import SCORE_BATCH, Data, JobContext, everything, open_data
from harness.jobs.outcome import Outcome, choice
from harness.models import build, transfer
from harness.models.precision import autocast
from harness.records.record import FEATURES
from harness.training import evaluation
from harness.training.features import Features, HeadTask, feature_views, read_features, stack


def run_features(context: JobContext[FeaturesSpec]) -> Outcome:
    """Every view of every video forwarded once through the frozen source network."""
    data = open_data(context, split=None, videos=lambda listing: everything(context))
    network = build.place(start(context, len(data.listing.classes)), context.device)
    transfer.freeze_all_but_head(network)
    videos = everything(context)
    context.callback.stage("features", len(videos) * (context.spec.train_views + 1), "views")
    one_pass = Schedule(steps=0, batch=SCORE_BATCH, base_lr=0.0)
    train_parts, test_parts = [], []
    broken: list[str] = []
    with torch.inference_mode(), autocast(context.device, context.eval_precision):
        for ids, features in training_views(context, data, network, videos, one_pass):
            train_parts.append((ids, features))
        for inputs, ids in data.views(videos, context.spec.test_clip, broken):
            test_parts.append((ids, network.features(inputs).float().cpu()))  # type: ignore[operator]
            context.callback.advance(len(ids))
    data.note_skipped({*data.skipped, *broken}, len(videos), context.callback)
    position = {video.id: number for number, video in enumerate(videos)}
    train_features, train_video = stack(train_parts, position)
    test_features, test_video = stack(test_parts, position)
    return Outcome(
        listing=data.listing,
        fingerprint=data.prepared.fingerprint,
        features=Features(tuple(position), train_features, train_video, test_features, test_video),
        trained_on=upstream_trained_on(context),
        chosen={"skipped": sorted({*data.skipped, *broken})},
    )


def training_views(
    context: JobContext[FeaturesSpec], data: Data, network: nn.Module, videos: Sequence[Video], one_pass: Schedule
) -> Iterator[tuple[Sequence[str], Tensor]]:
    """`train_views` augmented views of each video, as epochs 0, 1, ... of a training would cut them."""
    whole = -(-len(videos) // one_pass.batch) * context.spec.train_views
    schedule = dataclasses.replace(one_pass, steps=whole)
    views: dict[str, int] = {}
    for step in data.steps(videos, context.spec.train_clip, schedule, seed=0, flip=context.scale.flip)(0):
        features = network.features(step.inputs).float().cpu()  # type: ignore[operator]
        fresh = [number for number, id_ in enumerate(step.ids) if views.get(id_, 0) < context.spec.train_views]
        for number in fresh:
            views[step.ids[number]] = views.get(step.ids[number], 0) + 1
        context.callback.advance(len(fresh))
        yield [step.ids[number] for number in fresh], features[fresh]


def run_head(context: JobContext[ProbeSpec]) -> Outcome:
    """The protocol's head, fitted to cached features."""
    spec, card = context.spec, registry.load("head", context.spec.head.name)
    features = read_features(context.upstream("features").path(FEATURES))
    data = open_data(context, split=spec.split, videos=lambda listing: ())
    # A head has no batch norm, so a batch is one pass.
    schedule = dataclasses.replace(found_schedule(context), bn_batch=0) if spec.schedule else None
    listing, baseline = data.listing, context.baseline
    network: Any = build.build(baseline, context.build_spec(len(listing.classes)))
    head = build_head(network, spec, len(listing.classes)).to(context.device)
    kept, held = hold_out(listing.subsets["train"], schedule.held_out if schedule else 0.0)
    scored = listing.subsets[spec.subset]
    training_ids = trained_on(context, data, kept + held, scored)

    def held_out_loss() -> float:
        return loss_on(context, head, feature_views(features, held, context.device), held)

    config = None
    if schedule:
        loss = evaluation.clip_loss(baseline.loss, baseline.reduce, label_smoothing=schedule.label_smoothing)
        config = context.training_config(schedule, loss)
    task = HeadTask(
        features=features,
        videos=kept,
        params=spec.head.params,
        reduce=baseline.reduce,
        callback=context.callback,
        config=config,
        held_out_loss=held_out_loss if held else None,
    )
    trained = card.fit(head, task)
    context.callback.stage("score", len(scored), "videos")
    known = {features.ids[number] for number in features.test_video.tolist()}
    broken = [video.id for video in scored if video.id not in known]
    scores, one_crop = score(context, head, feature_views(features, scored, context.device), scored, listing, broken)
    return Outcome(
        listing=listing,
        fingerprint=data.prepared.fingerprint,
        network=nn.ModuleDict({"head": head}),
        scores=scores,
        one_crop=one_crop,
        trained=trained,
        trained_on=training_ids,
        chosen=(choice(schedule, trained, held) if schedule else _closed_form(card, spec)) | trained.chosen,
    )


def _closed_form(card: Head, spec: ProbeSpec) -> dict[str, Any]:
    """Selection rule of the weights of a head that is not trained in steps."""
    params = ", ".join(f"{name} = {value}" for name, value in spec.head.params.items())
    return {"rule": f"{card.title}{', ' + params if params else ''}", "held_out": [], "steps": 0, "drops": []}
