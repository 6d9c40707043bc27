"""What `harness doctor` does."""

from __future__ import annotations

import dataclasses
import json

import click

from harness.core.errors import HarnessError
from harness.core.workspace import Workspace


def show_health(workspace: Workspace, *, as_json: bool) -> None:
    """`harness doctor`."""
    from harness.commands import doctor

    findings = doctor.report(workspace)
    if as_json:
        click.echo(json.dumps({"findings": [dataclasses.asdict(finding) for finding in findings]}))
    else:
        for finding in findings:
            mark = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}[finding.state]
            remedy = f"\n      {finding.remedy}" if finding.remedy else ""
            click.echo(f"{mark}  {finding.name}: {finding.detail}{remedy}")
    if any(finding.state == "fail" for finding in findings):
        raise HarnessError("some of these need mending before numbers can be trusted")
