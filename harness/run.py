"""One job, from its spec to its record: data, network, start, train, score, record."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import resource
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness import adapt, environment, evaluate, leaks, locks, published, tuning
from harness.contract import Clip, Listing, Scale, Schedule, Video
from harness.features import (
    Features,
    feature_steps,
    feature_views,
    fit_logistic_regression,
    read_features,
    stack,
    write_features,
)
from harness.holdout import hold_out
from harness.house import House
from harness.leaks import TRAINED_ON, TrainedOn
from harness.metrics import Scores, summary
from harness.recompute import recompute_stages
from harness.record import FEATURES, SCORES, WEIGHTS, Record, write_record, write_scores
from harness.replicas import Replicas, rank_and_world
from harness.spec import Job
from harness.train import Trained, reestimate_batch_norm, train
from harness.watch import Watch
from harness.work import (
    SCORE_BATCH,
    Data,
    Work,
    configure,
    everything,
    open_data,
    open_planned,
    place,
    stored_flow,
)

State = Mapping[str, Tensor]
STILLS_SUBSET = "val"
"""What the 2D network is scored on: stills have no test set here."""


@dataclass
class Outcome:
    """What a job of any kind leaves for its record."""

    listing: Listing
    fingerprint: str
    network: nn.Module | None = None
    scores: Scores | None = None
    trained: Trained = field(default_factory=Trained)
    features: Features | None = None
    trained_on: TrainedOn = field(default_factory=dict)
    chosen: dict[str, Any] = field(default_factory=dict)
    score_s: float = 0.0


def execute(job: Job, house: House, watch: Watch) -> Record:
    """Do the job and return its record; the record of a job that is already done comes straight from the ledger.

    Where another process is at the same job, anywhere on the results folder, its record is waited for. Of the processes that
    torch.distributed has brought together for one job, the first has the lock, decides for all and leaves the record.
    """
    group = Replicas(1, *rank_and_world())
    if group.world == 1 and house.ledger.has(job.id):
        return house.ledger.read(job.id)
    with locks.only_one(house.places.jobs, job.id, watch.note) if group.leads else contextlib.nullcontext():
        if not group.agreed(house.ledger.has(job.id)):
            _do(job, house, watch, leads=group.leads)
            group.agreed(True)  # nobody goes on before the record is there
    return house.ledger.read(job.id)


def _do(job: Job, house: House, watch: Watch, *, leads: bool) -> None:
    tuning.keep_memory()
    watch.job_started(job)
    started = time.perf_counter()
    work = Work(job=job, house=house, watch=watch)
    configure(work)
    if work.device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
    outcome = with_page(work) if house.profile else KINDS[job.kind](work)
    if leads:
        locks.clear_leftovers(house.places.runs, job.id)
        record = leave_record(work, outcome, wall_s=time.perf_counter() - started)
        shutil.rmtree(work.checkpoints, ignore_errors=True)
        watch.job_finished(record)


def with_page(work: Work) -> Outcome:
    """The job done with a stopwatch, which leaves a page."""
    from harness import profile

    with profile.profiled(work.device) as timed:
        outcome = KINDS[work.job.kind](work)
    path = work.house.places.results / "profiles" / f"{work.job.id}.html"
    threads = int(work.spec.get("threads") or 0)
    profile.write(path, profile.page(work.job.title, timed, threads=threads, workers=work.house.workers))
    work.watch.note(f"where its time went: {path}")
    return outcome


# ---------------------------------------------------------------------------------------------------- the kinds of job


def run_flow(work: Work) -> Outcome:
    """Optical flow of a split's videos, or of all, into the store beside the data set."""
    prepared, split = open_planned(work), work.spec["split"]
    listing = prepared.listing(prepared.dataset.splits[0] if split is None else split)
    if split is None:
        videos = everything(work)
    else:
        videos = [*listing.subsets["train"], *listing.subsets[work.spec["subset"]]]
    stored_flow(work, prepared, videos)
    return Outcome(listing=listing, fingerprint=prepared.fingerprint)


def run_stills(work: Work) -> Outcome:
    """The 2D network of `--init imagenet`."""
    data = open_data(work, split=None, videos=lambda listing: ())
    subset = STILLS_SUBSET
    network = place(work.baseline.build_image(work.build_spec(len(data.listing.classes))), work.device)  # type: ignore[misc]
    return train_and_score(work, data, network, subset=subset, clips=(work.clip("clip"), work.clip("clip")))


