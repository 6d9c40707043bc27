"""One job, from its spec to its record: data, network, start, train, score, record."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from harness.core import allocator, environment, locks, registry
from harness.core.callbacks import Callback, CallbackList
from harness.core.cells import Job
from harness.core.contract import NOTHING, Clip, Listing, Scale, Schedule, Video
from harness.core.job_specs import FilesSpec, FlowFilesSpec, FrameFilesSpec, ImagesSpec, TrainSpec
from harness.data.prepare import Prepared
from harness.data.splits import hold_out
from harness.jobs.common import (
    IMAGES_SUBSET,
    as_published,
    drawn_videos,
    found_schedule,
    loss_on,
    score,
    start,
    trained_on,
)
from harness.jobs.context import Data, JobContext, configure, flow_files, frame_files, open_data, open_planned
from harness.jobs.frozen import job_of
from harness.jobs.options import JobOptions
from harness.jobs.outcome import Outcome, choice, cpu_seconds, leave_record
from harness.jobs.probe import run_features, run_head
from harness.models import build, transfer
from harness.models.activation_checkpointing import recompute_stages
from harness.records.record import Record
from harness.records.started import note_start
from harness.training import evaluation
from harness.training.group import Group
from harness.training.replicas import Replicas
from harness.training.trainer import buffers_restored, reestimate_batch_norm, train

logger = logging.getLogger(__name__)
LONG_MEMORY = 0.01
"""Largest batch-norm momentum of moving averages that remember hundreds of steps."""
MEMORIES = 3.0
"""Shortest training whose moving averages are kept, in multiples of their memory of 1 / momentum steps. At a momentum of 0.001,
the largest logit of Two-Stream from scratch is 250 after 1,000 steps, 57 after 2,000 and 11 after 3,000; with statistics
of its final weights it is 2, 7 and 8."""
SHORT_RUN_BATCHES = 16
"""Most batches that re-estimate batch-norm statistics after a short training."""


def execute(job: Job, options: JobOptions, callback: Callback) -> Record:
    """Run the job and return its record, or return the record of a finished job.

    If another process runs the same job, on any machine that shares the results folder, wait for its record. Of the
    processes that torch.distributed connects for one job, the first holds the lock, decides for all and writes the
    record.
    """
    environment.select_gpu(options.device)
    group = Group.current()
    if group.world == 1 and options.run_store.has(job.id):
        return options.run_store.read(job.id)
    with locks.job_lock(options.workspace.jobs, job.id, callback.note) if group.is_main else contextlib.nullcontext():
        if not group.broadcast(options.run_store.has(job.id)):
            _do(job, options, callback, is_main=group.is_main)
            group.broadcast(True)  # no process continues before the record exists
    return options.run_store.read(job.id)


def _do(job: Job, options: JobOptions, callback: Callback, *, is_main: bool) -> None:
    allocator.keep_freed_memory()
    callback.job_started(job)
    if is_main:
        note_start(options.workspace.jobs, job)
    logger.debug("job %s (%s) on %s in process %d", job.id, job.title, options.device, os.getpid())
    started, spent = time.perf_counter(), cpu_seconds()
    context: JobContext[Any] = JobContext(job=job, options=options, callback=callback)
    configure(context)
    if context.device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
    outcome = profiled(context) if options.profile and is_main else KINDS[job.kind](context)
    if is_main:
        locks.clear_leftovers(options.workspace.runs, job.id)
        record = leave_record(context, outcome, wall_s=time.perf_counter() - started, cpu_s=cpu_seconds() - spent)
        shutil.rmtree(context.checkpoints, ignore_errors=True)
        logger.debug("job %s: %s", job.id, ", ".join(f"{name} {value:.6g}" for name, value in record.cost.items()))
        callback.job_finished(record)


def profiled(context: JobContext[Any]) -> Outcome:
    """Run the job and write a page about its time."""
    from harness.jobs import profiler

    folder = context.options.workspace.results / "profiles"
    with profiler.StageProfiler(folder, context.job.id, context.device) as stages:
        callback = CallbackList((context.callback, stages))
        outcome = KINDS[context.job.kind](dataclasses.replace(context, callback=callback))
    context.callback.note(f"time profile: {stages.write_page(context.job.title)}")
    return outcome


def run_flow(context: JobContext[FlowFilesSpec]) -> Outcome:
    """Optical flow of a split's videos, or of all, into the store next to the data set."""
    prepared, listing, videos = videos_of_split(context)
    flow_files(context, prepared, videos, make=True)
    return Outcome(listing=listing, fingerprint=prepared.fingerprint)


