"""Cells -> a DAG of jobs. Shared work appears once, whatever asks for it; what the ledger has is not done again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.core import environment, registry
from harness.core.contract import Baseline, Clip, Dataset, Protocol, Scale, Schedule, Weights
from harness.core.errors import HarnessError
from harness.core.spec import Cell, Job, plain
from harness.core.workspace import Workspace
from harness.data import prepare
from harness.data.frame_store import store_key
from harness.models import pretrained
from harness.planning import keys, tuned
from harness.planning.selection import PUBLISHED, apply_overrides, networks_of, stage_of
from harness.records.record import RunStore
from harness.video import decode

CODE = 2
"""Raised when the trainer or the scorer changes the numbers of every job."""


@dataclass(frozen=True)
class Plan:
    """What has to be done for some cells."""

    jobs: tuple[Job, ...]
    """Every job the cells need, each after those it needs."""
    cells: Mapping[Cell, tuple[str, ...]]
    """Cell -> ids of the jobs whose scores make it: one, or one a stream for late fusion."""
    done: frozenset[str]
    """Ids that the ledger already has."""

    @property
    def to_do(self) -> tuple[Job, ...]:
        """Jobs still to run: those a cell needs that are not done, and what they need in turn."""
        wanted = {job_id for ids in self.cells.values() for job_id in ids}
        needed: set[str] = set()
        for job in reversed(self.jobs):
            if job.id in wanted and job.id not in self.done:
                needed.add(job.id)
                wanted.update(job.upstream.values())
        return tuple(job for job in self.jobs if job.id in needed)


def make_plan(cells: Iterable[Cell], workspace: Workspace, *, looking: bool = False) -> Plan:
    """The graph for `cells`. Data sets that are not there give provisional ids.

    Published weights that are not imported here raise HarnessError, or, where the plan is only `looking`, give
    provisional ids too.
    """
    builder = Planner(workspace, looking=looking)
    by_cell = {cell: builder.jobs_of(cell) for cell in cells}
    run_store = RunStore(workspace.runs)
    done = frozenset(job_id for job_id in builder.jobs if run_store.has(job_id))
    return Plan(jobs=tuple(builder.jobs.values()), cells=by_cell, done=done)


def datasets_of(cells: Iterable[Cell]) -> list[Dataset]:
    """Every data set the cells touch: the scored one, its source, and the images."""
    found: dict[str, Dataset] = {}
    for cell in cells:
        names = [cell.dataset] + ([cell.source] if cell.source and not cell.source.startswith(PUBLISHED) else [])
        datasets = [registry.load("dataset", name) for name in names]
        if cell.init == "imagenet" and "images" in registry.load("scale", cell.scale).stages:
            datasets += [registry.load("dataset", d.image_source) for d in datasets if d.image_source]
        found.update({dataset.name: dataset for dataset in datasets})
    return list(found.values())


@dataclass(frozen=True)
class _Training:
    """Everything a training is planned from: a cell of one network, or what a cell starts from."""

    baseline: Baseline
    streams: tuple[str, ...]
    dataset: Dataset
    split: int
    subset: str
    protocol: Protocol
    init: str
    source: str
    scale: Scale
    """With overrides applied."""
    seed: int
    backbone: str

    @property
    def stage(self) -> str:
        return stage_of(self.protocol, self.dataset)

    @property
    def trains_images(self) -> bool:
        """Whether `--init imagenet` is a job at this scale, and not published weights."""
        return "images" in self.scale.stages

    @property
    def title(self) -> str:
        words = [self.baseline.name, "+".join(self.streams), self.dataset.name]
        words[1:1] = [self.backbone] if self.backbone else []
        words += [f"split {self.split}"] if len(self.dataset.splits) > 1 else []
        words += [self.protocol.name] if self.dataset.source else ["pre-training"]
        words += [self.init] + ([f"seed {self.seed}"] if self.seed else [])
        return " · ".join(words)


class Planner:
    """Collects jobs by id, so that equal work becomes one job."""

    def __init__(
        self,
        workspace: Workspace,
        *,
        looking: bool = False,
        remembered: Callable[[], Mapping[tuple[str, int], str]] = dict,
    ) -> None:
        self.workspace = workspace
        self.remembered = remembered
        """(data set, version) -> fingerprint, of sets that are not indexed here."""
        self.looking = looking
        """Published weights that are not here are planned with, under provisional ids."""
        self.jobs: dict[str, Job] = {}
        self.device = environment.device()
        self.fingerprints: dict[str, str | None] = {}

    def add(self, job: Job) -> str:
        self.jobs.setdefault(job.id, job)
        return job.id

    def jobs_of(self, cell: Cell) -> tuple[str, ...]:
        """Ids of the scored jobs behind a cell."""
        baseline: Baseline = registry.load("baseline", cell.baseline)
        dataset, protocol = registry.load("dataset", cell.dataset), registry.load("protocol", cell.protocol)
        scale, stage = registry.load("scale", cell.scale), stage_of(protocol, dataset)
        return tuple(
            self.training(
                _Training(
                    baseline=baseline,
                    streams=network_streams,
                    dataset=dataset,
                    split=cell.split,
                    subset=cell.subset,
                    protocol=protocol,
                    init=cell.init,
                    source=cell.source,
                    scale=apply_overrides(
                        scale, stage, self.overrides_of(cell, network_streams), streams=network_streams
                    ),
                    seed=cell.seed,
                    backbone=cell.backbone,
                )
            )
            for network_streams in networks_of(baseline, cell.modality)
        )

    def overrides_of(self, cell: Cell, streams: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        """The cell's `--set` pairs, 'tuned' replaced by the rate that was found for its network of `streams`."""
        if not tuned.asked_for(cell.overrides):
            return cell.overrides
        plain = dataclasses.replace(cell, modality="+".join(streams), overrides=tuned.without(cell.overrides))
        planner = Planner(self.workspace)
        (job_id,) = planner.jobs_of(plain)
        return tuned.resolved(cell.overrides, planner.jobs[job_id], self.workspace.results)

    def training(self, training: _Training) -> str:
        if training.protocol.trained == "head":
            return self.add(self.head(training, self.add(self.features(training)), self.found_schedule(training)))
        spec = self.common(training) | self.published(training) | _trained(training)
        return self.add(
            Job(
                kind="train",
                title=training.title,
                spec=spec,
                upstream=self.needs(training, split=training.split) | self.found_schedule(training),
                provisional=self.provisional(training),
                via=training.baseline.name,
            )
        )

    def found_schedule(self, training: _Training) -> dict[str, str]:
        """Under `retrain_on_all`, the same training with a part held out, which finds the drops; {} otherwise."""
        schedule = training.scale.stages[training.stage]
        if not schedule.retrain_on_all:
            return {}
        stages = {**training.scale.stages, training.stage: dataclasses.replace(schedule, retrain_on_all=False)}
        first = dataclasses.replace(training, scale=dataclasses.replace(training.scale, stages=stages))
        return {"schedule": self.training(first)}

    def features(self, training: _Training) -> Job:
        """Every view of every video of the data set, forwarded once: serves all splits, seeds and heads."""
        spec = self.common(training) | self.published(training)
        spec |= {"train_views": training.protocol.train_views, "seed": 0}
        words = [training.baseline.name, "+".join(training.streams), training.dataset.name, "features", training.init]
        return Job(
            kind="features",
            title=" · ".join(words),
            spec=spec,
            upstream=self.needs(training, split=None),
            provisional=self.provisional(training),
            via=training.baseline.name,
        )

    def head(self, training: _Training, features_id: str, found: Mapping[str, str]) -> Job:
        spec = self.common(training) | _trained(training)
        return Job(
            kind="head",
            title=training.title,
            spec=spec,
            upstream={"features": features_id, **found},
            provisional=self.provisional(training),
            via=training.baseline.name,
        )

    def needs(self, training: _Training, *, split: int | None) -> dict[str, str]:
        """Role -> id of the job it waits for: the one whose weights it starts from, and the flow of its videos."""
        found = {}
        if training.protocol.weights_from == "source":
            if not training.source.startswith(PUBLISHED):
                found["source"] = self.training(_source_training(training))
        elif training.init == "imagenet" and training.trains_images:
            found["image"] = self.add(self.images(training))
        if "flow" in training.streams:
            found["flow"] = self.add(self.flow(training, split=split))
        if training.scale.video_source != "originals" and "rgb" in training.streams:
            found["store"] = self.add(self.store(training, split=split))
        return found

    def published(self, training: _Training) -> dict[str, Any]:
        """Published weights that the training starts from, by name and hash: {} where it starts from a job, or scratch.

        Raises HarnessError if they are not imported here: there is no silent fallback.
        """
        if training.protocol.weights_from == "source":
            if not training.source.startswith(PUBLISHED):
                return {}
            name = training.source.removeprefix(PUBLISHED)
            (stream,) = training.streams
            return {"published": self.weights_key(pretrained.stream_weights(training.baseline, name, stream))}
        if training.init == "imagenet" and not training.trains_images:
            weights = pretrained.image_weights(training.baseline, training.backbone)
            return {"published": self.weights_key(weights)}
        return {}

    def weights_key(self, weights: Weights) -> dict[str, str]:
        if self.looking and pretrained.card(weights, self.workspace) is None:
            return {"name": weights.name, "stream": weights.stream, "sha256": ""}
        return pretrained.key(weights, self.workspace)

    def flow(self, training: _Training, *, split: int | None) -> Job:
        """Optical flow of a split's videos (of all, if None), shared by all networks that read it."""
        made = {
            "flow": keys.flow_key(training.scale),
            "fps": training.scale.fps,
            "decoder": decode.decoder_key(),
        }
        return self.preparing("flow", training, split, made)

    def store(self, training: _Training, *, split: int | None) -> Job:
        """The videos of a split (of all, if None) recoded for seeking, shared by all networks that read them."""
        made = {
            "fps": training.scale.fps,
            "short_side_px": training.scale.short_side_px,
            "store": store_key(training.scale),
        }
        return self.preparing("store", training, split, made)

    def preparing(self, kind: str, training: _Training, split: int | None, made: Mapping[str, Any]) -> Job:
        """A job that makes files of a split's videos (of all, if None) before anything is trained on them."""
        spec = {
            "dataset": self.data_key(training.dataset),
            "split": split,
            "subset": training.subset if split is not None else None,
            "code": CODE,
            **made,
        }
        words = [kind, training.dataset.name]
        words += [f"split {split}"] if split and len(training.dataset.splits) > 1 else []
        absent = self.fingerprint(training.dataset) is None
        return Job(kind=kind, title=" · ".join(words), spec=spec, provisional=absent)

    def images(self, training: _Training) -> Job:
        """The 2D network that `--init imagenet` inflates, shared by all baselines that start from it."""
        if training.dataset.image_source is None:
            raise HarnessError(
                f"{training.dataset.name} names no images to train on at scale {training.scale.name}, and published ImageNet "
                "weights have the paper's sizes; pass --init scratch"
            )
        images: Dataset = registry.load("dataset", training.dataset.image_source)
        spec = {
            "network": training.baseline.image_name,
            "backbone": training.backbone,
            "scale": keys.scale_key(training.scale),
            "schedule": keys.schedule_key(training.scale.stages["images"]),
            "clip": plain(_still_clip(training)),
            "dataset": self.data_key(images),
            "seed": 0,
        } | self.machine(training.scale)
        return Job(
            kind="images",
            title=f"{training.backbone or training.baseline.image_name} · {images.name}",
            spec=spec,
            provisional=self.fingerprint(images) is None,
            via=training.baseline.name,
        )

    def common(self, training: _Training) -> dict[str, Any]:
        """What every job of a baseline's network depends on."""
        flow_key = keys.flow_key(training.scale) if "flow" in training.streams else None
        return {
            "baseline": {"name": training.baseline.name, "version": training.baseline.version},
            "backbone": training.backbone,
            "streams": list(training.streams),
            "scale": keys.scale_key(training.scale),
            "train_clip": plain(training.baseline.train_clip[training.scale.name]),
            "test_clip": plain(training.baseline.test_clip[training.scale.name]),
            "dataset": self.data_key(training.dataset),
            "flow": flow_key,
        } | self.machine(training.scale)

    def machine(self, scale: Scale) -> dict[str, Any]:
        """Resolved here, once, and set by every launcher."""
        return {
            "decoder": store_key(scale) if scale.video_source != "originals" else decode.decoder_key(),
            "precision": environment.precision(self.device, scale.precision),
            "threads": (scale.cpu_threads or environment.cpu_threads()) if self.device == "cpu" else 0,
            "code": CODE,
        }

    def data_key(self, dataset: Dataset) -> dict[str, Any]:
        return {"name": dataset.name, "version": dataset.version, "fingerprint": self.fingerprint(dataset) or ""}

    def fingerprint(self, dataset: Dataset) -> str | None:
        if dataset.name not in self.fingerprints:
            here = prepare.expected_fingerprint(dataset, self.workspace.data)
            self.fingerprints[dataset.name] = here or self.remembered().get((dataset.name, dataset.version))
        return self.fingerprints[dataset.name]

    def provisional(self, training: _Training) -> bool:
        """Whether an id will change: data that is not there, or weights that are not, here or in what the training starts from."""
        if (
            self.fingerprint(training.dataset) is None
            or self.published(training).get("published", {}).get("sha256") == ""
        ):
            return True
        starts = training.protocol.weights_from == "source" and not training.source.startswith(PUBLISHED)
        return starts and self.provisional(_source_training(training))


def _source_training(training: _Training) -> _Training:
    """What a transfer starts from: the same network trained on the source, once, with seed 0, for every split and seed."""
    dataset: Dataset = registry.load("dataset", training.source)
    return dataclasses.replace(
        training,
        dataset=dataset,
        split=dataset.splits[0],
        subset=dataset.subsets[0],
        protocol=registry.load("protocol", "original"),
        source="",
        seed=0,
    )


def _still_clip(training: _Training) -> Clip:
    return Clip(window=1, side_px=training.baseline.train_clip[training.scale.name].side_px)


def _trained(training: _Training) -> dict[str, Any]:
    """What a training depends on beside its network and data."""
    return {
        "split": training.split,
        "subset": training.subset,
        "init": training.init,
        "protocol": keys.protocol_key(training.protocol),
        "stage": training.stage,
        "schedule": _schedule(training),
        "seed": training.seed,
    }


def _schedule(training: _Training) -> dict[str, Any]:
    schedule: Schedule = training.scale.stages[training.stage]
    factor = training.baseline.learning_rate.get(training.stage, 1.0)
    return keys.schedule_key(dataclasses.replace(schedule, base_lr=schedule.base_lr * factor))
