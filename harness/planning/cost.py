"""Cost of a plan: seconds, GPU-hours and disk space of every job, before anything runs.

The model counts multiply-accumulates: a training step is three forward passes (forward, and twice that backward), two
operations each. The counts of the paper's networks are on file. Those of plug-ins and of other backbones are taken on
PyTorch's meta device, which loads torch. Their rate is measured on this machine's CPU by a tenth of a second of matrix products (of one core,
in processor time, so that other work does not count), times the share of it that networks reach. Jobs on a GPU are
estimated in `gpu_cost.py`.

If there are records of jobs with the same kind, network, streams and scale, estimates are multiplied by the median
ratio of their actual cost to their estimate; otherwise by that of jobs with the same kind and scale. `Estimate.basis`
says which.
"""

from __future__ import annotations

import dataclasses
import functools
import statistics
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.core import job_specs, registry
from harness.core.contract import Baseline, BuildSpec, Clip, Schedule, streams_of
from harness.core.errors import UnknownName
from harness.models.measure import count, size_on_file
from harness.planning import gpu_cost
from harness.planning.features_size import counts_of, features_bytes, videos_of
from harness.planning.gpu_cost import Work
from harness.planning.plan import Plan
from harness.records.record import Record, RunStore

if TYPE_CHECKING:
    import pandas as pd

FORWARD_BATCH = 16
"""Clips per pass without training."""
CPU_SHARE = 0.3
"""Share of the rate of matrix products that a small network reaches on a CPU."""
FLOW_PIXELS_PER_S = 250_000.0
"""TV-L1 with all its iterations, in pixels of a pair of frames, on one core (measured on server CPUs of 2024)."""
VIDEO_S: Mapping[str, float] = {"ucf101": 7.2, "hmdb51": 3.2, "kinetics400": 10.0}
"""Mean length of a video. Micro videos, and others without a length in their lists, count as one second."""
CLASSES = 400
"""Classes of the head of a network that is counted."""
HEAD_S = 5.0
"""A head on cached features, of any size."""
STORE_PIXELS_PER_S = 15e6
"""Decoding and encoding, one core."""
BYTES_A_STORE_PIXEL = 0.06
"""Measured on real clips."""
BYTES_A_FLOW_PIXEL = 0.2
"""Two components of 8 bits, compressed to a tenth, as measured on real clips."""


ASSUMED = {"micro": (2e6, 0.25e9), "paper": (25e6, 100e9)}
"""Scale -> (parameters, multiply-accumulates) of a network that cannot be counted."""


@dataclass(frozen=True)
class Estimate:
    """Cost of one job."""

    seconds: float
    device_s: float
    """Seconds on a GPU; 0 for a CPU job."""
    disk_bytes: float
    """Stored files: weights, features, flow."""
    features_bytes: float
    """Features that the job computes as it needs them, and does not store; 0: none."""
    basis: str
    """'records': corrected by similar finished jobs; 'kind': by finished jobs of its kind; 'model': not corrected;
    'assumed': the network cannot be counted, and no similar job is finished."""


@dataclass(frozen=True, repr=False)
class CostedPlan:
    """A plan, with the estimated cost of each of its jobs."""

    plan: Plan
    costs: Mapping[str, Estimate]
    """Job id -> estimate, also of finished jobs."""

    @property
    def unfinished(self) -> list[Estimate]:
        """Estimates of the jobs still to run."""
        return [self.costs[job.id] for job in self.plan.to_do]

    @property
    def seconds(self) -> float:
        """Estimated seconds of the jobs still to run, one after the other."""
        return sum(cost.seconds for cost in self.unfinished)

    @property
    def gpu_hours(self) -> float:
        """Estimated GPU-hours of the jobs still to run; 0 on a CPU."""
        return sum(cost.device_s for cost in self.unfinished) / 3600

    @property
    def disk_bytes(self) -> float:
        """Bytes that the jobs still to run will store."""
        return sum(cost.disk_bytes for cost in self.unfinished)

    def frame(self) -> pd.DataFrame:
        """One row per job: its id, kind, title, upstream jobs, whether it is finished, and its estimate."""
        import pandas as pd

        return pd.DataFrame(
            {
                "job": job.id,
                "kind": job.kind,
                "title": job.title,
                "after": " ".join(job.upstream.values()),
                "done": job.id in self.plan.done,
                "provisional": job.provisional,
                **dataclasses.asdict(self.costs[job.id]),
            }
            for job in self.plan.jobs
        )

    def __repr__(self) -> str:
        plan = self.plan
        return (
            f"{len(plan.cells)} cell(s), {len(plan.jobs)} job(s), {len(plan.to_do)} to run: {self.seconds:,.0f} s, "
            f"{self.gpu_hours:,.1f} GPU-hours of it; {self.disk_bytes / 1e6:,.0f} MB"
        )

    def _repr_html_(self) -> str:
        return f"<p>{self}</p>{self.frame().to_html(index=False)}"