def run_store(context: JobContext[FrameFilesSpec]) -> Outcome:
    """The videos of a split, or all, transcoded for fast seeking, next to the data set."""
    prepared, listing, videos = videos_of_split(context)
    sizes = {name: getattr(context.spec, name) for name in ("fps", "short_side_px", "video_source")}
    frame_files(context, prepared, dataclasses.replace(registry.load("scale", "paper"), **sizes), videos, make=True)
    return Outcome(listing=listing, fingerprint=prepared.fingerprint)


def make_upstream_files(job: Job, options: JobOptions, callback: Callback) -> None:
    """Make flow and frame files that upstream jobs have made on a machine whose data folder is another one."""
    environment.select_gpu(options.device)
    for job_id in job.upstream.values():
        record = options.run_store.read(job_id)
        if isinstance(record.spec, FilesSpec):
            KINDS[record.kind](JobContext(job_of(record), options, callback))


def videos_of_split(context: JobContext[Any]) -> tuple[Prepared, Listing, Sequence[Video]]:
    """Videos that the job's split trains on and scores; all of the data set if the job has no split."""
    prepared, split, subset = open_planned(context), context.spec.split, context.spec.subset
    listing = prepared.listing(prepared.dataset.splits[0] if split is None else split)
    if split is None or subset is None:
        return prepared, listing, list(prepared.videos)
    return prepared, listing, [*listing.subsets["train"], *listing.subsets[subset]]


def run_images(context: JobContext[ImagesSpec]) -> Outcome:
    """The 2D network of `--init imagenet`."""
    data = open_data(context, split=None, videos=lambda listing: ())
    network = build.build_image(context.baseline, context.build_spec(len(data.listing.classes)))
    clips = (context.spec.clip, context.spec.clip)
    return train_and_score(context, data, build.place(network, context.device), subset=IMAGES_SUBSET, clips=clips)


def run_train(context: JobContext[TrainSpec]) -> Outcome:
    """A network trained as a whole, from scratch, from images or from a source."""
    spec, subset = context.spec, context.spec.subset
    data = open_data(
        context, split=spec.split, videos=lambda listing: (*listing.subsets["train"], *listing.subsets[subset])
    )
    classes = data.listing.classes
    network = as_published(context, classes) if spec.protocol.trained == NOTHING else start(context, len(classes))
    network = build.place(network, context.device)
    return train_and_score(context, data, network, subset=subset, clips=(spec.train_clip, spec.test_clip))


