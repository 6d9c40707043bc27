"""What a user waits for: `python -m benchmarks main-job [--demo]`.

Times whole processes and prints minimum, median and maximum next to the target and as a multiple of a bare
interpreter's time, which makes machines comparable.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping

import click

CELL = ("run", "--protocol", "full-ft", "--dataset", "micro-hmdb51")
QUICK = ("--modality", "rgb", "--init", "scratch", "--set", "source.steps=2", "--set", "full-ft.steps=2", "--no-mlflow")


@click.command()
@click.option("--runs", type=click.IntRange(min=1), default=5, show_default=True, help="Runs per command.")
@click.option("--demo", is_flag=True, help="Also time the main job from an empty folder (minutes).")
def main_job(runs: int, demo: bool) -> None:
    """Time of a first session's commands."""
    from tabulate import tabulate

    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"HARNESS_DATA": f"{folder}/data", "HARNESS_RESULTS": f"{folder}/results"}
        bare = _seconds("-c", "", runs=runs, environment=environment)
        cell = CELL if demo else (*CELL, *QUICK)
        commands = (
            ("harness --help", ("--help",), runs, "0.3"),
            ("main job, empty folder" + ("" if demo else " (2 steps)"), cell, 1, "480"),
            ("the same again", cell, runs, "4"),
            ("harness table 4", ("table", "4", "--scale", "micro"), runs, "4"),
        )
        rows = [_row("python -c ''", bare, bare, "")]
        for name, words, times, target_s in commands:
            taken = _seconds("-m", "harness", *words, runs=times, environment=environment)
            rows.append(_row(name, taken, bare, target_s))
    click.echo(tabulate(rows, headers="keys", disable_numparse=True, tablefmt="github"))
    click.echo(f"\npeak memory of the largest process: {_peak_gib():.2f} GiB (target 2); {os.cpu_count()} cores")


def _seconds(*words: str, runs: int, environment: Mapping[str, str]) -> list[float]:
    """Wall-clock of each run of `python WORDS`. Raises CalledProcessError if one fails."""
    taken = []
    for _ in range(runs):
        began = time.perf_counter()
        subprocess.run([sys.executable, *words], env=environment, check=True, capture_output=True)
        taken.append(time.perf_counter() - began)
    return taken


def _row(name: str, taken: list[float], bare: list[float], target_s: str) -> dict[str, str]:
    median = statistics.median(taken)
    return {
        "command": name,
        "min s": f"{min(taken):.2f}",
        "median s": f"{median:.2f}",
        "max s": f"{max(taken):.2f}",
        "x bare python": f"{median / statistics.median(bare):.0f}",
        "target s": target_s,
    }


def _peak_gib() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit / 2**30