def run_train(work: Work) -> Outcome:
    """A network trained as a whole, from scratch, from stills or from a source."""
    subset = work.spec["subset"]
    data = open_data(
        work, split=work.spec["split"], videos=lambda listing: (*listing.subsets["train"], *listing.subsets[subset])
    )
    network = place(start(work, len(data.listing.classes)), work.device)
    return train_and_score(work, data, network, subset=subset, clips=(work.clip("train_clip"), work.clip("test_clip")))


def start(work: Work, num_classes: int) -> nn.Module:
    """The network with the weights that the plan says it starts from."""
    spec = work.build_spec(num_classes)
    network = work.baseline.build(spec)
    source, image = starting_weights(work)
    if source is not None:
        adapt.load_source(network, source, num_classes)
    if image is not None:
        adapt.load_image(network, image, work.baseline, spec)
    return network


def starting_weights(work: Work) -> tuple[State | None, State | None]:
    """(state of the same network trained elsewhere, state of the 2D network), of upstream jobs or as published."""
    states = {
        role: adapt.read_weights(work.upstream(role).path(WEIGHTS))
        for role in ("source", "image")
        if role in work.job.upstream
    }
    if "published" in work.spec:
        from baselines.parts.weights import load_imported

        key, where = work.spec["published"], work.house.places
        if key["stream"] == "image":
            weights = published.image_weights(work.baseline, work.spec["backbone"])
            states["image"], _ = load_imported(weights, published.folder(where))
        else:
            weights = published.stream_weights(work.baseline, key["name"], key["stream"])
            states["source"], _ = load_imported(weights, published.folder(where))
    return states.get("source"), states.get("image")


def train_and_score(work: Work, data: Data, network: nn.Module, *, subset: str, clips: tuple[Clip, Clip]) -> Outcome:
    """Train on the training videos that are not held out, then score every video of `subset`."""
    train_clip, test_clip = clips
    schedule, baseline, seed = found_schedule(work), work.baseline, int(work.spec["seed"])
    kept, held = hold_out(data.listing.subsets["train"], schedule.held_out)
    scored = data.listing.subsets[subset]
    seen = trained_on(work, data, kept + held, scored)
    loss = evaluate.clip_loss(baseline.loss, baseline.reduce, label_smoothing=schedule.label_smoothing)
    steps_from = data.steps(kept, train_clip, schedule, seed=seed, flip=work.scale.flip)

    def held_out_loss() -> float:
        return loss_on(work, network, data.views(held, test_clip, []), held)

    prepare_to_train(network, work.scale)
    trained = train(
        network,
        steps_from,
        work.setting(schedule, loss),
        watch=work.watch,
        held_out_loss=held_out_loss if held else None,
    )
    if not Replicas.of(schedule).leads:
        return Outcome(listing=data.listing, fingerprint=data.prepared.fingerprint)
    if work.scale.precise_bn_clips:
        reestimate(work, data, network, kept, train_clip)
    began = time.perf_counter()
    broken: list[str] = []
    work.watch.stage("score", len(scored), "videos")
    scores = score(work, network, data.views(scored, test_clip, broken), scored, data.listing, broken)
    return Outcome(
        listing=data.listing,
        fingerprint=data.prepared.fingerprint,
        network=network,
        scores=scores,
        trained=trained,
        trained_on=seen,
        chosen=choice(schedule, trained, held) | {"quarantined": sorted(data.quarantined)},
        score_s=time.perf_counter() - began,
    )


def prepare_to_train(network: nn.Module, scale: Scale) -> None:
    """In training mode, compiled or recomputing where the scale says so; the names of its parameters stay."""
    network.train()
    if scale.recompute:
        recompute_stages(network)
    if scale.compile:
        network.compile()


def found_schedule(work: Work) -> Schedule:
    """The job's schedule; under `replay`, on all training videos with the drops that an earlier job found on held-out ones."""
    if "schedule" not in work.job.upstream:
        return work.schedule
    found = work.upstream("schedule").chosen
    return dataclasses.replace(
        work.schedule, policy="steps", milestones=tuple(found["drops"]), steps=int(found["steps"]), held_out=0.0
    )


def run_features(work: Work) -> Outcome:
    """Every view of every video forwarded once through the frozen source network."""
    data = open_data(work, split=None, videos=lambda listing: everything(work))
    network = place(start(work, len(data.listing.classes)), work.device)
    adapt.freeze_all_but_head(network)
    videos = everything(work)
    work.watch.stage("features", len(videos) * (work.spec["train_views"] + 1), "views")
    one_pass = Schedule(steps=0, batch=SCORE_BATCH, base_lr=0.0)
    train_parts, test_parts = [], []
    broken: list[str] = []
    with torch.inference_mode(), evaluate.autocast(work.device, work.precision):
        for ids, features in training_views(work, data, network, videos, one_pass):
            train_parts.append((ids, features))
        for inputs, ids in data.views(videos, work.clip("test_clip"), broken):
            test_parts.append((ids, network.features(inputs).float().cpu()))  # type: ignore[operator]
            work.watch.advance(len(ids))
    position = {video.id: number for number, video in enumerate(videos)}
    train_features, train_video = stack(train_parts, position)
    test_features, test_video = stack(test_parts, position)
    return Outcome(
        listing=data.listing,
        fingerprint=data.prepared.fingerprint,
        features=Features(tuple(position), train_features, train_video, test_features, test_video),
        trained_on=upstream_trained_on(work),
    )


