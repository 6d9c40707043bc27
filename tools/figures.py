"""Print the size of the code: lines, files and functions per package. `tests/unit/test_layers.py` holds the limits.

python tools/figures.py
"""

from __future__ import annotations

import ast
import statistics
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COUNTED = ("baselines", "harness", "reports")
OTHERS = ("benchmarks", "tests", "tools")


def functions_of(path: Path) -> list[int]:
    """Lines of every function of a file, from `def` to its last statement."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [
        node.end_lineno - node.lineno + 1 for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)
    ]


def row(name: str, files: list[Path]) -> str:
    lines = [len(path.read_text().splitlines()) for path in files]
    functions = [size for path in files for size in functions_of(path)]
    modules = sum(path.name != "__init__.py" for path in files)
    middle = f"{statistics.median(functions):.0f}" if functions else ""
    return f"{name:24} {sum(lines):7,} {modules:8} {max(lines, default=0):8} {middle:>9}"


def main() -> None:
    print(f"{'':24} {'lines':>7} {'modules':>8} {'longest':>8} {'function':>9}")
    for package in sorted(path for path in (ROOT / "harness").iterdir() if (path / "__init__.py").is_file()):
        print(row(f"harness/{package.name}", sorted(package.rglob("*.py"))))
    for name in (*COUNTED, *OTHERS):
        print(row(name, sorted((ROOT / name).rglob("*.py"))))
    print(row(" + ".join(COUNTED), [path for name in COUNTED for path in sorted((ROOT / name).rglob("*.py"))]))
    top = [path for path in (ROOT / "harness").iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()]
    print(f"entries at the top of harness/: {len(top)}")


if __name__ == "__main__":
    main()
