"""docs/python.md: its code runs as one script, on toy videos with a few steps."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.commands import ROOT

PAGE = (ROOT / "docs" / "python.md").read_text("utf-8")


def test_the_code_of_the_page_runs_and_prints_nothing_else(tmp_path: Path):
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL))
    for old, new in {
        "micro-hmdb51": "toy-hmdb51",
        '"train.steps": 60}': '"train.steps": 2, "train.batch": 4}, mlflow=False',
        '"holiday.mp4"': "VIDEO",
    }.items():
        assert code.count(old) >= 2
        code = code.replace(old, new)
    # The data set is rendered by the first run.
    code = code.replace(
        "network = ", 'from pathlib import Path\nVIDEO = min(Path("data/toy-hmdb51").rglob("*.avi"))\nnetwork = '
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    environment = os.environ | {
        "HARNESS_DATA": str(tmp_path / "data"),
        "HARNESS_RESULTS": str(tmp_path / "results"),
        "HARNESS_PLUGINS": str(ROOT / "tests" / "toys"),
        "HARNESS_THREADS": "2",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", str(script)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr == ""
    first, second, best, *_ = done.stdout.splitlines()
    assert first.startswith(
        "c3d · rgb · toy-hmdb51 · split 1 · original · scratch · train.steps=2 · train.batch=4: top-1 "
    )
    assert "seed 1" in second and first.endswith("n 40") and best.startswith("c3d · rgb · toy-hmdb51")
    assert len(re.findall(r"^finished c3d · rgb · toy-hmdb51", done.stdout, flags=re.MULTILINE)) == 1
    assert "no dataset 'micro-hmdb15'" in done.stdout and "did you mean 'micro-hmdb51'?" in done.stdout
    assert re.search(r"^\(\d+, \d+, \d+\)$", done.stdout, flags=re.MULTILINE)  # of the features
    assert re.search(r"^0 +c3d +toy-hmdb51 +original +0 1 ", done.stdout, flags=re.MULTILINE)  # of all results
    assert len(list((tmp_path / "results" / "runs").iterdir())) == 3