def train_and_score(
    context: JobContext[Any], data: Data, network: nn.Module, *, subset: str, clips: tuple[Clip, Clip]
) -> Outcome:
    """Train on the training videos that are not held out, then score every video of `subset`."""
    train_clip, test_clip = clips
    schedule, baseline, seed = found_schedule(context), context.baseline, context.spec.seed
    training = data.listing.subsets["train"] if schedule.steps else ()
    kept, held = hold_out(training, schedule.held_out)
    scored = data.listing.subsets[subset]
    training_ids = trained_on(context, data, kept + held, scored)
    loss = evaluation.clip_loss(baseline.loss, baseline.reduce, label_smoothing=schedule.label_smoothing)
    steps_from = data.steps(kept, train_clip, schedule, seed=seed, flip=context.scale.flip)
    group = Group.current()

    def held_out_loss(trained_steps: int) -> float:
        """Of the network as it would be scored now."""
        with buffers_restored(network):
            reestimate(context, data, network, kept, train_clip, trained_steps)
            return loss_on(context, network, data.held_out_views(group.share(held), test_clip), held)

    network.train()
    if context.scale.activation_checkpointing:
        recompute_stages(network)
    if context.scale.compile:
        network.compile()
    if isinstance(context.spec, TrainSpec):
        transfer.freeze(network, context.spec.protocol.trained)
    trained = train(
        network,
        steps_from,
        context.training_config(schedule, loss),
        callback=context.callback,
        held_out_loss=held_out_loss if held else None,
    )
    estimated = reestimate(context, data, network, kept, train_clip, trained.steps)
    data.skipped.update(*group.gather(data.skipped))
    data.note_skipped(data.skipped, len(kept + held), context.callback)
    began = time.perf_counter()
    broken: list[str] = []
    share = group.share(scored)
    context.callback.stage("score", len(share), "videos")
    scores, one_crop = score(context, network, data.views(share, test_clip, broken), scored, data.listing, broken)
    return Outcome(
        listing=data.listing,
        fingerprint=data.prepared.fingerprint,
        network=network,
        scores=scores,
        one_crop=one_crop,
        trained=trained,
        trained_on=training_ids,
        chosen=choice(schedule, trained, held)
        | {"skipped": sorted(data.skipped)}
        | drawn_videos(context, kept + held)
        | ({"batch_norm": f"re-estimated on {estimated} clips"} if estimated else {}),
        score_s=time.perf_counter() - began,
    )


def reestimation_steps(scale: Scale, schedule: Schedule, trained_steps: int) -> int:
    """Batches to re-estimate batch-norm statistics on before scoring; 0: keep the moving averages.

    As many as the scale's `precise_bn_clips` need. Without that setting: as many as were trained on, up to
    SHORT_RUN_BATCHES, if the training was too short for the averages, under 3,000 steps at the released decay.
    """
    if not trained_steps:
        return 0
    if scale.precise_bn_clips:
        return -(-scale.precise_bn_clips // schedule.batch)
    # Removing the bias towards the start would not do: weights of 20 steps ago are others, and their scales multiply from
    # layer to layer, to logits of 1e6 (C3D) and NaN. An average over the last few steps follows the weights.
    short = scale.bn_momentum <= LONG_MEMORY and scale.bn_momentum * trained_steps < MEMORIES
    return min(trained_steps, SHORT_RUN_BATCHES) if short else 0


def reestimate(
    context: JobContext[Any], data: Data, network: nn.Module, videos: Sequence[Video], clip: Clip, trained_steps: int
) -> int:
    """Re-estimate batch-norm statistics for the weights after `trained_steps`, as `reestimation_steps` says.

    The main process does it for all of the group, on the batches that follow the schedule's last step. Returns the number
    of clips; 0: the moving averages of the main process are kept.
    """
    schedule, group = context.spec.schedule, Group.current()
    batches = reestimation_steps(context.scale, schedule, trained_steps)
    if batches and group.is_main:
        _reestimate(context, data, network, videos, clip, batches)
    group.copy_from_main(network.buffers())
    return batches * schedule.batch


def _reestimate(
    context: JobContext[Any], data: Data, network: nn.Module, videos: Sequence[Video], clip: Clip, batches: int
) -> None:
    schedule = context.spec.schedule
    longer = dataclasses.replace(schedule, steps=schedule.steps + batches)
    alone = dataclasses.replace(Replicas.of(schedule), group=Group())
    seed, flip = context.spec.seed, context.scale.flip
    steps = data.steps(videos, clip, longer, seed=seed, flip=flip, replicas=alone)(schedule.steps)
    inputs = (step.inputs for step in steps)
    reestimate_batch_norm(network, inputs, device=context.device, precision=context.eval_precision)


KINDS: Mapping[str, Callable[[JobContext[Any]], Outcome]] = {
    "flow": run_flow,
    "store": run_store,
    "images": run_images,
    "train": run_train,
    "features": run_features,
    "head": run_head,
}
