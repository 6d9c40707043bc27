"""How a command runs its jobs: where, beside what, and who is told."""

from __future__ import annotations

from dataclasses import dataclass

from harness.core import registry
from harness.core.callbacks import Callback
from harness.core.errors import HarnessError
from harness.core.workspace import Workspace
from harness.jobs.options import JobOptions
from harness.planning.plan import Plan


@dataclass(frozen=True)
class LaunchOptions:
    """The flags of a command that runs jobs; nothing here changes a number."""

    launcher: str = "local"
    """'local' or 'ray'."""
    address: str | None = None
    """Of a Ray cluster; None: this machine alone."""
    storage: str | None = None
    """URL that every node reaches; None: the results folder is one that all nodes see."""
    gpus_per_job: int = 1
    """GPUs that a training is spread over."""
    workers: int = 0
    """Decoding processes a job."""
    on_bad_video: str = "stop"
    mlflow: bool = True
    as_json: bool = False
    profile: bool = False
    """Leave a page a job that says where its time went."""

    def __post_init__(self) -> None:
        if self.address and self.launcher != "ray":
            raise HarnessError(f"--address {self.address} names a Ray cluster; pass --launcher ray with it")
        if self.storage and self.launcher != "ray":
            raise HarnessError(
                f"--storage {self.storage} is for the nodes of a Ray cluster; pass --launcher ray with it"
            )
        if self.gpus_per_job > 1 and self.launcher != "ray":
            raise HarnessError(
                f"--gpus-per-job {self.gpus_per_job}: Ray spreads a job over GPUs; pass --launcher ray with it"
            )

    def options(self, workspace: Workspace) -> JobOptions:
        return JobOptions(places=workspace, workers=self.workers, on_bad_video=self.on_bad_video, profile=self.profile)

    def launch(self, plan: Plan, workspace: Workspace, callback: Callback) -> int:
        """Run what is to do; returns how many jobs ran."""
        launcher = registry.load("launcher", self.launcher)
        settings = {option.name: getattr(self, option.name) for option in launcher.options}
        count: int = launcher.launch(plan, self.options(workspace), callback, **settings)
        return count