def costed(plan: Plan, run_store: RunStore) -> CostedPlan:
    """The plan with its cost; a damaged record makes an estimate worse, and nothing else."""
    return CostedPlan(plan, estimates(plan, run_store.readable()))


def measured_flops() -> float:
    """Float32 operations per second of processor time in matrix products, measured on one core for 0.1 s."""
    import numpy as np
    import threadpoolctl

    side = 512
    a = np.ones((side, side), np.float32)
    # On a busy machine, threads that wait for each other use up processor time.
    with threadpoolctl.threadpool_limits(1, "blas"):
        a @ a
        began, products = time.process_time(), 0
        while time.process_time() - began < 0.1:
            a @ a
            products += 1
        return products * 2 * side**3 / (time.process_time() - began)


def estimates(plan: Plan, records: Iterable[Record], *, flops: float | None = None) -> dict[str, Estimate]:
    """Job id -> estimate, for every job of the plan. `flops`: this machine's rate per core; None: measure it now."""
    rate = flops or measured_flops()
    likes, kinds = _corrections(plan, records, rate)
    by_job = {}
    for job in plan.jobs:
        seconds = predicted_s(job.spec, rate)
        like, kind = likes.get(_like(job.spec)), kinds.get(_kind(job.spec))
        factor, basis = (like, "records") if like else (kind, "kind") if kind else (1.0, "model")
        if not like and isinstance(job.spec, job_specs.NetworkSpec) and _network(job.spec) is None:
            basis = "assumed"
        on_gpu = isinstance(job.spec, job_specs.NetworkSpec) and job.spec.on_gpu
        by_job[job.id] = Estimate(
            seconds=seconds * factor,
            device_s=seconds * factor if on_gpu else 0.0,
            disk_bytes=_disk_bytes(job.spec),
            features_bytes=unstored_bytes(job.spec),
            basis=basis,
        )
    return by_job


def _corrections(plan: Plan, records: Iterable[Record], rate: float) -> tuple[dict[str, float], dict[str, float]]:
    """Ratios of the actual cost of finished jobs to their estimates: by similarity, and by kind and scale.

    A network whose size is not on file counts if the plan has it too: counting one loads torch.
    """
    likes: dict[str, list[float]] = {}
    kinds: dict[str, list[float]] = {}
    planned = {_like(job.spec) for job in plan.jobs}
    for record in records:
        spec = record.spec
        try:
            if isinstance(spec, job_specs.NetworkSpec) and _like(spec) not in planned and _on_file(spec) is None:
                continue
            expected, took = predicted_s(spec, rate), float(record.cost.get("wall_s", 0.0))
        except UnknownName:  # of a plug-in that is not loaded
            continue
        if expected > 0 and took > 0:
            likes.setdefault(_like(spec), []).append(took / expected)
            kinds.setdefault(_kind(spec), []).append(took / expected)
    return (
        {name: statistics.median(ratios) for name, ratios in likes.items()},
        {name: statistics.median(ratios) for name, ratios in kinds.items()},
    )


def _like(spec: job_specs.JobSpec) -> str:
    """Key of similar jobs, whose actual cost is about the same multiple of the estimate."""
    if isinstance(spec, job_specs.ClipsSpec):
        return f"{_kind(spec)} {spec.baseline.name} {'+'.join(spec.streams)}"
    return f"{_kind(spec)} {spec.network}" if isinstance(spec, job_specs.ImagesSpec) else _kind(spec)


def _kind(spec: job_specs.JobSpec) -> str:
    if isinstance(spec, job_specs.NetworkSpec):
        return f"{spec.kind} {'gpu' if spec.on_gpu else 'cpu'} {spec.scale.name}"
    return f"{spec.kind} {getattr(spec, 'short_side_px', '')}"


def predicted_s(spec: job_specs.JobSpec, flops: float) -> float:
    """Seconds by the model alone; 0 for an unknown kind of job."""
    if isinstance(spec, job_specs.FlowFilesSpec):
        return _pixels(spec) / FLOW_PIXELS_PER_S
    if isinstance(spec, job_specs.FrameFilesSpec):
        return _pixels(spec) / STORE_PIXELS_PER_S
    if isinstance(spec, job_specs.ProbeSpec) and not spec.computed:
        return HEAD_S
    if not isinstance(spec, job_specs.NetworkSpec):
        return 0.0
    work = _work(spec)
    return gpu_cost.seconds(work, spec) if spec.on_gpu else work.operations / (flops * spec.threads * CPU_SHARE)


