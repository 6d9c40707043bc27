"""How long the page of 200 finished jobs and Table 4 from 1,000 take: `python -m benchmarks rendering`."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from benchmarks import synthetic_results
from harness.core.workspace import Workspace, resolve_workspace

PAGE_JOBS, TABLE_JOBS = 200, 1000
PAGE_TARGET_S, TABLE_TARGET_S, BUILD_TARGET_S = 20.0, 4.0, 1.0


@click.command()
def rendering() -> int:
    """Time of the page and of Table 4.

    Exits with status 1 if one takes longer than its target in both wall-clock and processor time.
    """
    slow = [*_page(), *_table()]
    for line in slow:
        click.echo(f"too slow: {line}", err=True)
    return int(bool(slow))


def _page() -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        workspace = _filled(folder, PAGE_JOBS)
        out = Path(folder) / "out"
        page = _command("report", "--scale", "micro", "--out", str(out), workspace=workspace)
        size = (out / "index.html").stat().st_size
        files = sum(path.is_file() for path in out.rglob("*"))
    click.echo(f"page of {PAGE_JOBS} jobs: {size / 1e6:.1f} MB and {files} files")
    return _over("harness report", page, PAGE_TARGET_S)


def _table() -> list[str]:
    from harness.planning.lookup import lookup_in
    from reports import tables

    with tempfile.TemporaryDirectory() as folder:
        workspace = _filled(folder, TABLE_JOBS)
        began, cpu = time.perf_counter(), time.process_time()
        text = tables.render(tables.build(4, lookup_in(workspace), tables.Question(scale="micro")))
        build = time.perf_counter() - began, time.process_time() - cpu
        table = _command("table", "4", "--scale", "micro", workspace=workspace)
    click.echo(f"table 4 from {TABLE_JOBS:,} jobs: {text.count('[')} intervals")
    return _over("harness table 4", table, TABLE_TARGET_S) + _over("its build without imports", build, BUILD_TARGET_S)


def _filled(folder: str, jobs: int) -> Workspace:
    """A results folder of that many jobs of Tables 2 to 5 at micro scale."""
    workspace = resolve_workspace(f"{folder}/data", f"{folder}/results")
    synthetic_results.fill(workspace, synthetic_results.cells(jobs), limit=jobs)
    return workspace


def _command(*words: str, workspace: Workspace) -> tuple[float, float]:
    """Wall-clock and processor seconds of a command, imports included."""
    folders = ("--data", str(workspace.data), "--results", str(workspace.results))
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "harness", *words, *folders], check=True, capture_output=True)
    wall_s, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _over(name: str, wall_cpu_s: tuple[float, float], target_s: float) -> list[str]:
    line = f"{name}: {wall_cpu_s[0]:.2f} s, {wall_cpu_s[1]:.2f} s of processor (target {target_s:g})"
    click.echo(f"  {line}")
    return [line] if min(wall_cpu_s) > target_s else []
