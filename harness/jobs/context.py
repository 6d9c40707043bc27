"""Context of a running job: its options, cards and open data."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import torch
from torch import Tensor

from harness.core import registry
from harness.core.callbacks import Callback
from harness.core.cells import Job
from harness.core.contract import Baseline, BuildSpec, Clip, FlowMethod, Listing, Pixels, Scale, Schedule, Video
from harness.core.errors import BrokenVideo, DataMissing, HarnessError
from harness.core.job_specs import ClipsSpec, ImagesSpec, JobSpec, NetworkSpec, ScoredSpec
from harness.data import loader, prepare
from harness.data.derived import Recipe, Store, open_store
from harness.data.flow_store import FlowRecipe, flow_store
from harness.data.frame_store import build_store, recipe_of
from harness.data.reader import reads_store
from harness.data.splits import drawn, validation_listing
from harness.jobs.decoding import decoding_processes
from harness.jobs.options import JobOptions
from harness.records.record import Record
from harness.training.config import Step, TrainingConfig
from harness.training.prefetch import prefetch_to_device
from harness.training.replicas import Replicas
from harness.video import decoder

SCORE_BATCH = 16
LARGE_CLIP_PX = 2**20
"""Pixels of a clip, over its frames: I3D has 3.2 million at paper size, 37,000 at micro size."""
NO_FLOW = FlowMethod(name="none", bound_px=1.0, short_side_px=0)

Spec = TypeVar("Spec", bound=JobSpec)


@dataclass(frozen=True)
class JobContext(Generic[Spec]):
    """A running job: its options, the callback for its progress, and its spec as values."""

    job: Job
    options: JobOptions
    callback: Callback

    @property
    def spec(self) -> Spec:
        return cast(Spec, self.job.spec)

    @property
    def checkpoints(self) -> Path:
        return self.options.workspace.jobs / self.job.id

    @property
    def baseline(self) -> Baseline:
        """The card that builds the job's network."""
        spec = self._network
        name = spec.baseline if isinstance(spec, ImagesSpec) else cast(ClipsSpec, spec).baseline.name
        return registry.load("baseline", name)  # type: ignore[no-any-return]

    @property
    def streams(self) -> tuple[str, ...]:
        return self.job.spec.streams if isinstance(self.job.spec, ClipsSpec) else ("rgb",)

    @property
    def scale(self) -> Scale:
        """The scale of the network and its clips: with the job's flow method, without schedules."""
        flow = self.job.spec.flow if isinstance(self.job.spec, ClipsSpec) else None
        return Scale(**vars(self._network.scale), stages={}, flow=flow.method if flow else NO_FLOW)

    @property
    def pixels(self) -> Pixels | None:
        """Values of the pictures that the network reads; None: [-1, 1]."""
        return self.job.spec.pixels if isinstance(self.job.spec, ClipsSpec) else None

    @property
    def device(self) -> str:
        return self.options.device

    @property
    def decoder(self) -> str:
        """Name of the decoder that the job was planned with."""
        return decoder.named(self.job.spec.decoder)  # type: ignore[attr-defined]

    @property
    def precision(self) -> str:
        """Of training."""
        return self._network.precision

    @property
    def eval_precision(self) -> str:
        """Of everything that a network computes in eval mode."""
        return self._network.scale.eval_precision

    @property
    def _network(self) -> NetworkSpec:
        if not isinstance(self.job.spec, NetworkSpec):
            raise HarnessError(f"job {self.job.id} ({self.job.title}) is of kind '{self.job.kind}' and has no network")
        return self.job.spec

    def build_spec(self, num_classes: int) -> BuildSpec:
        return BuildSpec(self.streams, num_classes, self.scale, self._network.backbone)

    def upstream(self, role: str) -> Record:
        return self.options.run_store.read(self.job.upstream[role])

    def training_config(self, schedule: Schedule, loss: Callable[[Tensor, Tensor], Tensor]) -> TrainingConfig:
        return TrainingConfig(
            schedule=schedule,
            device=self.device,
            precision=self.precision,
            job_id=self.job.id,
            checkpoints=self.checkpoints,
            loss=loss,
            seed=self._network.seed,
            recompute_activations=self._large_clips and not self.scale.compile,
        )

    @property
    def _large_clips(self) -> bool:
        """Whether training should save memory: at micro size, it would take a ninth longer for memory that is not short."""
        spec = self.job.spec
        return isinstance(spec, ClipsSpec) and spec.train_clip.window * spec.train_clip.side_px**2 >= LARGE_CLIP_PX


