"""Imports go down only, large libraries load only when used, and one file knows each outside tool.

Reads the imports with `ast`, runs nothing. Every rule is also tried on a small broken tree, so that it is known to
bite.
"""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("harness", "baselines", "reports")

FLOORS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("values", ("harness", "harness.core.contract", "harness.core.spec", "harness.core.errors")),
    (
        "pure",
        (
            "harness.metrics.scores",
            "harness.metrics.statistics",
            "harness.metrics.fusion",
            "harness.metrics.pooling",
            "harness.core.registry",
            "harness.core.workspace",
            "harness.core.environment",
            "harness.data.splits",
            "harness.planning.schedules",
            "harness.planning.ranges",
            "harness.data.leaks",
            "harness.core.tensor_io",
            "harness.core.allocator",
            "harness.core.processes",
            "harness.analysis.paper_numbers",
            "harness.datasets.formats.annotations",
            "harness.datasets.formats.custom_lists",
            "harness.datasets.formats.minikinetics_lists",
            "harness.datasets.formats",
            "harness.video",
            "harness.video.sampling",
            "harness.video.resample",
            "harness.video.encode",
        ),
    ),
    (
        "plug-ins",
        ("harness.datasets", "harness.protocols", "harness.scales", "harness.datasets.synthetic", "baselines"),
    ),
    (
        "edges",
        (
            "harness.video.*",
            "harness.records.record",
            "harness.core.callbacks",
            "harness.jobs.options",
            "harness.core.locks",
            "harness.models.pretrained",
            "harness.models.build",
            "harness.data.archives",
        ),
    ),
    (
        "work",
        (
            "harness.models.precision",
            "harness.models.transfer",
            "harness.training.replicas",
            "harness.models.activation_checkpointing",
            "harness.training.checkpoint",
            "harness.training.trainer",
            "harness.training.evaluation",
            "harness.training.features",
            "harness.jobs.context",
            "harness.jobs.outcome",
            "harness.jobs.common",
            "harness.jobs.linear_probe",
            "harness.jobs.execute",
            "harness.jobs.restore",
            "harness.training.prefetch",
            "harness.jobs.profiler",
            "harness.jobs.predict",
        ),
    ),
    (
        "orchestration",
        (
            "harness.planning.selection",
            "harness.records.caveats",
            "harness.planning.keys",
            "harness.planning.plan",
            "harness.planning.lookup",
            "harness.launch",
            "harness.records.tracking",
            "harness.analysis.regression",
            "harness.analysis.ablation",
            "harness.analysis.settings_diff",
            "harness.analysis.claims",
            "harness.planning.cost",
            "harness.analysis.claim_definitions",
            "harness.planning.tuned",
        ),
    ),
    (
        "surface",
        (
            "harness.__main__",
            "harness.commands",
            "harness.bench",
            "reports",
        ),
    ),
)
"""From the ground up: a module imports from its own floor and those below. A name stands for the module and, unless a
longer name says otherwise, for everything in it; a module that no line covers fails the test, so a new room is placed
on purpose. `harness` stands for itself alone."""

HEAVY = frozenset({"torch", "torchvision", "timm", "ray", "mlflow", "sklearn", "matplotlib", "cv2", "av", "numba"})
"""0.9 s to 12 s each to import: a card, a plan, a table or `--help` must not pay that."""

FAST_ROOTS = (
    "harness.commands",
    "harness.__main__",
    "harness.planning.plan",
    "harness.records.record",
    "harness.analysis.regression",
    "harness.analysis.claims",
    "harness.datasets",
    "harness.protocols",
    "harness.scales",
    "harness.metrics.scores",
    "harness.metrics.statistics",
    "harness.metrics.fusion",
    "baselines.*",
    "reports",
)
"""What answers without torch. Names stand for everything in them, `x.*` for the files of folder x alone: the cards."""

TOOL_OWNERS = {
    "ray": ("harness.launch.ray",),
    "mlflow": ("harness.records.tracking",),
    "av": ("harness.video", "harness.bench"),
    "torchcodec": ("harness.video", "harness.bench"),
    "timm": ("baselines.parts",),
    "numba": ("harness.video.numba_cache", "harness.video.flow.tvl1_kernels", "harness.video.convert_kernels"),
    "llvmlite": ("harness.video.convert_kernels",),
}
"""The modules, and what lies in them, that may name an outside tool."""


