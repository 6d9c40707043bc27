"""LaTeX of the reports, compiled."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

PACKAGES = r"\usepackage[margin=2.5cm]{geometry}\usepackage{booktabs,longtable}"
needs_latex = pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="needs pdflatex (TeX Live's basic scheme and booktabs)"
)


def check_fits(pages: Iterable[str], folder: Path) -> None:
    """Assert that an A4 article of these pages compiles, and that nothing is wider or longer than a page."""
    head = r"\documentclass[a4paper,11pt]{article}" + PACKAGES + r"\begin{document}"
    (folder / "t.tex").write_text("\n".join([head, *[page + r"\clearpage" for page in pages], r"\end{document}"]))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout and "too large for page" not in done.stdout, done.stdout[-2000:]
