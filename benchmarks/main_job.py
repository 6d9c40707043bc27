"""What a person waits for: `python -m benchmarks.main_job [--demo]`.

Times whole processes, several runs each, and prints minimum, median and maximum beside the target and beside the time
of a bare interpreter on the same machine, so that figures of different machines can be compared. `--demo` also times
the main job from an empty folder (minutes). Nothing here passes or fails: it is read by people.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

CELL = ("run", "--protocol", "full-ft", "--dataset", "micro-hmdb51")
QUICK = ("--modality", "rgb", "--init", "scratch", "--set", "source.steps=2", "--set", "full-ft.steps=2", "--no-mlflow")


def seconds(words: Sequence[str], *, runs: int, environment: dict[str, str]) -> list[float]:
    """Wall-clock of each run of `python WORDS`. Raises CalledProcessError with the output where one fails."""
    taken = []
    for _ in range(runs):
        begun = time.perf_counter()
        subprocess.run([sys.executable, *words], env=environment, check=True, capture_output=True)
        taken.append(time.perf_counter() - begun)
    return taken


def row(what: str, taken: list[float], bare_s: float, target_s: str) -> dict[str, str]:
    middle = statistics.median(taken)
    return {
        "what": what,
        "min s": f"{min(taken):.2f}",
        "median s": f"{middle:.2f}",
        "max s": f"{max(taken):.2f}",
        "x bare python": f"{middle / bare_s:.0f}",
        "target s": target_s,
    }


def main() -> None:
    from tabulate import tabulate

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--demo", action="store_true", help="also the main job from an empty folder (minutes)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"HARNESS_DATA": f"{folder}/data", "HARNESS_RESULTS": f"{folder}/results"}
        bare = seconds(["-c", ""], runs=asked.runs, environment=environment)
        bare_s = statistics.median(bare)
        rows = [row("python -c ''", bare, bare_s, "")]
        helped = seconds(["-m", "harness", "--help"], runs=asked.runs, environment=environment)
        rows.append(row("harness --help", helped, bare_s, "0.3"))
        cell = CELL if asked.demo else (*CELL, *QUICK)
        first = seconds(["-m", "harness", *cell], runs=1, environment=environment)
        rows.append(row("main job, empty folder" + ("" if asked.demo else " (2 steps)"), first, bare_s, "480"))
        again = seconds(["-m", "harness", *cell], runs=asked.runs, environment=environment)
        rows.append(row("the same again", again, bare_s, "4"))
        table = seconds(["-m", "harness", "table", "4", "--scale", "micro"], runs=asked.runs, environment=environment)
        rows.append(row("harness table 4", table, bare_s, "4"))
        print(tabulate(rows, headers="keys", disable_numparse=True, tablefmt="github"))
        print(f"\npeak memory of the largest process: {_peak_gib():.2f} GiB (target 2)")
        print(f"{os.cpu_count()} cores; results in {Path(folder).name} are removed")


def _peak_gib() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit / 2**30


if __name__ == "__main__":
    main()
