"""Training: one network on one data set, with the cards it is planned from, and the cell it produces."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.core import registry
from harness.core.cells import PUBLISHED, Cell, draw_words
from harness.core.contract import Baseline, Dataset, FlowMethod, Frames, Pixels, Protocol, Scale, Schedule, streams_of
from harness.core.errors import HarnessError, UnknownName
from harness.core.job_specs import HeadSpec
from harness.core.plugins import Head
from harness.planning import schedules
from harness.planning.overrides import HEAD, VIEWS, Overrides, apply_overrides, head_params, with_schedules, with_views

IMAGES = "images"
"""Key of the schedule that trains the 2D network of `--init imagenet`."""


@dataclass(frozen=True)
class Training:
    """Everything that the training of one network is planned from."""

    baseline: Baseline
    streams: tuple[str, ...]
    dataset: Dataset
    split: int
    subset: str
    protocol: Protocol
    init: str
    source: str
    """Data set or 'published:NAME' that weights come from; '' under a protocol that starts from init."""
    scale: Scale
    """With the schedules of the protocol and every `--set` applied."""
    seed: int
    backbone: str
    head: HeadSpec | None = None
    """The head that is trained on features; None if the network's own head is trained with the rest."""
    limit: int = 0
    """As `Cell.limit`."""
    shots: int = 0
    """As `Cell.shots`."""
    share: float = 0.0
    """As `Cell.share`."""

    @property
    def stage(self) -> str:
        return stage_of(self.protocol, self.dataset)

    @property
    def schedule(self) -> Schedule:
        """The schedule of the training; no steps where there is none."""
        return self.scale.stages[self.stage] if self.stage else Schedule(steps=0, batch=1, base_lr=0.0)

    @property
    def pixels(self) -> Pixels | None:
        """Values of the pictures that the network reads; None: [-1, 1]."""
        return self.baseline.frames.get(self.scale.name, Frames()).pixels

    @property
    def trains_images(self) -> bool:
        """True if `--init imagenet` is a job at this scale; False if it is published weights."""
        return IMAGES in self.scale.stages

    @property
    def from_source(self) -> bool:
        """True if it starts from the weights of another training."""
        return self.protocol.weights_from == "source" and not self.source.startswith(PUBLISHED)

    @property
    def from_published(self) -> bool:
        """True if it starts from published weights of the same network."""
        return self.protocol.weights_from == "source" and self.source.startswith(PUBLISHED)

    @property
    def title(self) -> str:
        words = [self.baseline.name, "+".join(self.streams), self.dataset.name]
        words[1:1] = [self.backbone] if self.backbone else []
        words += [f"split {self.split}"] if len(self.dataset.splits) > 1 else []
        words += ["pre-training" if self.stage == "source" else self.protocol.name]
        words += [self.init, *self.origin, *filter(None, [draw_words(self.shots, self.share)])]
        words += [f"seed {self.seed}"] if self.seed else []
        words += [f"{key}={value}" for key, value in self.changes]
        return " · ".join(words)

    @property
    def origin(self) -> tuple[str, ...]:
        """('from SOURCE',) for titles, where the source is not the default of the data set."""
        return (f"from {self.source}",) if self.source not in ("", self.dataset.source) else ()

    @property
    def source_training(self) -> Training:
        """The training it starts from: the same network on the source, with seed 0, shared by all splits and seeds."""
        dataset: Dataset = registry.load("dataset", self.source)
        return dataclasses.replace(
            self,
            baseline=registry.load("baseline", self.baseline.name),  # without `--set views`, which is of this test set
            dataset=dataset,
            split=dataset.splits[0],
            subset=dataset.subsets[0],
            protocol=pre_training(),
            source="",
            seed=0,
            head=None,
            shots=0,
            share=0.0,
        )

    @property
    def cell(self) -> Cell:
        """The cell of this one network, its overrides in canonical form: equal trainings have equal cells."""
        return Cell(
            baseline=self.baseline.name,
            modality="+".join(self.streams),
            dataset=self.dataset.name,
            split=self.split,
            subset=self.subset,
            protocol=self.protocol.name,
            init=self.init,
            source=self.source,
            scale=self.scale.name,
            seed=self.seed,
            backbone=self.backbone,
            overrides=self.changes,
            limit=self.limit,
            shots=self.shots,
            share=self.share,
        )

    @property
    def changes(self) -> Overrides:
        """Settings of this training and its source that differ from the cards of the scale and the protocol."""
        card = with_schedules(self.baseline.adapted(registry.load("scale", self.scale.name)), self.protocol)
        values = dict(_scalars("scale", card, self.scale))
        if "flow" in self.streams:
            values |= dict(_flow(card.flow, self.scale.flow))
        for stage in self.stages:
            values |= dict(_schedule(stage, card.stages[stage], self.scale.stages[stage], self.streams))
        views = self.baseline.test_clip[self.scale.name]
        values |= dict(_scalars(VIEWS, registry.load("baseline", self.baseline.name).test_clip[self.scale.name], views))
        if self.head:
            params = registry.load("head", self.head.name).params
            values |= dict(_params(HEAD, {name: params[name].default for name in params}, self.head.params))
        # Whole schedules and methods first; the others change single values of them.
        return tuple(sorted(values.items(), key=lambda pair: (not pair[0].endswith((".schedule", "flow.name")), pair)))

    @property
    def stages(self) -> tuple[str, ...]:
        """Keys of the schedules of this training and of those it starts from."""
        own = (self.stage,) if self.stage else ()
        if self.from_source:
            return own + self.source_training.stages
        starts_from_images = self.init == "imagenet" and self.trains_images and not self.from_published
        return (*own, IMAGES) if starts_from_images else own


