"""Probes: every view forwarded once through the frozen network, and a head fitted to those features."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from harness.core import registry
from harness.core.contract import Video
from harness.core.job_specs import FeaturesSpec, ProbeSpec
from harness.core.plugins import Head
from harness.data.splits import hold_out
from harness.jobs.common import (
    build_head,
    drawn_videos,
    found_schedule,
    loss_on,
    score,
    trained_on,
    upstream_trained_on,
)
from harness.jobs.context import JobContext, everything, open_data
from harness.jobs.frozen import Frozen, features_context
from harness.jobs.outcome import Outcome, choice
from harness.models import build
from harness.records.record import FEATURES
from harness.training import evaluation
from harness.training.features import Features, HeadTask, feature_views, read_features


def run_features(context: JobContext[FeaturesSpec]) -> Outcome:
    """Every view of every video forwarded once through the frozen source network."""
    videos = everything(context)
    frozen = Frozen.open(context, videos)
    data = frozen.data
    # Without gradients, tensors of inference mode also skip their bookkeeping.
    with torch.inference_mode():
        features = frozen.compute(videos, videos)
    data.note_skipped(data.skipped, len(videos), context.callback)
    return Outcome(
        listing=data.listing,
        fingerprint=data.prepared.fingerprint,
        features=features,
        trained_on=upstream_trained_on(context),
        chosen={"skipped": sorted(data.skipped)},
    )


NO_VIEWS = Features((), *(torch.zeros(0, dtype=torch.int64) for _ in range(4)))


@dataclasses.dataclass(frozen=True)
class Inputs:
    """The features that a head's job reads: stored by another job, or computed when they are needed."""

    features: Features | None
    """None: `frozen` computes each view when it is needed."""
    frozen: Frozen | None = None

    @staticmethod
    def open(context: JobContext[ProbeSpec], train: Sequence[Video], test: Sequence[Video]) -> Inputs:
        """Of these videos. A head that is not trained in steps needs one vector per view, which fits into memory."""
        if not context.spec.computed:
            return Inputs(read_features(context.upstream("features").path(FEATURES)))
        frozen = Frozen.open(features_context(context), [*train, *test])
        if context.spec.schedule:
            return Inputs(None, frozen)
        with torch.inference_mode():
            return Inputs(frozen.compute(train, test, reduce=context.baseline.reduce), frozen)

    def skipped(self, videos: Sequence[Video]) -> list[str]:
        """Ids of those of `videos` that this job could not decode."""
        skipped = self.frozen.data.skipped if self.frozen else set()
        return sorted(video.id for video in videos if video.id in skipped)

    def test_views(
        self, context: JobContext[ProbeSpec], videos: Sequence[Video], broken: list[str]
    ) -> Iterator[tuple[Tensor, Sequence[str]]]:
        """Test views of `videos`; `broken` gets the ids of those that could not be decoded."""
        if self.frozen and not self.features:
            return self.frozen.test_views(videos, broken)
        assert self.features
        known = {self.features.ids[number] for number in self.features.test_video.tolist()}
        broken += [video.id for video in videos if video.id not in known]
        return feature_views(self.features, videos, context.device)


def run_head(context: JobContext[ProbeSpec]) -> Outcome:
    """The protocol's head, fitted to cached features."""
    spec, card = context.spec, registry.load("head", context.spec.head.name)
    data = open_data(context, split=spec.split, videos=lambda listing: ())
    # A head has no batch norm, so a batch is one pass.
    schedule = dataclasses.replace(found_schedule(context), bn_batch=0) if spec.schedule else None
    listing, baseline = data.listing, context.baseline
    network: Any = build.build(baseline, context.build_spec(len(listing.classes)))
    head = build_head(network, spec, len(listing.classes)).to(context.device)
    kept, held = hold_out(listing.subsets["train"], schedule.held_out if schedule else 0.0)
    scored = listing.subsets[spec.subset]
    training_ids = trained_on(context, data, kept + held, scored)
    inputs = Inputs.open(context, kept + held, scored)

    def held_out_loss(_: int) -> float:
        return loss_on(context, head, inputs.test_views(context, held, []), held)

    config = None
    if schedule:
        loss = evaluation.clip_loss(baseline.loss, baseline.reduce, label_smoothing=schedule.label_smoothing)
        config = context.training_config(schedule, loss)
    task = HeadTask(
        features=inputs.features or NO_VIEWS,
        stream=None if inputs.features else inputs.frozen,
        videos=kept,
        params=spec.head.params,
        reduce=baseline.reduce,
        callback=context.callback,
        config=config,
        held_out_loss=held_out_loss if held else None,
    )
    trained = card.fit(head, task)
    context.callback.stage("score", len(scored), "videos")
    broken: list[str] = []
    views = inputs.test_views(context, scored, broken)
    scores, one_crop = score(context, head, views, scored, listing, broken)
    chosen = choice(schedule, trained, held) if schedule else _closed_form(card, spec)
    if skipped := inputs.skipped(kept + held):
        data.note_skipped(skipped, len(kept + held), context.callback)
        chosen |= {"skipped": skipped}
    return Outcome(
        listing=listing,
        fingerprint=data.prepared.fingerprint,
        network=nn.ModuleDict({"head": head}),
        scores=scores,
        one_crop=one_crop,
        trained=trained,
        trained_on=training_ids,
        chosen=chosen | trained.chosen | drawn_videos(context, kept + held),
    )


def _closed_form(card: Head, spec: ProbeSpec) -> dict[str, Any]:
    """Selection rule of the weights of a head that is not trained in steps."""
    params = ", ".join(f"{name} = {value}" for name, value in spec.head.params.items())
    return {"rule": f"{card.title}{', ' + params if params else ''}", "held_out": [], "steps": 0, "drops": []}
