"""Whole tables on three simulated nodes: `python -m benchmarks three-nodes [--compare RESULTS] [TABLE ...]`."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

NODES = 3


@click.command()
@click.argument("tables", nargs=-1, type=int, metavar="[TABLE]...")
@click.option(
    "--compare",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="RESULTS",
    help="Then compare each job's scores and metrics with those of this results folder; exit with status 1 if a bit differs.",
)
def three_nodes(tables: Sequence[int], compare: Path | None) -> int:
    """Tables on a simulated Ray cluster.

    The cluster is a head without cores and three nodes of one core. Each table (default: 4 2 3 5) is run by the command
    a user would type; HARNESS_DATA and HARNESS_RESULTS apply.
    """
    from harness.core.workspace import resolve_workspace

    cluster = _cluster(NODES)
    try:
        _run_tables(tables or (4, 2, 3, 5), cluster.address)
    finally:
        cluster.shutdown()
    differing = _differing(resolve_workspace().results, compare) if compare else []
    for title in differing:
        click.echo(title)
    return int(bool(differing))


def _cluster(nodes: int) -> Any:
    from harness.launch.ray.cluster import prepare_environment

    prepare_environment("simulated")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(nodes):
        cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes(120)
    return cluster


def _run_tables(numbers: Sequence[int], address: str) -> None:
    """Raises CalledProcessError if a table fails."""
    for number in numbers:
        words = ["table", str(number), "--scale", "micro", "--run", "--launcher", "ray", "--address", address]
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "harness", *words], check=True)
        click.echo(f"table {number}: {time.perf_counter() - began:.0f} s on {NODES} nodes")


def _differing(a: Path, b: Path) -> list[str]:
    """Titles of the jobs that both results folders hold and whose scores or metrics are not the same bit for bit."""
    import numpy as np

    from harness.records.record import SCORES, RunStore

    ours, other = RunStore(a / "runs"), RunStore(b / "runs")
    common = [job_id for job_id in ours.ids() if other.has(job_id)]
    differing = []
    for job_id in common:
        record = ours.read(job_id)
        same = record.metrics == other.read(job_id).metrics
        paths = [folder / "runs" / job_id / SCORES for folder in (a, b)]
        if same and paths[0].exists():
            x, y = (np.load(path) for path in paths)
            same = x.files == y.files and all(np.array_equal(x[name], y[name]) for name in x.files)
        if not same:
            differing.append(record.title)
    click.echo(f"{len(common)} job(s) are in both results folders; {len(differing)} differ")
    return differing
