"""`python -m benchmarks`: the speed of this machine, as ratios to plain references."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from benchmarks.gpu.command import gpu
from benchmarks.launchers import launchers
from benchmarks.main_job import main_job
from benchmarks.ratios import measure, report, suites, values
from benchmarks.rendering import rendering
from benchmarks.start_up import start_up
from benchmarks.three_nodes import three_nodes
from harness.core import environment
from harness.core.errors import HarnessError
from harness.core.workspace import resolve_workspace, writable


@click.group(
    invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.option(
    "--only",
    default="",
    metavar="A,B",
    help="Suites to run, or SUITE:WORDS for the pairs of a suite whose name contains WORDS. "
    f"Suites: {', '.join(suites.names())}.",
)
@click.option("--quick", is_flag=True, help="Small sizes and three rounds: minutes instead of half an hour.")
@click.option("--rounds", type=click.IntRange(min=0), default=0, help="Rounds per pair (0: 7, or 3 with --quick).")
@click.option("--check", type=click.Path(path_type=Path), help="Exit 1 if a ratio is over 25% below this file's.")
@click.option("--save-baseline", type=click.Path(path_type=Path), help="Write the ratios for a later --check.")
@click.option("--results", metavar="DIR", help="Results folder. Default: HARNESS_RESULTS, else ./results.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.pass_context
def main(
    context: click.Context,
    only: str,
    quick: bool,
    rounds: int,
    check: Path | None,
    save_baseline: Path | None,
    results: str | None,
    as_json: bool,
) -> int:
    """Speed of this machine, as ratios to plain references; other figures by the commands below."""
    if context.invoked_subcommand:
        return 0
    device = environment.device()
    folder = resolve_workspace(results=results).results / "bench"
    writable(folder, content="benchmark results", flag="--results")
    committed = report.committed(check) if check else {}
    path = folder / f"{report.machine_name(device)}.json"

    def save(ceilings: dict[str, values.Ceiling], pairs: list[values.Paired]) -> None:
        report.merge(path, ceilings, pairs, quick=quick, device=device)

    selected = [name.strip() for name in only.split(",") if name.strip()]
    pairs, failed = measure.measure(
        selected, quick=quick, rounds=rounds, log=lambda line: click.echo(line, err=True), save=save
    )
    if failed and not pairs:
        raise HarnessError(f"nothing could be measured: {', '.join(failed)} failed")
    stored = json.loads(path.read_text())
    click.echo(json.dumps(stored) if as_json else report.table(stored))
    click.echo(f"{path}; the same as .md and .svg", err=True)
    if save_baseline:
        report.save_baseline(save_baseline, pairs, stored["machine"])
    slower = values.regressions(pairs, committed)
    for line in slower:
        click.echo(f"slower: {line}", err=True)
    if failed:
        click.echo(f"failed: {', '.join(failed)}", err=True)
    if check and not any(pair.name in committed for pair in pairs):
        raise click.UsageError(
            f"none of the ratios in {check} was measured; drop --only, or add --quick if the file was measured with it"
        )
    return int(bool(slower or failed))


for command in (main_job, start_up, launchers, rendering, three_nodes, gpu):
    main.add_command(command)

if __name__ == "__main__":
    try:
        sys.exit(main(standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except HarnessError as error:
        click.echo(f"benchmarks: {error}", err=True)
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(130)