def stage_of(protocol: Protocol, dataset: Dataset) -> str:
    """Key of the schedule that trains this protocol on this data set."""
    return "source" if dataset.source is None and protocol.weights_from == "init" else protocol.stage


def pre_training() -> Protocol:
    """The protocol under which the sources of transfer are trained."""
    cards: list[Protocol] = [card for card in registry.all("protocol").values() if card.pre_training]
    return min(cards, key=lambda card: card.order)


def trainings_of(cell: Cell) -> Iterator[Training]:
    """One training per network behind the cell. Raises HarnessError for unknown cards and settings."""
    baseline: Baseline = registry.load("baseline", cell.baseline)
    dataset, protocol = registry.load("dataset", cell.dataset), registry.load("protocol", cell.protocol)
    scale = with_schedules(baseline.adapted(registry.load("scale", cell.scale)), protocol)
    stage, baseline = stage_of(protocol, dataset), with_views(baseline, cell.scale, cell.overrides)
    both = streams_of(cell.modality)
    # One network per stream for late fusion, else a single one for all.
    for streams in [(stream,) for stream in both] if baseline.combine == "late" else [both]:
        yield Training(
            baseline=baseline,
            streams=streams,
            dataset=dataset,
            split=cell.split,
            subset=cell.subset,
            protocol=protocol,
            init=cell.init,
            source=cell.source,
            scale=apply_overrides(scale, stage, cell.overrides, streams=streams),
            seed=cell.seed,
            backbone=cell.backbone,
            head=head_spec(protocol, cell.overrides),
            limit=cell.limit,
            shots=cell.shots,
            share=cell.share,
        )


def head_spec(protocol: Protocol, overrides: Overrides) -> HeadSpec | None:
    """The protocol's head with its parameters; None for a protocol without one.

    Raises HarnessError for an unknown head or parameter, and for a head and a protocol of which only one has a schedule.
    """
    if protocol.trained != HEAD:
        return None
    try:
        head: Head = registry.load("head", protocol.head)
    except UnknownName as error:
        raise UnknownName(f"protocol '{protocol.name}': {error}") from error
    if head.in_steps != bool(protocol.stage):
        needs = (
            "is trained in steps: set stage to the key of a schedule"
            if head.in_steps
            else "follows no schedule: set stage=''"
        )
        raise HarnessError(
            f"protocol '{protocol.name}': stage is {protocol.stage!r}, but the head '{head.name}' {needs}"
        )
    return HeadSpec(head.name, head.version, head_params(head, overrides))


def _scalars(section: str, card: Any, value: Any) -> Iterator[tuple[str, str]]:
    """(key, text) of each number, word or flag in which `value` differs from `card`, two values of one dataclass."""
    for field in dataclasses.fields(value):
        new = getattr(value, field.name)
        if isinstance(new, (bool, int, float, str)) and new != getattr(card, field.name):
            yield f"{section}.{field.name}", text_of(new)


def _flow(card: FlowMethod, method: FlowMethod) -> Iterator[tuple[str, str]]:
    yield from _scalars("flow", card, method)
    yield from _params("flow", card.params if method.name == card.name else {}, method.params)


def _params(
    section: str, usual: Mapping[str, float | str], params: Mapping[str, float | str]
) -> Iterator[tuple[str, str]]:
    for name, value in params.items():
        if value != usual.get(name):
            yield f"{section}.{name}", text_of(value)


def _schedule(stage: str, card: Schedule, schedule: Schedule, streams: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Overrides relative to the card's schedule; to a named one if lists differ, which `--set` cannot change."""
    if (card.milestones, card.lr_factors) != (schedule.milestones, schedule.lr_factors):
        name = schedules.name_of(schedule, streams)
        yield f"{stage}.schedule", name
        card = schedules.named(name, streams)
    yield from _scalars(stage, card, schedule)


def text_of(value: bool | float | str) -> str:
    """The value as `--set` reads it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
