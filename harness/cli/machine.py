"""What is asked of this machine, or of one job on it: `harness doctor`."""

from __future__ import annotations

from typing import Any

import click

from harness.cli.flags import workspace_flags, workspace_of
from harness.core.errors import HarnessError


@click.command()
@click.option("--job", metavar="ID", help="What the known causes of a gap would do to this job's scores.")
@click.option("--videos", type=click.IntRange(2), metavar="N", help="With --job: test videos scored for each cause.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@workspace_flags
def doctor(**flags: Any) -> None:
    """What works here, what to fix; with --job, why a number is off."""
    if flags["job"]:
        from harness.app import diagnosis

        diagnosis.show(flags["job"], workspace_of(flags), videos=flags["videos"], as_json=flags["as_json"])
        return
    if flags["videos"]:
        raise HarnessError(
            f"--videos {flags['videos']} says how many test videos of a job are scored; name the job with --job ID "
            "(`harness ls jobs` lists them)"
        )
    from harness.app import machine as app

    app.show_health(workspace_of(flags), as_json=flags["as_json"])
