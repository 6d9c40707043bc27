"""The function that a launcher runs for each job."""

from __future__ import annotations

from collections.abc import Callable

from harness.core import environment, registry
from harness.core.callbacks import Callback
from harness.core.cells import Job
from harness.jobs.options import JobOptions
from harness.records.record import Record

JobFunction = Callable[[Job, JobOptions, Callback], Record]
"""A module-level function: it is pickled by name for other processes."""


def run_job(job: Job, options: JobOptions, callback: Callback) -> Record:
    """`execute.execute`; torch is imported here, by the process that runs the job."""
    environment.check_siblings()  # a worker may search other folders than the process that started it
    from harness.jobs.execute import execute

    registry.use_plugins(options.plugins)
    return execute(job, options, callback)
