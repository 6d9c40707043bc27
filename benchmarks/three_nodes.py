"""Whole tables on three nodes: `python -m benchmarks.three_nodes [--beside RESULTS] [TABLE ...]`.

Ray's own means simulate a cluster on this machine: a head without cores and three nodes of one core each. Every table
is run on it by the command a user would type, with HARNESS_DATA and HARNESS_RESULTS as they are set. `--beside` then
compares each job's scores with those that another results folder has of the same job, say of the local launcher: the
exit code is 1 where a bit differs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

NODES = 3


def simulated(nodes: int) -> Any:
    """A cluster of `nodes` nodes of one core beside a head without any."""
    from harness.launch.ray.cluster import prepare_environment

    prepare_environment("simulated")
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(nodes):
        made.add_node(num_cpus=1)
    made.wait_for_nodes(120)
    return made


def run_tables(numbers: Sequence[int], address: str) -> None:
    """Raises CalledProcessError where a table does not come to its end."""
    for number in numbers:
        words = ["table", str(number), "--scale", "micro", "--run", "--launcher", "ray", "--address", address]
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "harness", *words], check=True)
        print(f"table {number}: {time.perf_counter() - began:.0f} s on {NODES} nodes", flush=True)


def compare(one: Path, two: Path) -> list[str]:
    """The jobs, by title, that both ledgers have and whose scores or metrics are not the same bit for bit."""
    import numpy as np

    from harness.records.record import RunStore

    ledgers = RunStore(one / "runs"), RunStore(two / "runs")
    both = [job_id for job_id in ledgers[0].ids() if ledgers[1].has(job_id)]
    differ = []
    for job_id in both:
        records = [run_store.read(job_id) for run_store in ledgers]
        same = records[0].metrics == records[1].metrics
        scores = [folder / "runs" / job_id / "scores.npz" for folder in (one, two)]
        if scores[0].exists():
            parts = [np.load(path) for path in scores]
            same &= parts[0].files == parts[1].files
            same = same and all(np.array_equal(parts[0][name], parts[1][name]) for name in parts[0].files)
        if not same:
            differ.append(records[0].title)
    print(f"{len(both)} job(s) are in both ledgers; {len(differ)} differ")
    return differ


def main() -> int:
    from harness.core.workspace import places

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("tables", nargs="*", type=int, default=[4, 2, 3, 5], metavar="TABLE")
    parser.add_argument("--beside", type=Path, metavar="RESULTS", help="compare with the jobs of this results folder")
    asked = parser.parse_args()
    cluster = simulated(NODES)
    try:
        run_tables(asked.tables, cluster.address)
    finally:
        cluster.shutdown()
    differ = compare(places(None, None).results, asked.beside) if asked.beside else []
    print("\n".join(differ))
    return bool(differ)


if __name__ == "__main__":
    sys.exit(main())
