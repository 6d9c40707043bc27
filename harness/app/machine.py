"""What `harness doctor` does."""

from __future__ import annotations

import click

from harness.errors import HarnessError
from harness.places import Places


def show_health(where: Places) -> None:
    """`harness doctor`."""
    from harness import doctor

    findings = doctor.report(where)
    for finding in findings:
        mark = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}[finding.state]
        click.echo(
            f"{mark}  {finding.name}: {finding.detail}" + (f"\n      {finding.remedy}" if finding.remedy else "")
        )
    if any(finding.state == "fail" for finding in findings):
        raise HarnessError("some of these need mending before numbers can be trusted")
