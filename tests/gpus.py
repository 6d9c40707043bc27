"""Pretended GPUs: jobs that note which GPU they would compute on, without CUDA.

CUDA reads CUDA_VISIBLE_DEVICES when a process first uses it and never again. So does `physical_gpu`.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.core.callbacks import Callback
from harness.core.cells import Job
from harness.core.job_specs import DataSpec
from harness.core.workspace import Workspace
from harness.jobs.options import JobOptions
from harness.records.record import Record, write_record
from tests.fakejobs import fake_job, record_of, run_fake


def mixed_jobs(chains: int, workspace: Workspace) -> list[Job]:
    """Per chain a job on a GPU, one on a CPU, one on a GPU, each after the one before it, of different lengths and memory.

    Jobs that request different resources exchange workers, as those of a table do.
    """
    for number in range(3):
        peak = {"wall_s": 0.0, "peak_memory_bytes": (number + 1) * 10**8}
        write_record(workspace.runs, record_of(_job(10**6 + number, "gpu"), cost=peak), fill=lambda folder: None)
    jobs = []
    for chain in range(chains):
        first = _job(3 * chain, "gpu")
        middle = _job(3 * chain + 1, "cpu", after=[first])
        jobs += [first, middle, _job(3 * chain + 2, "gpu", after=[middle])]
    return jobs


def _job(number: int, device: str, *, after: Sequence[Job] = ()) -> Job:
    """A job whose memory depends on `number`. A job without CPU threads is one that was planned for a GPU."""
    job = fake_job(number, after=after, step_s=0.05 * (number % 4))
    data = DataSpec(f"data {number % 3}", 1, "none")
    return replace(job, spec=replace(job.spec, dataset=data, threads=int(device == "cpu")))


@functools.cache
def visible_at_first() -> tuple[str, ...]:
    """Ids of the GPUs that CUDA sees in this process."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return tuple("0123") if visible is None else tuple(visible.split(","))


def physical_gpu(device: str) -> str:
    """Id of the GPU that `device` ('cuda' or 'cuda:N') is in this process."""
    return visible_at_first()[int(device.partition(":")[2] or 0)]


def run_on_gpu(job: Job, options: JobOptions, callback: Callback) -> Record:
    """As `run_fake`; a job on a GPU appends a line to RESULTS/gpus: the GPU that Ray assigned, and the one used."""
    import ray

    for assigned in ray.get_gpu_ids():
        with (options.workspace.results / "gpus").open("a") as stream:
            stream.write(f"{assigned} {physical_gpu(options.device)}\n")
    return run_fake(job, options, callback)


def used_gpus(results: Path) -> list[tuple[str, str]]:
    """(GPU that Ray assigned, GPU used) of each job on a GPU."""
    rows = [line.split() for line in (results / "gpus").read_text().splitlines()]
    return [(assigned, used) for assigned, used in rows]


def run_and_note(job: Job, options: JobOptions, callback: Callback) -> Record:
    """As `run_fake`; appends a line to RESULTS/gpus: the job's device, the GPUs that its process sees, began and ended."""
    began = time.time()
    record = run_fake(job, options, callback)
    with (options.workspace.results / "gpus").open("a") as stream:
        stream.write(f"{options.device} {os.environ.get('CUDA_VISIBLE_DEVICES', 'all')} {began} {time.time()}\n")
    return record
