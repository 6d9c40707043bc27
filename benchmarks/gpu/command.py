"""The command line of `python -m benchmarks gpu`."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.core import environment

if TYPE_CHECKING:
    from benchmarks.gpu.session import Session

    Section = Callable[[Session], None]

SUITES = ("correct", "speed", "feed")


def sections(suite: str) -> Mapping[str, Section]:
    """Name -> section of a suite, in order."""
    from benchmarks.gpu import correct, feed, parts, speed, trainings

    listed: Mapping[str, Sequence[Section]] = {
        "correct": (
            correct.machine,
            correct.inputs,
            correct.logits,
            trainings.trainings,
            trainings.processes,
            correct.flow,
        ),
        "speed": (
            correct.machine,
            speed.peak_rates,
            speed.networks,
            speed.kernels,
            parts.parts,
            speed.flow,
            speed.compiled,
        ),
        "feed": (correct.machine, feed.decoding, feed.scoring, feed.training),
    }
    return {section.__name__: section for section in listed[suite]}


@click.command()
@click.argument("suite", type=click.Choice(SUITES))
@click.option("--only", default="", metavar="A,B", help="Sections to run.  [default: all]")
@click.option(
    "--device", metavar="NAME", help="cpu, cuda or cuda:N.  [default: HARNESS_DEVICE, or a GPU if there is one]"
)
@click.option("--small", is_flag=True, help="Tiny shapes: tests the sections themselves, on a CPU too.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    metavar="DIR",
    help="Folder for gpu-SUITE.json.  [default: the current one]",
)
def gpu(suite: str, only: str, device: str | None, small: bool, out: Path) -> int:
    """Numbers of a GPU compared with the CPU, its speed, and how fast it is fed. Exits with status 1 if a section fails."""
    from benchmarks.gpu.session import Session

    chosen = sections(suite)
    names = [name.strip() for name in only.split(",") if name.strip()] or list(chosen)
    if unknown := [name for name in names if name not in chosen]:
        raise click.UsageError(f"no section {', '.join(unknown)} in {suite}; have: {', '.join(chosen)}")
    failed = []
    with environment.use_device(device):
        environment.check_device(environment.device())
        environment.select_gpu(environment.device())
        session = Session(environment.device(), small)
        for name in names:
            click.echo(f"== {name}")
            try:
                chosen[name](session)
            except Exception:  # noqa: BLE001 - printed; the next section is independent of it
                failed.append(name)
                traceback.print_exc()
            session.write(out / f"gpu-{suite}.json")
    if failed:
        click.echo(f"failed: {', '.join(failed)}", err=True)
    return int(bool(failed))
