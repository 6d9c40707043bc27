"""Jobs on a Ray cluster, or on Ray started on this machine for the time of the command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.core.plugins import Launcher, LauncherOption

if TYPE_CHECKING:
    from harness.core.callbacks import Callback
    from harness.jobs.options import JobOptions
    from harness.planning.plan import Plan


def launch(plan: Plan, options: JobOptions, callback: Callback, **settings: Any) -> int:
    """`driver.launch`; ray is imported only now."""
    from harness.launch.ray import driver

    return driver.launch(plan, options, callback, **settings)


LAUNCHER = Launcher(
    name="ray",
    title="on a Ray cluster",
    launch=launch,
    options=(
        LauncherOption(
            "address", "Address of a running Ray cluster; without it, Ray starts on this machine.", "HOST:PORT"
        ),
        LauncherOption(
            "storage",
            "URL that all nodes reach, such as s3://bucket/path; not needed if --results is on a shared file system.",
            "URL",
        ),
        LauncherOption("gpus_per_job", "GPUs per training job, data parallel.", "N", type=int, default=1),
    ),
)
