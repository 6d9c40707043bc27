"""Progress on terminals of every width: one line a job, on which titles are cut and numbers are not."""

from __future__ import annotations

import io
import itertools
import re
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from harness.commands import console

TITLE = "i3d · rgb · micro-hmdb51 · split 1 · full-ft · imagenet from micro-kinetics · train.base_lr=0.01"


def lines_at(width: int, jobs: int = 12) -> tuple[console.LiveProgress, Any]:
    """Progress on a terminal of that width, and a function that gives its lines now. Every look at the clock is a second."""
    clock = itertools.count()
    bars = console._bars(Console(file=io.StringIO(), force_terminal=True, width=width))
    bars.get_time = lambda: float(next(clock))
    all_jobs = bars.add_task("all jobs", total=jobs, stage="", unit="jobs", note="")

    def lines() -> list[str]:
        printer = Console(file=io.StringIO(), width=width, color_system=None)
        printer.print(bars.get_renderable())
        return printer.file.getvalue().splitlines()  # type: ignore[attr-defined]

    return console.LiveProgress(bars, jobs, all_jobs), lines


@pytest.mark.parametrize("width", [80, 120, 200])
def test_counts_bar_rate_loss_and_time_left_are_on_one_line(width: int) -> None:
    progress, lines = lines_at(width)
    job = progress.for_job(SimpleNamespace(title=TITLE))  # type: ignore[arg-type]
    job.job_started(SimpleNamespace(title=TITLE))  # type: ignore[arg-type]
    job.stage("train", 560, "steps")
    for _ in range(14):
        job.advance(20, "loss 12.34")
    assert len(lines()) == 2
    title = re.escape(TITLE) if width == 200 else "i3d · rgb .*…"
    line = rf". \[1/12\] {title} +train ━+ +280/560 20 steps/s loss 12\.34 0:00:14"
    assert re.fullmatch(line, lines()[1].rstrip()), lines()[1]


def test_there_is_a_sign_of_life_before_the_first_stage() -> None:
    progress, lines = lines_at(80, jobs=1)
    assert "all jobs" in lines()[0] and "0/1" in lines()[0] and lines()[0][0] in "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
    job = progress.for_job(SimpleNamespace(title="a job"))  # type: ignore[arg-type]
    job.job_started(SimpleNamespace(title="a job"))  # type: ignore[arg-type]
    assert "[1/1] a job start" in lines()[1]


def test_a_stage_without_a_job_has_its_name() -> None:
    progress, lines = lines_at(80)
    progress.stage("index ucf101 [new]", 0, "files")
    progress.progress(512, 13320)
    assert "index ucf101 [new]" in lines()[1] and "512/13320" in lines()[1]
