"""`harness doctor`: Check libraries, devices, data sets, MLflow, memory and disk.

Prints a remedy for each problem. Writes nothing. Exits with 2 if a check fails.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator

import click

from harness.commands.doctor import software, storage
from harness.commands.doctor.storage import CheckResult
from harness.commands.options import workspace_options
from harness.core.errors import HarnessError
from harness.core.workspace import Workspace


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@workspace_options
def command(workspace: Workspace, as_json: bool) -> None:
    results = list(checks(workspace))
    click.echo(json.dumps({"checks": list(map(dataclasses.asdict, results))}) if as_json else as_text(results))
    if any(result.state == "fail" for result in results):
        raise HarnessError("some checks failed; follow their remedies before you trust a number")


def checks(workspace: Workspace, *, import_torch: bool = True) -> Iterator[CheckResult]:
    """Every check, in the order of a first reading. `import_torch=False` saves the seconds that torch takes."""
    yield from software.checks(import_torch=import_torch)
    yield from storage.checks(workspace)


def as_text(results: list[CheckResult]) -> str:
    lines = []
    for result in results:
        mark = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}[result.state]
        lines += [f"{mark}  {result.name}: {result.detail}"] + ([f"      {result.remedy}"] if result.remedy else [])
    return "\n".join(lines)