def _work(spec: job_specs.NetworkSpec) -> Work:
    _, macs = _network_or_assumed(spec)
    if isinstance(spec, job_specs.ImagesSpec):
        clips, passes = _clips_and_passes(spec.schedule)
        return Work(macs, macs, 1, 1, clips, passes, videos=0)
    assert isinstance(spec, job_specs.FeaturesSpec | job_specs.TrainSpec | job_specs.ProbeSpec)
    sizes = macs, macs * _clips_per_video(spec), _frames(spec.train_clip), _frames(spec.test_clip)
    if isinstance(spec, job_specs.FeaturesSpec):
        clips = videos_of(spec) * spec.train_views
        return Work(*sizes, clips, clips / FORWARD_BATCH, videos_of(spec), trained=False)
    counts = counts_of(spec)
    scored = counts.get((spec.split, spec.subset), 0)
    if isinstance(spec, job_specs.ProbeSpec):
        clips = _training_views(spec)
        return Work(*sizes, clips, clips / FORWARD_BATCH, scored, trained=False)
    clips, passes = _clips_and_passes(spec.schedule)
    evaluations = spec.schedule.steps // spec.schedule.eval_every if spec.schedule.eval_every else 0
    held_out = counts.get((spec.split, "train"), 0) * spec.schedule.held_out
    return Work(*sizes, clips, passes, scored + evaluations * held_out)


def _clips_and_passes(schedule: Schedule) -> tuple[int, int]:
    """Of a whole training."""
    groups = schedule.batch // (schedule.bn_batch or schedule.batch)
    return schedule.steps * schedule.batch, schedule.steps * groups


def _training_views(spec: job_specs.ProbeSpec) -> int:
    """Clips that a job without stored features forwards in training."""
    if spec.schedule:
        return spec.schedule.steps * spec.schedule.batch
    return counts_of(spec).get((spec.split, "train"), 0) * (spec.computed.train_views if spec.computed else 0)


def unstored_bytes(spec: job_specs.JobSpec) -> float:
    """Size of the features that the job computes as it needs them; 0 for any other job."""
    if isinstance(spec, job_specs.ProbeSpec) and spec.computed:
        return features_bytes(spec.features_spec(spec.computed))
    return 0.0


Count = tuple[float, float]
"""(parameters, multiply-accumulates), by default of one training clip."""


def video_count(spec: job_specs.ClipsSpec) -> Count | None:
    """Count of the job's network on all test clips of a video; None if it cannot be taken.

    Its head has the classes of its pre-training, where the size of the network is on file.
    """
    counted = _network(spec)
    return counted and (counted[0], counted[1] * _clips_per_video(spec))


def _clips_per_video(spec: job_specs.ClipsSpec) -> float:
    """Length of all test clips of a video, in training clips."""
    return _frames(spec.test_clip) / max(1.0, _frames(spec.train_clip))


def _network_or_assumed(spec: job_specs.NetworkSpec) -> Count:
    return _network(spec) or ASSUMED.get(spec.scale.name, ASSUMED["paper"])


def _network(spec: job_specs.NetworkSpec) -> Count | None:
    """Count of the job's network: on file, or taken now. None if it cannot be taken."""
    return _on_file(spec) or _counted(*_identity(spec), spec.scale.name, spec.scale.width, spec.backbone)


def _identity(spec: job_specs.NetworkSpec) -> tuple[str, tuple[str, ...]]:
    """(baseline, streams). The 2D image network is estimated as Two-Stream's RGB network."""
    return (spec.baseline.name, spec.streams) if isinstance(spec, job_specs.ClipsSpec) else ("two-stream", ("rgb",))


def _on_file(spec: job_specs.NetworkSpec) -> Count | None:
    """Count of a network of the paper: a single stream of two is half of it, and it grows with the square of the width."""
    name, streams = _identity(spec)
    card: Baseline = registry.load("baseline", name)
    size = size_on_file(card, scale=spec.scale.name)
    if size is None or spec.backbone:
        return None
    share = len(streams) / len(streams_of(card.modalities[0]))
    share *= (spec.scale.width / registry.load("scale", spec.scale.name).width) ** 2
    return size.parameters * share, size.macs * share


@functools.cache
def _counted(name: str, streams: tuple[str, ...], scale_name: str, width: float, backbone: str) -> Count | None:
    scale = dataclasses.replace(registry.load("scale", scale_name), width=width)
    try:
        return count(registry.load("baseline", name), BuildSpec(streams, CLASSES, scale, backbone))
    # A plug-in may do what the meta device cannot; `Estimate.basis` then says that its size is assumed.
    except Exception:  # noqa: BLE001
        return None


def _frames(clip: Clip) -> float:
    return float(clip.span * clip.count)


def _pixels(spec: job_specs.FlowFilesSpec | job_specs.FrameFilesSpec) -> float:
    """Number of frames, or pairs of frames, of the job's videos."""
    side, length_s = spec.short_side_px, VIDEO_S.get(spec.dataset.name, 1.0)
    return videos_of(spec) * length_s * spec.fps * side * side * 4 / 3


def _disk_bytes(spec: job_specs.JobSpec) -> float:
    if isinstance(spec, job_specs.FlowFilesSpec):
        return _pixels(spec) * BYTES_A_FLOW_PIXEL
    if isinstance(spec, job_specs.FrameFilesSpec):
        return _pixels(spec) * BYTES_A_STORE_PIXEL
    if isinstance(spec, job_specs.FeaturesSpec):
        return features_bytes(spec)
    return 4 * _network_or_assumed(spec)[0] if isinstance(spec, job_specs.TrainSpec | job_specs.ImagesSpec) else 1e5
