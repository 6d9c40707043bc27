"""What a job asks of the machine it runs on, read from its spec and from what jobs like it took."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from harness.core.job_specs import ClipsSpec, FlowFilesSpec, ImagesSpec, JobSpec, NetworkSpec, TrainSpec
from harness.core.spec import Job
from harness.records.record import Record

GIB = 2**30
ON_ALL_CORES = ("flow", "store")
"""Kinds of job that work on videos one process a core."""
UNKNOWN_BYTES = GIB
"""Of a job whose like has never been measured here: a micro job stays below."""
ROOM = 1.2
"""Over the most that a job of its kind has taken."""


@dataclass(frozen=True)
class Needs:
    """A job's share of a machine."""

    cpus: int
    """Cores, which are also its threads."""
    gpus: int
    memory_bytes: int


def on_gpu(job: Job) -> bool:
    """True if the job was planned for a GPU: its network, or its flow, is computed there."""
    spec = job.spec
    if isinstance(spec, FlowFilesSpec):
        return spec.flow.method.params.get("device") == "cuda"
    return getattr(spec, "threads", 1) == 0


def threads_of(job: Job) -> int:
    """CPU threads that the plan resolved for the job; 1 for a job without a network."""
    return max(1, getattr(job.spec, "threads", 1))


def members_of(job: Job, gpus_per_job: int) -> int:
    """Processes, up to `gpus_per_job`, that can share a step of the job evenly: its batch is made of whole replicas.

    1 for what is not a training, and for a training whose batch is a single replica (`--set train.bn_batch`).
    """
    if not isinstance(job.spec, TrainSpec | ImagesSpec):
        return 1
    schedule = job.spec.schedule
    return math.gcd(schedule.batch // (schedule.bn_batch or schedule.batch), gpus_per_job)


def needs_of(job: Job, *, workers: int, most_cpus: int, peaks: dict[str, int]) -> Needs:
    """The job's threads and its decoding processes; a GPU where it was planned for one; memory as measured.

    Flow and the frame store, one process a core, ask for half of the largest node (`most_cpus`), so that they neither
    crawl nor wait for an empty machine. `peaks` is what `peaks_of` gives.
    """
    cpus = max(1, most_cpus // 2) if job.kind in ON_ALL_CORES else threads_of(job) + workers
    memory = int(peaks[_like(job)] * ROOM) if _like(job) in peaks else UNKNOWN_BYTES
    return Needs(cpus=cpus, gpus=int(on_gpu(job)), memory_bytes=memory)


def peaks_of(records: Iterable[Record]) -> dict[str, int]:
    """The most memory that finished jobs took, in bytes, by what they have in common with jobs to come."""
    peaks: dict[str, int] = {}
    for record in records:
        like = _like(record)
        peaks[like] = max(peaks.get(like, 0), int(record.cost.get("peak_memory_bytes", 0)))
    return {like: peak for like, peak in peaks.items() if peak}


def _like(job: Job | Record) -> str:
    spec = job.spec
    scale = spec.scale.name if isinstance(spec, NetworkSpec) else ""
    return " ".join([job.kind, *network_of(spec), scale, spec.dataset.name])


def network_of(spec: JobSpec) -> tuple[str, str]:
    """(name, streams) of the network that the job computes with; ('', '') for a job without one."""
    if isinstance(spec, ClipsSpec):
        return spec.baseline.name, "+".join(spec.streams)
    return (spec.network if isinstance(spec, ImagesSpec) else ""), ""
