"""What a launcher does with a job."""

from __future__ import annotations

from collections.abc import Callable

from harness.core.callbacks import Callback
from harness.core.spec import Job
from harness.jobs.options import JobOptions
from harness.records.record import Record

JobFunction = Callable[[Job, JobOptions, Callback], Record]
"""A function of a module, since it travels to other processes by name."""


def run_job(job: Job, options: JobOptions, callback: Callback) -> Record:
    """`run.execute`, and with it torch, imported by the process that runs the job."""
    from harness.jobs.execute import execute

    return execute(job, options, callback)
