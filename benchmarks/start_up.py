"""Time from the start of a process to the first thing that a command does: `python -m benchmarks start-up`.

`harness VERB --help` imports what the verb imports, and does no work. CPU seconds hardly depend on what else the machine does.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

import click


class Taken(NamedTuple):
    """Time of one process."""

    cpu_s: float
    wall_s: float


@click.command("start-up")
@click.option(
    "--runs", type=click.IntRange(min=1), default=5, show_default=True, help="Runs per command; the fastest counts."
)
def start_up(runs: int) -> None:
    """Import time, and start-up time of every verb."""
    from tabulate import tabulate

    rows = []
    for name, words in (("python -c ''", ("-c", "")), *statements(), *helps()):
        fastest = min(taken(*words) for _ in range(runs))
        rows.append({"command": name, "CPU s": f"{fastest.cpu_s:.2f}", "wall s": f"{fastest.wall_s:.2f}"})
    click.echo(tabulate(rows, headers="keys", disable_numparse=True, tablefmt="github"))


def statements() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Name and words of Python's command line for what a script imports."""
    for statement in ("import harness", "from harness import Baseline", "from harness import run"):
        yield statement, ("-c", statement)


def helps() -> Iterator[tuple[str, tuple[str, ...]]]:
    """The same for the help of the program and of each verb."""
    from harness import commands

    yield "harness --help", ("-m", "harness", "--help")
    for verb in commands.harness.list_commands(click.Context(commands.harness)):
        yield f"harness {verb} --help", ("-m", "harness", verb, "--help")


def taken(*words: str) -> Taken:
    """Time of `python WORDS`. Raises CalledProcessError if it fails."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    wall_s, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Taken(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall_s)
