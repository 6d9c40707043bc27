"""What `harness bench` does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from harness.core.workspace import Workspace, writable


def measure(
    workspace: Workspace,
    *,
    only: Sequence[str],
    quick: bool,
    rounds: int,
    as_json: bool,
    check: Path | None,
    save_baseline: Path | None,
) -> int:
    """`harness bench`: exit code 1 where a ratio fell by more than a quarter below the committed one."""
    from harness.bench import report, run, values
    from harness.core import environment

    folder = workspace.results / "bench"
    writable(folder, what="benchmark results", flag="--results")
    committed = report.committed(check) if check else {}
    path = folder / f"{report.machine_name(environment.device())}.json"

    def keep(limits: dict[str, values.Ceiling], results: list[values.Paired]) -> None:
        report.merge(path, limits, results, quick=quick, device=environment.device())

    found = run.measure(only, quick=quick, rounds=rounds, tell=lambda line: click.echo(line, err=True), keep=keep)
    stored = json.loads(path.read_text())
    click.echo(json.dumps(stored) if as_json else report.table(stored))
    click.echo(f"{path}, with the same as .md and .svg", err=True)
    if save_baseline:
        report.save_baseline(save_baseline, found, stored["machine"])
    fallen = values.regressions(found, committed)
    for line in fallen:
        click.echo(f"slower: {line}", err=True)
    if check and not any(one.name in committed for one in found):
        raise click.UsageError(
            f"none of the ratios in {check} was measured; drop --only, or add --quick if it was taken so"
        )
    return 1 if fallen else 0
