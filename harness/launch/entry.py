"""What a launcher does with a job."""

from __future__ import annotations

from collections.abc import Callable

from harness.core.callbacks import Watch
from harness.core.spec import Job
from harness.jobs.options import House
from harness.records.record import Record

Doing = Callable[[Job, House, Watch], Record]
"""A function of a module, since it travels to other processes by name."""


def do_job(job: Job, house: House, watch: Watch) -> Record:
    """`run.execute`, and with it torch, imported by the process that runs the job."""
    from harness.jobs.execute import execute

    return execute(job, house, watch)