def configure(context: JobContext[Any]) -> None:
    """Set threads, precision and seed to the values of the spec."""
    network = context.job.spec if isinstance(context.job.spec, NetworkSpec) else None
    if network and network.threads:
        torch.set_num_threads(network.threads)
    torch.backends.cudnn.benchmark = True
    # TF32 keeps ten of the 23 bits, so float32 excludes it.
    torch.backends.cudnn.allow_tf32 = network is None or network.precision != "float32"
    torch.manual_seed(network.seed if network else 0)


@dataclass(frozen=True)
class Data:
    """The videos of a job, and the reader of their frames."""

    prepared: prepare.Prepared
    listing: Listing
    reader: loader.VideoReader
    method: FlowMethod
    device: str
    workers: int
    on_bad_video: str
    pixels: Pixels | None = None
    skipped: set[str] = field(default_factory=set)
    """Ids of training videos that were skipped because they cannot be decoded (--on-bad-video skip)."""

    def steps(
        self,
        videos: Sequence[Video],
        clip: Clip,
        schedule: Schedule,
        *,
        seed: int,
        flip: bool,
        replicas: Replicas | None = None,
    ) -> Callable[[int], Iterator[Step]]:
        """Function k -> this process's forward passes of the training steps from the k-th on."""
        replicas = replicas or Replicas.of(schedule)

        def steps_from(first: int) -> Iterator[Step]:
            batches = loader.train_batches(
                self.reader,
                videos,
                clip=clip,
                batch=schedule.batch // replicas.count,
                seed=seed,
                numbers=replicas.micro_steps(first, schedule.steps),
                flip=flip,
                workers=self.workers,
                pinned=self._on_gpu,
                skipped=self.skipped if self.on_bad_video == "skip" else None,
            )
            try:
                for batch in batches:
                    yield Step(self.inputs(batch), torch.as_tensor(batch.labels, device=self.device), batch.ids)
            except BrokenVideo as error:
                raise self.stopped_by(error) from error

        def tensors(step: Step) -> Iterator[Tensor]:
            return iter((*step.inputs.values(), step.labels))

        return lambda first: prefetch_to_device(steps_from(first), self.device, tensors)

    def held_out_views(self, videos: Sequence[Video], clip: Clip) -> Iterator[tuple[Any, Sequence[str]]]:
        """As `views`, of held-out training videos: one that cannot be decoded is skipped, or raises BrokenVideo."""
        broken: list[str] | None = [] if self.on_bad_video == "skip" else None
        try:
            yield from self.views(videos, clip, broken)
        except BrokenVideo as error:
            raise self.stopped_by(error) from error
        self.skipped.update(broken or ())

    def stopped_by(self, error: BrokenVideo) -> BrokenVideo:
        """The error for a training video that cannot be decoded, with the remedies."""
        if self.on_bad_video == "skip":
            return error
        return BrokenVideo(
            f"{error}. Replace the file, or leave out training videos like it with --on-bad-video skip; "
            f"`harness data verify {self.prepared.dataset.name} --thorough` searches for truncated files"
        )

    def note_skipped(self, videos: Collection[str], total: int, callback: Callback) -> None:
        """Print how many of `total` videos were left out, if any."""
        if videos:
            callback.note(
                f"{len(videos)} of {total} videos cannot be decoded and were left out of the training; `skipped` in the job's "
                "record names them"
            )

    def views(
        self, videos: Sequence[Video], clip: Clip, broken: list[str] | None
    ) -> Iterator[tuple[Any, Sequence[str]]]:
        """Every view of every video once; ids of those that cannot be decoded are added to `broken`, or raise BrokenVideo."""
        workers = min(self.workers, len(videos))
        batches = loader.test_batches(self.reader, videos, clip=clip, batch=SCORE_BATCH, broken=broken, workers=workers)
        views = ((self.inputs(batch), batch.ids) for batch in batches)
        yield from prefetch_to_device(views, self.device, lambda view: view[0].values())

    @property
    def _on_gpu(self) -> bool:
        return self.device.startswith("cuda")

    def inputs(self, batch: loader.Batch) -> dict[str, Tensor]:
        return loader.to_network(batch, self.device, self.method, self.pixels)


