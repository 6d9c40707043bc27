"""Cores, GPUs and memory that a job needs, from its spec and from measurements of similar jobs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.core.cells import Job
from harness.core.job_specs import ClipsSpec, FlowFilesSpec, ImagesSpec, NetworkSpec, TrainSpec
from harness.records.record import Record

GIB = 2**30
ON_ALL_CORES = ("flow", "store")
"""Kinds of job that process videos with one process per core."""
UNKNOWN_BYTES = GIB
"""Memory of a job without a similar one in the results folder; micro jobs need less."""
SMALL_CLIP_PX = 2**20
"""Pixels of a clip, over its frames, that leave most of a GPU idle: a clip of the paper has 3.2 million, a micro one 37,000."""
SMALL_SHARE = 0.25
"""Share of a GPU for a job with small clips: one such job mostly waits for the processor to start its kernels."""
CPU = "cpu"
MOST_CHOSEN = 20
"""17 cores decode as many h264 clips as one GPU trains at 400 clips per second."""
MARGIN = 1.2
"""Requested memory, relative to the largest peak of similar jobs."""


@dataclass(frozen=True)
class Needs:
    """Resources of a job, or of each process that shares its steps."""

    cpus: int
    """Cores, for its threads and its decoding processes."""
    gpus: float
    """1, or less for a job that can share a GPU with others."""
    memory_bytes: int


def on_gpu(job: Job) -> bool:
    """True if the job was planned for a GPU: its network, or its flow, is computed there."""
    spec = job.spec
    if isinstance(spec, FlowFilesSpec):
        return spec.flow.method.params.get("device") == "cuda"
    return getattr(spec, "threads", 1) == 0


def gpu_share(job: Job) -> float:
    """Share of a GPU that a job planned for one needs."""
    clips = [getattr(job.spec, name, None) for name in ("clip", "train_clip", "test_clip")]
    sizes = [clip.window * clip.side_px**2 for clip in clips if clip]
    return SMALL_SHARE if sizes and max(sizes) < SMALL_CLIP_PX else 1.0


@dataclass
class Capacity:
    """Room for jobs on the devices of a machine."""

    free: dict[str, float]
    """Id of a GPU, or 'cpu' -> number of whole jobs that can start there now."""
    most: int
    """Jobs that may run at once: each needs a core."""
    running: int = 0

    @property
    def gpus(self) -> list[str]:
        """Ids of the GPUs."""
        return [device for device in self.free if device != CPU]

    def reserve(self, job: Job) -> str | None:
        """The least busy device that the job can run on; None: it has to wait."""
        devices = self.gpus if on_gpu(job) and self.gpus else [CPU]
        device = max(devices, key=lambda name: self.free[name])
        load = self._load(job, device)
        if self.running == self.most or self.free[device] < load:
            return None
        self.free[device] -= load
        self.running += 1
        return device

    def release(self, job: Job, device: str) -> None:
        """The job has ended."""
        self.free[device] += self._load(job, device)
        self.running -= 1

    def at_once(self, jobs: Sequence[Job]) -> int:
        """Number of these jobs that can run at the same time, at most."""
        shares = [gpu_share(job) for job in jobs if self.gpus and on_gpu(job)]
        together = min(len(shares), int(sum(self.free[gpu] for gpu in self.gpus) / min(shares))) if shares else 0
        return min(self.most, together + min(len(jobs) - len(shares), int(self.free.get(CPU, 0))))

    def _load(self, job: Job, device: str) -> float:
        return 1.0 if device == CPU else gpu_share(job)


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


@dataclass(frozen=True)
class Decoding:
    """How many decoding processes jobs have on a machine."""

    requested: int | None
    """The number given with --workers; None: it is chosen for jobs on a GPU."""
    cores: int
    gpus: int
    """GPUs that jobs run on at the same time."""

    def processes(self, job: Job) -> int:
        """All cores that a job on a GPU has to itself, except one, up to MOST_CHOSEN.

        0 for a small job, which decodes from memory while other jobs of its GPU need the cores, and for one that reads no videos.
        """
        if self.requested is not None:
            return self.requested
        reads_videos = isinstance(job.spec, ClipsSpec) and getattr(job.spec, "computed", True)
        if not on_gpu(job) or not reads_videos or gpu_share(job) < 1:
            return 0
        return max(0, min(self.cores // max(1, self.gpus) - 1, MOST_CHOSEN))

    def note(self, jobs: Iterable[Job]) -> str:
        """A sentence about what was chosen; '' if nothing was."""
        most = max(map(self.processes, jobs), default=0)
        if self.requested is not None or not most:
            return ""
        return f"decoding processes per job: {most}, from {self.cores} cores and {self.gpus} GPU(s); --workers N changes this"


def needs_of(job: Job, *, workers: int, most_cpus: int, peaks: dict[str, int]) -> Needs:
    """Cores for the job's threads and decoding processes, a GPU if it was planned for one, memory by `peaks_of`.

    Flow and frame stores, with one process per core, ask for half of the largest node (`most_cpus`): enough to be fast,
    without waiting for an empty node.
    """
    threads = threads_of(job)
    # Decoding processes may share cores: with fewer, a job is slower, but it need not wait for a larger node.
    cpus = max(1, most_cpus // 2) if job.kind in ON_ALL_CORES else max(threads, min(threads + workers, most_cpus))
    memory = int(peaks[_group(job)] * MARGIN) if _group(job) in peaks else UNKNOWN_BYTES
    return Needs(cpus=cpus, gpus=gpu_share(job) if on_gpu(job) else 0, memory_bytes=memory)


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
