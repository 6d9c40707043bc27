"""The docstring of every `forward` and `features` gives shapes in and out, and a dtype or range."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHAPE = re.compile(r"\(N, ?[^)]")
VALUES = re.compile(r"\bb?float\d*\b|\bu?int\d+\b|[\[(]-?\d[\d.]*, ?-?\d[\d.]*[\])]")


def methods(root: Path) -> Iterator[tuple[str, ast.FunctionDef]]:
    """(where, method) of every method called forward or features that returns a tensor."""
    for path in sorted(path for package in ("baselines", "harness") for path in (root / package).rglob("*.py")):
        classes = (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.ClassDef))
        for cls in classes:
            for node in cls.body:
                if (
                    isinstance(node, ast.FunctionDef)
                    and node.name in ("forward", "features")
                    and node.returns is not None
                    and "Tensor" in ast.unparse(node.returns)
                ):
                    yield f"{path.relative_to(root)}:{node.lineno} {cls.name}.{node.name}", node


def incomplete(root: Path) -> list[str]:
    """Methods whose docstring lacks a shape in, a shape out, or the values' dtype or range."""
    problems = []
    for where, node in methods(root):
        inputs, arrow, outputs = (ast.get_docstring(node) or "").partition("->")
        if not (arrow and SHAPE.search(inputs) and SHAPE.search(outputs) and VALUES.search(inputs + outputs)):
            problems.append(f"{where}: write '(N, C, T, H, W) float32 in [-1, 1] -> (N, P, F) float'")
    return problems


def test_every_forward_and_features_has_shapes_and_a_dtype():
    assert len(list(methods(ROOT))) > 20
    assert incomplete(ROOT) == []


@pytest.mark.parametrize(
    ("docstring", "complete"),
    [
        ("(N, C, T, H, W) float32 in [-1, 1] -> (N, P, F) float.", True),
        ("(N, size) -> (N, size), in [0, 1].", True),
        ("(N, C, T, H, W) -> (N, P, F).", False),
        ("(N, C, T, H, W) float32 -> features.", False),
        ("Features of a batch of float clips.", False),
        ("", False),
    ],
)
def test_a_docstring_without_them_is_reported(docstring, complete, tmp_path):
    (tmp_path / "baselines").mkdir()
    source = f'class Net:\n    def forward(self, x: Tensor) -> Tensor:\n        """{docstring}"""\n        return x\n'
    (tmp_path / "baselines" / "net.py").write_text(source)
    assert [problem.split(":")[0] for problem in incomplete(tmp_path)] == ([] if complete else ["baselines/net.py"])
