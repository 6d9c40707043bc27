"""A third-party launcher: one job after another in this process; `--count-file` gets the number of jobs."""

from pathlib import Path

from harness.core.plugins import Launcher, LauncherOption
from harness.launch.entry import run_job


def launch(plan, options, callback, *, run=run_job, count_file=None) -> int:
    for job in plan.to_do:
        run(job, options, callback.for_job(job))
    if count_file:
        Path(count_file).write_text(str(len(plan.to_do)))
    return len(plan.to_do)


LAUNCHER = Launcher(
    name="counting",
    title="one after another, counted",
    launch=launch,
    options=(LauncherOption("count_file", "File that gets the number of jobs.", "FILE"),),
)
