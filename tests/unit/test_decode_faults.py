"""Damaged files never crash, hang or leak: they give frames or a BrokenVideo that names file and cause."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests import videos

SOURCES = {
    "a.mp4": {"codec": "libx264", "options": {"bf": "2", "preset": "medium", "qp": "20"}},
    "b.avi": {"codec": "mpeg4"},
    "c.mkv": {"codec": "ffv1", "pix_fmt": "bgr0"},
    "d.mp4": {"codec": "mpeg4"},
    "e.webm": {"codec": "libvpx-vp9", "options": {"cpu-used": "8", "deadline": "realtime"}},
}


def run(folder: Path, count: int, files: list[Path]) -> list[dict]:
    command = [sys.executable, "-m", "tests.mutated", str(folder), str(count), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60 + 10 * count)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    last = lines[-1]["number"] if lines else "none"
    assert done.returncode == 0, f"died after file {last} with {done.returncode}: {done.stderr[-2000:]}"
    assert len(lines) == count
    assert done.stderr == "", "the decoder's own complaints stay away from the terminal"
    return lines


def sources(folder: Path) -> list[Path]:
    return [videos.write(folder / name, videos.numbered(40), **how) for name, how in SOURCES.items()]


def check(lines: list[dict]) -> None:
    slow = [line for line in lines if line["seconds"] > 10]
    assert not slow
    assert not [line for line in lines if line["outcome"].startswith("unnamed")]
    outcomes = Counter("frames" if line["outcome"].endswith(" frames") else "broken" for line in lines)
    assert min(outcomes["frames"], outcomes["broken"]) > len(lines) // 10, f"one-sided: {outcomes}"


def test_sixty_damaged_files(tmp_path):
    check(run(tmp_path, 60, sources(tmp_path)))


@pytest.mark.faults
def test_a_thousand_damaged_files_without_a_leak(tmp_path):
    real = Path(os.environ.get("HARNESS_TEST_DATA", "/nonexistent")) / "videos"
    files = [*sources(tmp_path), *(path for path in (real / "demo.mp4", real / "test.avi") if path.is_file())]
    lines = run(tmp_path, 1000, files)
    check(lines)
    early = max(line["memory"] for line in lines[:300])
    late = max(line["memory"] for line in lines[700:])
    assert late < early + 64 * 2**20, f"memory grew from {early / 1e6:.0f} to {late / 1e6:.0f} MB"
