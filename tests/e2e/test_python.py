"""docs/how-to/python.md and the notebook of examples/: their code runs as scripts, on toy videos with a few steps."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.commands import ROOT

PAGE = (ROOT / "docs" / "how-to" / "python.md").read_text("utf-8")


NOTEBOOK = json.loads((ROOT / "examples" / "quick_start.ipynb").read_text("utf-8"))


def run_script(code: str, folder: Path) -> str:
    """Standard output of the code, shortened; nothing may be printed to standard error."""
    for old, new in {"micro-hmdb51": "toy-hmdb51", '"train.steps": 60}': '"train.steps": 2, "train.batch": 4}'}.items():
        assert old in code
        code = code.replace(old, new)
    script = folder / "script.py"
    script.write_text(code)
    environment = os.environ | {
        "HARNESS_DATA": str(folder / "data"),
        "HARNESS_RESULTS": str(folder / "results"),
        "HARNESS_PLUGINS": str(ROOT / "tests" / "toys"),
        "HARNESS_THREADS": "2",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", str(script)],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr == ""
    return done.stdout


def test_the_code_of_the_page_runs_and_prints_nothing_else(tmp_path: Path):
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL))
    code = code.replace('"train.steps": 60}', '"train.steps": 60}, mlflow=False').replace('"holiday.mp4"', "VIDEO")
    # The data set is rendered by the first run.
    find = 'from pathlib import Path\nVIDEO = min(Path("data/toy-hmdb51").rglob("*.avi"))\n'
    printed = run_script(code.replace("network = ", f"{find}network = "), tmp_path)
    first, second, best, *_ = printed.splitlines()
    assert first.startswith(
        "c3d · rgb · toy-hmdb51 · split 1 · original · scratch · train.steps=2 · train.batch=4: top-1 "
    )
    assert "seed 1" in second and first.endswith("n 40") and best.startswith("c3d · rgb · toy-hmdb51")
    assert len(re.findall(r"^finished c3d · rgb · toy-hmdb51", printed, flags=re.MULTILINE)) == 1
    assert "no dataset 'micro-hmdb15'" in printed and "did you mean 'micro-hmdb51'?" in printed
    assert re.search(r"^\(\d+, \d+, \d+\)$", printed, flags=re.MULTILINE)  # of the features
    assert re.search(r"^0 +c3d +toy-hmdb51 +original +0 1 ", printed, flags=re.MULTILINE)  # of all results
    assert len(list((tmp_path / "results" / "runs").iterdir())) == 3


def test_the_notebook_runs(tmp_path: Path):
    cells = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
    assert all(cell.get("outputs", []) == [] for cell in NOTEBOOK["cells"])
    shown = [re.sub(r"\n(harness\.\w+\(.*|[\w.]+|.*\.style\..*)$", r"\nprint(\1)", f"\n{cell}") for cell in cells]
    code = "\n".join(shown).replace("callback=harness.Progress()", "mlflow=False")
    printed = run_script(code, tmp_path)
    assert "2 cell(s), 2 job(s), 2 to run" in printed and "two-stream · rgb · toy-hmdb51" in printed
    assert "PairedTest(difference=" in printed
    assert "All results by data set, 2 in all" in printed
