"""Cores, GPUs and memory that a job needs, from its spec and from measurements of similar jobs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from harness.core.cells import Job
from harness.core.job_specs import ClipsSpec, FlowFilesSpec, ImagesSpec, NetworkSpec, TrainSpec
from harness.records.record import Record

GIB = 2**30
ON_ALL_CORES = ("flow", "store")
"""Kinds of job that process videos with one process per core."""
UNKNOWN_BYTES = GIB
"""Memory of a job without a similar one in the results folder; micro jobs need less."""
MARGIN = 1.2
"""Requested memory, relative to the largest peak of similar jobs."""


@dataclass(frozen=True)
class Needs:
    """Resources of a job, or of each process that shares its steps."""

    cpus: int
    """Cores, for its threads and its decoding processes."""
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

    1 for jobs that train no network, and for a batch that is a single replica (`--set train.bn_batch`).
    """
    if not isinstance(job.spec, TrainSpec | ImagesSpec):
        return 1
    schedule = job.spec.schedule
    return math.gcd(schedule.batch // (schedule.bn_batch or schedule.batch), gpus_per_job)


def needs_of(job: Job, *, workers: int, most_cpus: int, peaks: dict[str, int]) -> Needs:
    """Cores for the job's threads and decoding processes, a GPU if it was planned for one, memory by `peaks_of`.

    Flow and frame stores, with one process per core, ask for half of the largest node (`most_cpus`): enough to be fast,
    without waiting for an empty node.
    """
    threads = threads_of(job)
    # Decoding processes may share cores: with fewer, a job is slower, but it need not wait for a larger node.
    cpus = max(1, most_cpus // 2) if job.kind in ON_ALL_CORES else max(threads, min(threads + workers, most_cpus))
    memory = int(peaks[_group(job)] * MARGIN) if _group(job) in peaks else UNKNOWN_BYTES
    return Needs(cpus=cpus, gpus=int(on_gpu(job)), memory_bytes=memory)


def peaks_of(records: Iterable[Record]) -> dict[str, int]:
    """Group of similar jobs -> peak memory of finished ones, in bytes."""
    peaks: dict[str, int] = {}
    for record in records:
        group = _group(record)
        peaks[group] = max(peaks.get(group, 0), int(record.cost.get("peak_memory_bytes", 0)))
    return {group: peak for group, peak in peaks.items() if peak}


def _group(job: Job | Record) -> str:
    """Kind, network, scale and data set: jobs with the same need about the same memory."""
    spec, network, streams = job.spec, "", ""
    if isinstance(spec, ClipsSpec):
        network, streams = spec.baseline.name, "+".join(spec.streams)
    elif isinstance(spec, ImagesSpec):
        network = spec.network
    scale = spec.scale.name if isinstance(spec, NetworkSpec) else ""
    return " ".join([job.kind, network, streams, scale, spec.dataset.name])
