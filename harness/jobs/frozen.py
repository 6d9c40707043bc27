"""Features of a frozen network: all at once for the job that stores them, or as a head's job needs them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness.core.cells import Job
from harness.core.contract import Schedule, Video
from harness.core.job_specs import FeaturesSpec, ProbeSpec
from harness.jobs.common import start
from harness.jobs.context import SCORE_BATCH, Data, JobContext, open_data
from harness.models import build, transfer
from harness.models.precision import autocast
from harness.records.record import Record
from harness.training.config import Step
from harness.training.evaluation import reduce_positions
from harness.training.features import Features, stack

Parts = list[tuple[Sequence[str], Tensor]]
"""Ids of videos, and the features (views, P, F) of one view of each."""


def job_of(record: Record) -> Job:
    """The job of a record."""
    return Job(spec=record.spec, title=record.title, upstream=record.upstream, cell=record.cell)


def features_context(context: JobContext[ProbeSpec]) -> JobContext[FeaturesSpec]:
    """The context of the job that stored a head's features, or of the one that would have."""
    if context.spec.computed:
        job = dataclasses.replace(context.job, spec=context.spec.features_spec(context.spec.computed))
    else:
        job = job_of(context.upstream("features"))
    return JobContext(job=job, options=context.options, callback=context.callback)


@dataclass(frozen=True)
class Frozen:
    """A frozen network and the videos it reads."""

    context: JobContext[FeaturesSpec]
    data: Data
    network: Any

    @staticmethod
    def open(context: JobContext[FeaturesSpec], videos: Sequence[Video]) -> Frozen:
        """With the flow of `videos`, if the network reads flow."""
        data = open_data(context, split=None, videos=lambda listing: videos)
        network = build.place(start(context, len(data.listing.classes)), context.device)
        transfer.freeze_all_but_head(network)
        return Frozen(context, data, network)

    def compute(self, train: Sequence[Video], test: Sequence[Video], *, reduce: str = "") -> Features:
        """Features of the training views of `train` and the test views of `test`.

        `reduce`: 'mean' or 'last' over positions, for P times less memory; '': every position. Videos that cannot be decoded
        have no test views.
        """
        spec, broken = self.context.spec, list[str]()
        self.context.callback.stage("features", len(train) * spec.train_views + len(test), "views")
        train_parts = [_reduced(part, reduce) for part in self._training_views(train)]
        test_parts = []
        for features, ids in self.test_views(test, broken):
            test_parts.append(_reduced((ids, features.float().cpu()), reduce))
            self.context.callback.advance(len(ids))
        self.data.skipped.update(broken)
        position = {video.id: number for number, video in enumerate(dict.fromkeys((*train, *test)))}
        return Features(tuple(position), *stack(train_parts, position), *stack(test_parts, position))

    def _training_views(self, videos: Sequence[Video]) -> Iterator[tuple[Sequence[str], Tensor]]:
        """`train_views` augmented views of each video, as epochs 0, 1, ... of a training would cut them."""
        wanted = self.context.spec.train_views
        schedule = Schedule(steps=-(-len(videos) // SCORE_BATCH) * wanted, batch=SCORE_BATCH, base_lr=0.0)
        views: dict[str, int] = {}
        for step in self.steps(videos, schedule, seed=0)(0):
            fresh = [number for number, id_ in enumerate(step.ids) if views.get(id_, 0) < wanted]
            for number in fresh:
                views[step.ids[number]] = views.get(step.ids[number], 0) + 1
            self.context.callback.advance(len(fresh))
            yield [step.ids[number] for number in fresh], step.inputs[fresh].float().cpu()

    def steps(self, videos: Sequence[Video], schedule: Schedule, *, seed: int) -> Callable[[int], Iterator[Step]]:
        """Training steps whose inputs are the features (N, P, F) of newly cut views."""
        spec = self.context.spec
        clips_from = self.data.steps(videos, spec.train_clip, schedule, seed=seed, flip=self.context.scale.flip)

        def steps_from(first: int) -> Iterator[Step]:
            for step in clips_from(first):
                yield step._replace(inputs=self._features(step.inputs))

        return steps_from

    def views(self, videos: Sequence[Video]) -> Iterator[tuple[Tensor, list[str]]]:
        """((n, P, F), ids of the videos): the training views of these videos, in batches."""
        for ids, features in self._training_views(videos):
            yield features, list(ids)

    def test_views(self, videos: Sequence[Video], broken: list[str]) -> Iterator[tuple[Tensor, Sequence[str]]]:
        """((n, P, F), ids of the videos): their test views; `broken` gets the ids of those that cannot be decoded."""
        for inputs, ids in self.data.views(videos, self.context.spec.test_clip, broken):
            yield self._features(inputs), ids

    def _features(self, inputs: Any) -> Tensor:
        with torch.no_grad(), autocast(self.context.device, self.context.eval_precision):
            features: Tensor = self.network.features(inputs)
            return features


def _reduced(part: tuple[Sequence[str], Tensor], reduce: str) -> tuple[Sequence[str], Tensor]:
    ids, features = part
    return ids, reduce_positions(features, reduce).unsqueeze(1) if reduce else features
