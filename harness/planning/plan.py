"""Cells -> graph of jobs. Shared work appears once; finished jobs are not run again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.core import environment, registry
from harness.core.cells import PUBLISHED, Cell, Job, upstream_closure
from harness.core.contract import NOTHING, Dataset
from harness.core.job_specs import ComputedFeatures, FeaturesSpec, JobSpec, PretrainedSpec
from harness.core.workspace import Workspace
from harness.data import prepare
from harness.data.splits import drawn
from harness.models import pretrained
from harness.planning import tuned
from harness.planning.features_size import computed
from harness.planning.overrides import HEAD
from harness.planning.spec_builder import Specs
from harness.planning.training import IMAGES, Training, trainings_of
from harness.records.record import RunStore


@dataclass(frozen=True)
class Plan:
    """The jobs behind some cells."""

    jobs: tuple[Job, ...]
    """Every job that the cells need, each after its upstream jobs."""
    cells: Mapping[Cell, tuple[str, ...]]
    """Cell -> ids of the jobs with its scores: one, or one per stream for late fusion."""
    done: frozenset[str]
    """Ids of finished jobs."""

    @property
    def to_do(self) -> tuple[Job, ...]:
        """Jobs still to run: unfinished jobs of the cells, and their unfinished upstream jobs."""
        unfinished = {job.id: job for job in self.jobs if job.id not in self.done}
        needed = upstream_closure((job_id for ids in self.cells.values() for job_id in ids), unfinished)
        return tuple(job for job in self.jobs if job.id in needed)


def make_plan(cells: Iterable[Cell], workspace: Workspace, *, dry_run: bool = False) -> Plan:
    """The graph for `cells`. Data sets that are not on disk give provisional ids.

    Published weights that are not imported raise HarnessError; in a `dry_run` they give provisional ids too.
    """
    cells = list(cells)
    check_classes(cells, workspace)
    planner = Planner(workspace, dry_run=dry_run)
    by_cell = {cell: planner.jobs_of(cell) for cell in cells}
    run_store = RunStore(workspace.runs)
    done = frozenset(job_id for job_id in planner.jobs if run_store.has(job_id))
    return Plan(jobs=tuple(planner.jobs.values()), cells=by_cell, done=done)


def check_classes(cells: Iterable[Cell], workspace: Workspace) -> None:
    """Raise HarnessError where published weights are to be scored unchanged and lack a known class of the data set."""
    for cell in cells:
        if registry.load("protocol", cell.protocol).trained != NOTHING:
            continue
        classes = prepare.known_classes(registry.load("dataset", cell.dataset), workspace.data)
        for weights in pretrained.offered(
            registry.load("baseline", cell.baseline), cell.source.removeprefix(PUBLISHED)
        ):
            stored = pretrained.card(weights, workspace)
            if labels := (stored and stored["labels"]) or weights.labels:
                pretrained.rows_of(classes, labels, weights.classes)


def datasets_of(cells: Iterable[Cell]) -> list[Dataset]:
    """Every data set that the cells read: the scored data set, its source, and the images."""
    datasets: dict[str, Dataset] = {}
    for cell in cells:
        names = [cell.dataset] + ([cell.source] if cell.source and not cell.source.startswith(PUBLISHED) else [])
        cards = [registry.load("dataset", name) for name in names]
        if cell.init == "imagenet" and IMAGES in registry.load("scale", cell.scale).stages:
            cards += [registry.load("dataset", card.image_source) for card in cards if card.image_source]
        datasets |= {card.name: card for card in cards}
    return list(datasets.values())


class Planner:
    """Collects jobs by id, so that equal jobs are planned once."""

    def __init__(self, workspace: Workspace, *, dry_run: bool = False) -> None:
        self.workspace = workspace
        self.dry_run = dry_run
        """Plan published weights that are not imported under provisional ids."""
        self.jobs: dict[str, Job] = {}
        self.fingerprints: dict[str, str | None] = {}
        self.specs = Specs(environment.device(), environment.cpu_threads(), self.fingerprint, self.pretrained)

    def jobs_of(self, cell: Cell) -> tuple[str, ...]:
        """Ids of the scored jobs behind a cell."""
        return tuple(self.training(training) for training in self.trainings(cell))

    def trainings(self, cell: Cell) -> list[Training]:
        """Trainings of the cell's networks, with 'tuned' replaced by the rate chosen for each of them."""
        if not tuned.asked_for(cell.overrides):
            return list(trainings_of(cell))
        untuned = dataclasses.replace(cell, overrides=tuned.without(cell.overrides))
        resolved = []
        for number, training in enumerate(trainings_of(untuned)):
            planner = Planner(self.workspace)
            job = planner.jobs[planner.training(training)]
            overrides = tuned.resolved(cell.overrides, job, self.workspace.results)
            resolved.append(list(trainings_of(dataclasses.replace(cell, overrides=overrides)))[number])
        return resolved

    def training(self, training: Training) -> str:
        """Id of the job with the training's scores. Raises HarnessError as `check_videos` does."""
        self.check_videos(training)
        if training.head:
            features = self.specs.features(training)
            if computed(features, training.scale.features):
                upstream = self.needs(training, split=None) | self.found_schedule(training)
                probe = self.specs.probe(training, ComputedFeatures(features.pretrained, features.train_views))
                return self.add(probe, training, upstream)
            upstream = {"features": self.features(training, features), **self.found_schedule(training)}
            return self.add(self.specs.probe(training), training, upstream)
        upstream = self.needs(training, split=training.split) | self.found_schedule(training)
        return self.add(self.specs.train(training), training, upstream)

    def check_videos(self, training: Training) -> None:
        """Raise HarnessError where the data set is on disk, and its training videos are too few for the draw or the head."""
        check = registry.load("head", training.head.name).check if training.head else None
        if not (training.shots or training.share or check) or not self.fingerprint(training.dataset):
            return
        prepared = prepare.open_prepared(training.dataset, self.workspace.data, render=False)
        listing = dataclasses.replace(prepared, limit=training.limit).listing(training.split)
        if training.shots or training.share:
            listing = drawn(listing, shots=training.shots, share=training.share, draw=training.seed)
        if check and training.head:
            check(training.head.params, listing)

    def features(self, training: Training, spec: FeaturesSpec) -> str:
        """Features of every view of every video of the data set, shared by all splits, seeds and heads."""
        own = (f"{training.stage}.", f"{HEAD}.")
        changes = (f"{key}={value}" for key, value in training.changes if not key.startswith(own))
        network = (training.baseline.name, "+".join(training.streams), training.dataset.name)
        words = (*network, "features", training.init, *training.origin, *changes)
        upstream = self.needs(training, split=None)
        return self.add(spec, training, upstream, words=words)

    def found_schedule(self, training: Training) -> dict[str, str]:
        """Under `retrain_on_all`: the same training with a held-out part, which chooses the drops; {} otherwise."""
        if not training.stage or not training.scale.stages[training.stage].retrain_on_all:
            return {}
        schedule = dataclasses.replace(training.scale.stages[training.stage], retrain_on_all=False)
        stages = {**training.scale.stages, training.stage: schedule}
        first = dataclasses.replace(training, scale=dataclasses.replace(training.scale, stages=stages))
        return {"schedule": self.training(first)}

    def needs(self, training: Training, *, split: int | None) -> dict[str, str]:
        """Role -> id of an upstream job: the job whose weights it starts from, and the jobs that make its files."""
        upstream = {}
        if training.from_source:
            upstream["source"] = self.training(training.source_training)
        elif training.init == "imagenet" and training.trains_images and not training.from_published:
            upstream["image"] = self.images(training)
        if "flow" in training.streams:
            upstream["flow"] = self.files("flow", self.specs.flow(training, split), training)
        if training.scale.video_source != "originals" and "rgb" in training.streams:
            upstream["store"] = self.files("store", self.specs.frames(training, split), training)
        return upstream

    def images(self, training: Training) -> str:
        """The 2D network that `--init imagenet` inflates, shared by all baselines that start from it."""
        spec = self.specs.images(training)
        changes = (f"{key}={value}" for key, value in training.changes if key.startswith((f"{IMAGES}.", "scale.")))
        return self.add(spec, training, {}, words=(spec.backbone or spec.network, spec.dataset.name, *changes))

    def files(self, content: str, spec: JobSpec, training: Training) -> str:
        """Id of the job that makes files of a split's videos, or of all videos, for all networks that read them."""
        split = getattr(spec, "split", None)
        of_split = (f"split {split}",) if split and len(training.dataset.splits) > 1 else ()
        read = (
            ("flow.", "scale.fps") if content == "flow" else ("scale.fps", "scale.short_side_px", "scale.video_source")
        )
        changes = (f"{key}={value}" for key, value in training.changes if key.startswith(read))
        return self.add(spec, training, {}, words=(content, training.dataset.name, *of_split, *changes))

    def add(
        self, spec: JobSpec, training: Training, upstream: Mapping[str, str], *, words: tuple[str, ...] = ()
    ) -> str:
        """Id of the job of `spec`, which is added to the plan if it is new. `words` form its title."""
        job = Job(
            spec=spec,
            title=" · ".join(
                (*(words or (training.title,)), *((f"limit {training.limit}",) if training.limit else ()))
            ),
            upstream=upstream,
            cell=training.cell,
            provisional=self.provisional(spec, upstream),
        )
        return self.jobs.setdefault(job.id, job).id

    def provisional(self, spec: JobSpec, upstream: Mapping[str, str]) -> bool:
        """True if data or weights of this job, or of an upstream job, are not available yet."""
        weights: PretrainedSpec | None = getattr(getattr(spec, "computed", None) or spec, "pretrained", None)
        absent = not spec.dataset.fingerprint or (weights is not None and not weights.sha256)
        return absent or any(self.jobs[job_id].provisional for job_id in upstream.values())

    def pretrained(self, training: Training) -> PretrainedSpec | None:
        """Published weights it starts from, or None. Raises HarnessError if they are not imported, except in a dry run."""
        if training.from_published:
            name = training.source.removeprefix(PUBLISHED)
            weights = pretrained.stream_weights(training.baseline, name, "+".join(training.streams))
        elif training.protocol.weights_from == "init" and training.init == "imagenet" and not training.trains_images:
            weights = pretrained.image_weights(training.baseline, training.backbone)
        else:
            return None
        if self.dry_run and pretrained.card(weights, self.workspace) is None:
            return PretrainedSpec(weights.name, weights.stream, "")
        return PretrainedSpec(**pretrained.key(weights, self.workspace))

    def fingerprint(self, dataset: Dataset) -> str | None:
        if dataset.name not in self.fingerprints:
            self.fingerprints[dataset.name] = prepare.expected_fingerprint(dataset, self.workspace.data)
        return self.fingerprints[dataset.name]