def training_views(
    work: Work, data: Data, network: nn.Module, videos: Sequence[Video], one_pass: Schedule
) -> Iterator[tuple[Sequence[str], Tensor]]:
    """`train_views` augmented views of each video, as epochs 0, 1, ... of a training would cut them."""
    whole = -(-len(videos) // one_pass.batch) * int(work.spec["train_views"])
    schedule = dataclasses.replace(one_pass, steps=whole)
    seen: dict[str, int] = {}
    for step in data.steps(videos, work.clip("train_clip"), schedule, seed=0, flip=work.scale.flip)(0):
        features = network.features(step.inputs).float().cpu()  # type: ignore[operator]
        fresh = [number for number, id_ in enumerate(step.ids) if seen.get(id_, 0) < work.spec["train_views"]]
        for number in fresh:
            seen[step.ids[number]] = seen.get(step.ids[number], 0) + 1
        work.watch.advance(len(fresh))
        yield [step.ids[number] for number in fresh], features[fresh]


def run_head(work: Work) -> Outcome:
    """The softmax layer of the Fixed protocol, trained on cached features."""
    record = work.upstream("features")
    features = read_features(record.path(FEATURES))
    data = open_data(work, split=work.spec["split"], videos=lambda listing: ())
    # No batch norm in a head, so nothing to keep apart: a batch is one pass.
    listing, schedule, baseline = (
        data.listing,
        dataclasses.replace(found_schedule(work), replica_batch=0),
        work.baseline,
    )
    network = baseline.build(work.build_spec(len(listing.classes)))
    network.new_head(len(listing.classes))
    head = network.head.to(work.device)
    kept, held = hold_out(listing.subsets["train"], schedule.held_out)
    scored = listing.subsets[work.spec["subset"]]
    seen = trained_on(work, data, kept + held, scored)
    loss = evaluate.clip_loss(baseline.loss, baseline.reduce, label_smoothing=schedule.label_smoothing)

    def held_out_loss() -> float:
        return loss_on(work, head, feature_views(features, held, work.device), held)

    head.train()
    if schedule.optimiser == "logreg":
        held = []
        fit_logistic_regression(head, features, listing.subsets["train"], schedule, reduce=baseline.reduce)
        trained = Trained()
    else:
        trained = train(
            head,
            feature_steps(features, kept, schedule, seed=int(work.spec["seed"]), device=work.device),
            work.setting(schedule, loss),
            watch=work.watch,
            held_out_loss=held_out_loss if held else None,
        )
    work.watch.stage("score", len(scored), "videos")
    known = {features.ids[int(number)] for number in features.test_video}
    broken = [video.id for video in scored if video.id not in known]
    scores = score(work, head, feature_views(features, scored, work.device), scored, listing, broken)
    return Outcome(
        listing=listing,
        fingerprint=data.prepared.fingerprint,
        network=nn.ModuleDict({"head": head}),
        scores=scores,
        trained=trained,
        trained_on=seen,
        chosen=choice(schedule, trained, held),
    )


KINDS = {"flow": run_flow, "stills": run_stills, "train": run_train, "features": run_features, "head": run_head}


# ---------------------------------------------------------------------------------------------------- their steps


def score(
    work: Work, module: nn.Module, views: Iterator[Any], videos: Sequence[Video], listing: Listing, broken: list[str]
) -> Scores:
    """Scores of `videos`, the subset that the job is scored on; `broken` fills while `views` is read."""
    logits = evaluate.video_logits(
        module, views, reduce=work.baseline.reduce, device=work.device, precision=work.precision, watch=work.watch
    )
    missing = listing.missing_of(str(work.spec.get("subset", STILLS_SUBSET)))
    return evaluate.make_scores(logits, videos, num_classes=len(listing.classes), undecodable=broken, missing=missing)


def loss_on(work: Work, module: nn.Module, views: Iterator[Any], videos: Sequence[Video]) -> float:
    """Mean cross-entropy of the held-out videos' logits."""
    logits = evaluate.video_logits(
        module, views, reduce=work.baseline.reduce, device=work.device, precision=work.precision, watch=Watch()
    )
    labels = {video.id: video.label for video in videos}
    stacked = torch.tensor([logits[video_id].tolist() for video_id in logits])
    return float(nn.functional.cross_entropy(stacked, torch.tensor([labels[video_id] for video_id in logits])))


def reestimate(work: Work, data: Data, network: nn.Module, videos: Sequence[Video], clip: Clip) -> None:
    """Batch-norm statistics of the final weights, over clips that come after the last training step."""
    schedule = work.schedule
    extra = -(-work.scale.precise_bn_clips // schedule.batch)
    longer = dataclasses.replace(schedule, steps=schedule.steps + extra)
    alone = dataclasses.replace(Replicas.of(schedule), rank=0, world=1)
    seed, flip = int(work.spec["seed"]), work.scale.flip
    steps = data.steps(videos, clip, longer, seed=seed, flip=flip, replicas=alone)(schedule.steps)
    reestimate_batch_norm(network, (step.inputs for step in steps), device=work.device, precision=work.precision)


def choice(schedule: Schedule, trained: Trained, held: Sequence[Video]) -> dict[str, Any]:
    """How the final weights were chosen, in words, and on what."""
    drops = trained.drops or list(schedule.milestones)
    rule = "last step of a fixed schedule"
    if schedule.optimiser == "logreg":
        rule = f"logistic regression, C = {schedule.logreg_c:g}"
    elif held:
        rule = f"last step; ten-fold drops at {drops or 'no step'} on the held-out loss"
    elif schedule.replay:
        rule = f"last step; drops at {drops or 'no step'} as an earlier job found them on held-out videos"
    return {"rule": rule, "held_out": [video.id for video in held], "steps": trained.steps, "drops": drops}


def trained_on(work: Work, data: Data, training: Sequence[Video], scored: Sequence[Video]) -> TrainedOn:
    """What the weights will have been trained on, upstream included. Raises HarnessError if a scored video is among it."""
    return leaks.refuse(data.prepared.dataset.name, training, scored, before=upstream_trained_on(work))


def upstream_trained_on(work: Work) -> TrainedOn:
    """What the weights that the job starts from were trained on."""
    return leaks.merged(work.upstream(role).path(TRAINED_ON) for role in work.job.upstream)


# ---------------------------------------------------------------------------------------------------- the record


def leave_record(work: Work, outcome: Outcome, *, wall_s: float) -> Record:
    """Everything the job found out, in one folder, by one rename."""
    job, trained = work.job, outcome.trained
    record = Record(
        job_id=job.id,
        kind=job.kind,
        title=job.title,
        spec=job.spec,
        upstream=job.upstream,
        environment=environment.describe(),
        fingerprint=outcome.fingerprint,
        metrics=summary(outcome.scores) if outcome.scores else {},
        cost=cost(outcome, wall_s=wall_s),
        curves=tuple({"step": step, "name": name, "value": value} for step, name, value in trained.curves),
        classes=outcome.listing.classes,
        chosen=outcome.chosen,
        finished_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )

    def fill(folder: Path) -> None:
        if outcome.scores:
            write_scores(folder / SCORES, outcome.scores)
        if outcome.network is not None:
            adapt.write_weights(folder / WEIGHTS, outcome.network, metadata={"job": job.id, "title": job.title})
        if outcome.features:
            write_features(folder / FEATURES, outcome.features)
        (folder / TRAINED_ON).write_text(json.dumps(outcome.trained_on))

    return write_record(work.house.places.runs, record, fill=fill)


def cost(outcome: Outcome, *, wall_s: float) -> dict[str, float]:
    """What the job took.

    `device_s` is wall-clock times GPUs, 0 on a CPU. `peak_memory_bytes` is the most that this process ever held: of a worker
    that did several jobs, the most of any so far. `peak_device_bytes` is the job's own, on the first of its GPUs.
    """
    trained = outcome.trained
    per_kib = 1 if sys.platform == "darwin" else 1024
    on_gpu = environment.device().startswith("cuda")
    return {
        "wall_s": round(wall_s, 3),
        "device_s": round(wall_s * rank_and_world()[1], 3) if on_gpu else 0.0,
        "train_s": round(trained.seconds, 3),
        "score_s": round(outcome.score_s, 3),
        "samples_per_s": round(trained.samples / trained.seconds, 2) if trained.seconds else 0.0,
        "wait_share": round(trained.wait_s / trained.seconds, 4) if trained.seconds else 0.0,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * per_kib,
        "peak_device_bytes": torch.cuda.max_memory_allocated() if on_gpu else 0,
    }
