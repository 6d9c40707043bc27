"""Every command of the documents whose block needs nothing, in the order of the pages, and the README's lines of Python.

They run on toy data sets, with one step per training, in one results folder. A block that needs a data set, a GPU or
much time says so: ```console needs hmdb51.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.datasets.synthetic.catalogue import ClipSpec
from harness.datasets.synthetic.scene import frames_of
from harness.video import encode
from tests.documents import DOCS, ROOT, commands, documents

PAGES = [
    DOCS / "tutorials" / "first-run.md",  # its jobs are those that the others use
    *(page for page in documents() if page.parent.name == "how-to" and page.stem != "results"),
    *(page for page in documents() if page.parent.name in ("reference", "tutorials") and page.stem != "first-run"),
    DOCS / "how-to" / "results.md",  # ends with the deletion of jobs
]


def write_videos(root: Path) -> None:
    """Two classes in class folders: two clips each to train on, one to score. And the videos that the pages name."""
    for action in ("open", "close"):
        for number, subset in enumerate(("train", "train", "test")):
            folder = root / "my_videos" / subset / action
            folder.mkdir(parents=True, exist_ok=True)
            frames = frames_of(ClipSpec("park", action, f"group {number}", number))
            encode.write_video(folder / f"clip{number}.mp4", frames, fps=25)
    for name in ("video.mp4", "new_video.mp4", "holiday.mp4"):
        (root / name).write_bytes((root / "my_videos" / "test" / "open" / "clip2.mp4").read_bytes())


def block(page: str, pattern: str) -> str:
    return re.findall(pattern, (ROOT / page).read_text("utf-8"), flags=re.DOTALL)[0]


# A minute of processor time in all. `make test` checks that the commands are accepted: tests/unit/test_docs.py.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The folder in which a reader of all pages types."""
    root = tmp_path_factory.mktemp("reader")
    write_videos(root)
    shutil.copytree(ROOT / "tests" / "toys", root / "plugins")
    (root / "plugins" / "my_network.py").write_text(
        block("docs/tutorials/your-network.md", r"```python\n(# plugins/.*?)```")
    )
    (root / "selection.toml").write_text(block("docs/reference/settings.md", r"```toml\n(.*?)```"))
    return root


def started(words: list[str], folder: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "HARNESS_DATA": str(folder / "data"),
        "HARNESS_RESULTS": str(folder / "results"),
        "HARNESS_PLUGINS": str(ROOT / "tests" / "toys"),
        "HARNESS_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.run(
        [sys.executable, *words], env=environment, cwd=folder, input=stdin, capture_output=True, text=True, timeout=1500
    )


def test_documented_commands_run(folder):
    lines = [
        command.words
        for page in PAGES
        for command in commands(page)
        if not command.needs and command.words.startswith("harness ")
    ]
    assert len(lines) > 40
    done = started(["-m", "tests.documented_commands", str(folder)], folder, json.dumps(lines))
    results = [json.loads(line) for line in done.stdout.splitlines()]
    failed = [
        f"{result['line']} ({result['words']}): {result['text'][-800:]}" for result in results if result["status"]
    ]
    assert not failed, "\n".join(failed)
    assert len(results) == len(lines), done.stderr[-3000:]


def test_the_readmes_lines_of_python_run(folder):
    code = block("README.md", r"```python\n(.*?)```").replace("micro-hmdb51", "toy-hmdb51")
    code = code.replace("callback=harness.Progress()", "callback=harness.Progress(), mlflow=False")
    assert "toy-hmdb51" in code and "mlflow=False" in code
    short = "from tests.documented_commands import shorten_trainings\n\nshorten_trainings()\n"
    done = started(["-c", short + code], folder)
    assert done.returncode == 0, done.stderr[-3000:]
    assert re.search(r"^original [\d.]+ \(", done.stdout, flags=re.MULTILINE) and "PairedTest(" in done.stdout
    assert (folder / "results.csv").read_text().count("toy-hmdb51") >= 2