def open_data(
    context: JobContext[Any], *, split: int | None, videos: Callable[[Listing], Sequence[Video]], make: bool = False
) -> Data:
    """The job's data set, indexed, with the flow of `videos(listing)` if a stream reads it.

    An upstream job has computed the flow, and another one the frame store. Raises DataMissing, naming the job, if its
    files were deleted since; with `make`, for a finished network that scores again, they are made where they are missing.
    """
    prepared = open_planned(context)
    listing = prepared.listing(prepared.dataset.splits[0] if split is None else split)
    if isinstance(context.spec, ScoredSpec):
        listing = _drawn_and_split(listing, context.spec)
    store, frames = None, None
    if isinstance(context.spec, ClipsSpec) and context.spec.flow:
        store = flow_files(context, prepared, videos(listing), make=make)
    if reads_store(prepared, context.streams, context.scale):
        frames = frame_files(context, prepared, context.scale, videos(listing), make=make)
    reader = loader.VideoReader(
        prepared,
        streams=context.streams,
        scale=context.scale,
        flow_store=store,
        frame_store=frames,
        decoder=context.decoder,
    )
    options = context.options
    return Data(
        prepared,
        listing,
        reader,
        context.scale.flow,
        context.device,
        decoding_processes(options.workers or 0, context.spec, reader, context.callback),
        options.on_bad_video,
        context.pixels,
    )


def _drawn_and_split(listing: Listing, spec: ScoredSpec) -> Listing:
    """The listing with the drawn training videos alone, of which a trial of `harness tune` scores a part."""
    if spec.shots or spec.share:
        listing = drawn(listing, shots=spec.shots, share=spec.share, draw=spec.seed)
    return listing if spec.validation_share is None else validation_listing(listing, spec.validation_share)


def open_planned(context: JobContext[Any]) -> prepare.Prepared:
    """The job's data set. Raises HarnessError if it is not what the job was planned for."""
    dataset = registry.load("dataset", context.spec.dataset.name)
    prepared = prepare.open_prepared(dataset, context.options.workspace.data, progress=context.callback.progress)
    if prepared.fingerprint != context.spec.dataset.fingerprint:
        raise HarnessError(
            f"{dataset.name} under {prepared.root} changed since this job was planned "
            f"(fingerprint {prepared.fingerprint}, planned {context.spec.dataset.fingerprint}); run the command again"
        )
    return dataclasses.replace(prepared, limit=context.spec.dataset.limit)


def flow_files(context: JobContext[Any], prepared: prepare.Prepared, videos: Sequence[Video], *, make: bool) -> Store:
    """The stored flow of `videos`; made where it is missing (`make`), or as an upstream job has made it."""
    flow, fps = context.spec.flow.method, getattr(context.spec, "fps", None) or context.scale.fps
    if make:
        context.callback.stage("flow", len(videos), "videos")
        return flow_store(prepared, flow, videos=videos, fps=fps, decoder=context.decoder, **_how(context))
    return _opened(context, "flow", prepared, FlowRecipe(flow, fps, context.decoder), videos)


def frame_files(
    context: JobContext[Any], prepared: prepare.Prepared, scale: Scale, videos: Sequence[Video], *, make: bool
) -> Store:
    """The frame store of `videos`; made where it is missing (`make`), or as an upstream job has made it."""
    if make:
        context.callback.stage("store", len(videos), "videos")
        return build_store(prepared, scale, videos=videos, decoder=context.decoder, **_how(context))
    return _opened(context, "store", prepared, recipe_of(scale, context.decoder), videos)


def _how(context: JobContext[Any]) -> dict[str, Any]:
    return {"workers": context.options.cpu_threads, "progress": context.callback.progress}


def _opened(
    context: JobContext[Any], role: str, prepared: prepare.Prepared, recipe: Recipe, videos: Sequence[Video]
) -> Store:
    """Files that an upstream job has made. Raises DataMissing, naming that job, if they are not there any more."""
    try:
        return open_store(prepared, recipe, videos)
    except DataMissing as missing:
        job_id = context.job.upstream[role]
        raise DataMissing(
            f"{missing}. Job {job_id} had made it, and it was deleted since: remove "
            f"{context.options.run_store.runs / job_id} and run the same command again"
        ) from missing


def everything(context: JobContext[Any]) -> list[Video]:
    """Every video of the job's data set in any split, once, in the order of ids."""
    return list(open_planned(context).videos)