class Import(NamedTuple):
    target: str
    line: int
    lazy: bool
    """Inside a function, or for the type checker only: costs nothing until it is called."""


class Problem(NamedTuple):
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


# ------------------------------------------------------------------------------------------------ reading


def read_tree(root: Path) -> dict[str, Path]:
    """Module name -> file, for the import packages below `root`."""
    found = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def read_imports(path: Path, module: str, known: dict[str, Path]) -> list[Import]:
    """Every import of a file, at module level and inside functions, `import_module("...")` included."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    return list(_walk(_parsed(path), package, known, lazy=False))


@functools.cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def _walk(node: ast.AST, package: str, known: dict[str, Path], *, lazy: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        inside = lazy or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) or _for_types(child)
        for target in _targets(child, package, known):
            yield Import(target, child.lineno, lazy)
        yield from _walk(child, package, known, lazy=inside)


def _for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def _targets(node: ast.AST, package: str, known: dict[str, Path]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        up = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        base = ".".join([*up, *([node.module] if node.module else [])])
        return [f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base for alias in node.names]
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args:
        name = node.args[0]
        return [name.value] if isinstance(name, ast.Constant) and isinstance(name.value, str) else []
    return []


def within(module: str, name: str) -> bool:
    """True if `module` is `name` or lies in it."""
    return module == name or module.startswith(f"{name}.")


def floor_of(module: str) -> int | None:
    """Index into FLOORS, by the longest name that covers the module; None if no line does."""
    best: tuple[int, int] | None = None
    for index, (_, names) in enumerate(FLOORS):
        for name in names:
            covers = module == name if name == "harness" else within(module, name.removesuffix(".*"))
            # 'x.*' is what remains of x once the names in it that are listed elsewhere are taken out.
            if covers and (best is None or len(name) > best[0]):
                best = (len(name), index)
    return best[1] if best else None


# ------------------------------------------------------------------------------------------------ rules


def upward(root: Path) -> list[Problem]:
    """Imports from a lower floor to a higher one, and modules that stand on none."""
    known = read_tree(root)
    problems = []
    for module, path in known.items():
        own = floor_of(module)
        if own is None:
            problems.append(Problem(module, f"on no floor; add it to FLOORS in {Path(__file__).name}"))
            continue
        for found in read_imports(path, module, known):
            other = floor_of(found.target) if found.target.split(".")[0] in PACKAGES else None
            if other is not None and other > own:
                what = f"{FLOORS[own][0]} imports {found.target} ({FLOORS[other][0]}); imports go down only"
                problems.append(Problem(f"{path.relative_to(root)}:{found.line}", what))
    return problems


def sideways(root: Path) -> list[Problem]:
    """Baselines that import each other instead of what they share, `baselines.parts`."""
    known = read_tree(root)
    cards = [
        name for name in known if name.count(".") == 1 and name.startswith("baselines.") and name != "baselines.parts"
    ]
    return [
        Problem(
            f"{known[card].relative_to(root)}:{found.line}",
            f"imports {found.target}; shared blocks go to baselines.parts",
        )
        for card in cards
        for found in read_imports(known[card], card, known)
        if found.target in cards
    ]


def _is_root(module: str, name: str) -> bool:
    if name.endswith(".*"):
        return module.rpartition(".")[0] == name.removesuffix(".*") and module != "baselines.parts"
    return within(module, name)


def heavy_at_start(root: Path) -> list[Problem]:
    """Large libraries imported at module level by anything that a fast path loads."""
    known = read_tree(root)
    reached = {module for module in known if any(_is_root(module, name) for name in FAST_ROOTS)}
    queue = list(reached)
    problems = []
    while queue:
        module = queue.pop()
        for found in read_imports(known[module], module, known):
            if found.lazy:
                continue
            if found.target.split(".")[0] in HEAVY:
                where = f"{known[module].relative_to(root)}:{found.line}"
                problems.append(
                    Problem(where, f"imports {found.target} at module level; import it in the function that uses it")
                )
            elif found.target in known and found.target not in reached:
                reached.add(found.target)
                queue.append(found.target)
    return sorted(problems)


def strangers(root: Path) -> list[Problem]:
    """Outside tools named outside the files that own them."""
    known = read_tree(root)
    problems = []
    for module, path in known.items():
        for found in read_imports(path, module, known):
            tool = found.target.split(".")[0]
            owners = TOOL_OWNERS.get(tool)
            if owners and not any(within(module, owner) for owner in owners):
                where = f"{path.relative_to(root)}:{found.line}"
                problems.append(Problem(where, f"imports {tool}; only {', '.join(owners)} may"))
    return problems


def circles(root: Path) -> list[Problem]:
    """Modules that import each other at module level, along whatever way."""
    known = read_tree(root)
    below = {
        module: {
            found.target for found in read_imports(path, module, known) if not found.lazy and found.target in known
        }
        for module, path in known.items()
    }
    done: set[str] = set()
    problems = []

    def visit(module: str, trail: tuple[str, ...]) -> None:
        if module in trail:
            problems.append(Problem(module, " -> ".join((*trail[trail.index(module) :], module))))
        elif module not in done:
            for target in sorted(below[module] - {module}):
                visit(target, (*trail, module))
            done.add(module)

    for module in sorted(known):
        visit(module, ())
    return problems


RULES = (upward, sideways, heavy_at_start, strangers, circles)


# ------------------------------------------------------------------------------------------------ tests


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps_the_rule(rule):
    assert len(read_tree(ROOT)) > 30, "the packages were not found"
    problems = rule(ROOT)
    assert not problems, "\n".join(map(str, problems))


BROKEN = {
    upward: {
        "harness/metrics/statistics.py": "def f():\n    from harness import plan\n",
        "harness/planning/plan.py": "",
    },
    sideways: {"baselines/a.py": "from baselines.b import x\n", "baselines/b.py": "x = 1\n"},
    heavy_at_start: {
        "harness/commands.py": "from harness.training import trainer\n",
        "harness/training/trainer.py": "from torch import nn\n",
    },
    strangers: {"harness/jobs/execute.py": "def f():\n    import mlflow.tracking\n"},
    circles: {
        "harness/metrics/statistics.py": "import harness.metrics.fusion\n",
        "harness/metrics/fusion.py": "from . import stats\n",
    },
}
SOUND = {
    "harness/planning/plan.py": "from harness.metrics.statistics import f\n",
    "harness/metrics/statistics.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\n\ndef f():\n    import cv2\n",
    "harness/records/tracking.py": "def push():\n    import mlflow\n",
    "baselines/a.py": "from baselines.parts.inception import x\n",
    "baselines/parts/inception.py": "x = 1\n",
}


def plant(root: Path, files: dict[str, str]) -> Path:
    for package in PACKAGES:
        (root / package).mkdir()
        (root / package / "__init__.py").touch()
    (root / "baselines" / "parts").mkdir()
    for name, text in files.items():
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_bites(rule, tmp_path):
    assert len(rule(plant(tmp_path, BROKEN[rule]))) == 1


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_lets_a_sound_tree_pass(rule, tmp_path):
    assert rule(plant(tmp_path, SOUND)) == []


def test_a_module_on_no_floor_is_named(tmp_path):
    assert "harness.utils" in str(upward(plant(tmp_path, {"harness/utils.py": ""}))[0])


def test_cards_planning_and_help_load_without_the_large_libraries():
    """What `ast` cannot see, seen: modules really loaded by importing the command line, the plan and every card."""
    code = (
        "import sys\n"
        "import harness.commands, harness.planning.plan, harness.records.record\n"
        "from harness import discover\n"
        "n = sum(len(discover.all(kind)) for kind in discover.KINDS)\n"
        "print(n, *sorted({name.split('.')[0] for name in sys.modules}))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    cards, *loaded = run.stdout.split()
    assert int(cards) >= 5
    assert not HEAVY & set(loaded)
