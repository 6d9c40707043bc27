"""Where and how the jobs of a plan run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.core import environment, registry
from harness.core.errors import HarnessError, unknown
from harness.jobs.options import JobOptions

if TYPE_CHECKING:
    from harness.core.callbacks import Callback
    from harness.core.plugins import Launcher
    from harness.core.workspace import Workspace
    from harness.planning.plan import Plan


@dataclass(frozen=True)
class LaunchOptions:
    """Where and how jobs run. Nothing here changes a number.

    Raises HarnessError for an unknown launcher, and for a setting that the launcher does not have.
    """

    launcher: str = "local"
    workers: int | None = None
    """Decoding processes per job; None: chosen from the numbers of cores and GPUs."""
    on_bad_video: str = "stop"
    """'stop' or 'skip', for training videos that cannot be decoded."""
    mlflow: bool = True
    """Log to MLflow."""
    profile: bool = False
    """Write a profile per job."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Values of the options that the launcher adds, by name."""

    def __post_init__(self) -> None:
        launcher: Launcher = registry.load("launcher", self.launcher)
        for name in self.settings:
            if name not in (names := [option.name for option in launcher.options]):
                raise unknown("option", name, names, of=f" for launcher {launcher.name}")
        if self.on_bad_video not in ON_BAD_VIDEO:
            raise unknown("on_bad_video", self.on_bad_video, ON_BAD_VIDEO)
        if self.workers is not None and self.workers < 0:
            raise HarnessError(f"workers must be 0 or more, got {self.workers}")

    def job_options(self, workspace: Workspace) -> JobOptions:
        return JobOptions(
            workspace=workspace, workers=self.workers, on_bad_video=self.on_bad_video, profile=self.profile
        )

    def check_device(self) -> None:
        """Raise HarnessError if jobs would run on this machine, on a GPU that it does not have."""
        if registry.load("launcher", self.launcher).on_this_machine:
            environment.check_device(environment.device())

    def launch(self, plan: Plan, workspace: Workspace, callback: Callback) -> int:
        """Run the unfinished jobs; returns how many ran."""
        count: int = registry.load("launcher", self.launcher).launch(
            plan, self.job_options(workspace), callback, **self.settings
        )
        return count


ON_BAD_VIDEO = ("stop", "skip")
