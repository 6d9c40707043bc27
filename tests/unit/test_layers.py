"""Packages lie in layers: imports go down only, no circle, small packages; large libraries load only when used.

Reads the imports with `ast` and runs nothing. Imports inside functions and under TYPE_CHECKING count. Every rule is also
tried on a small broken tree.
"""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("harness", "baselines", "reports")

LAYERS = (
    ("harness.core",),
    ("harness.metrics", "harness.video", "harness.protocols", "baselines.parts"),
    ("harness.datasets", "harness.models", "harness.records"),
    ("harness.data", "harness.training", "baselines"),
    ("harness.planning", "harness.jobs"),
    ("harness.launch", "harness.analysis"),
    ("reports",),
    ("harness.commands", "harness.api", "harness.__main__"),
)
"""Packages, lowest layer first. A package imports from lower layers, and from its own layer without a circle. The longest
name that covers a module counts. `harness` itself is imported by all and imports nothing until one of its names is used."""

MAX_LAYERS = 8
MAX_MODULES = 16
MAX_TOP_ENTRIES = 17
"""Packages and modules directly in harness/, `__init__`, `__main__` and `api` included."""

HEAVY = frozenset(
    {"torch", "torchvision", "timm", "ray", "mlflow", "sklearn", "matplotlib", "cv2", "av", "numba", "transformers"}
)
"""0.9 s to 12 s each to import: a card, a plan, a table or `--help` must not pay that."""

FAST_ROOTS = (
    "harness.commands",
    "harness.api",
    "harness.__main__",
    "harness.planning.plan",
    "harness.records.record",
    "harness.analysis.regression",
    "harness.analysis.claims",
    "harness.datasets.*",
    "harness.protocols",
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
    "av": ("harness.video",),
    "torchcodec": ("harness.video.decoders",),
    "timm": ("baselines.parts", "harness.models"),
    "transformers": ("baselines.parts",),
    "huggingface_hub": ("harness.models.hub",),
    "numba": ("harness.video",),
    "llvmlite": ("harness.video",),
}
"""Library -> packages whose modules may import it."""


class Import(NamedTuple):
    target: str
    line: int
    lazy: bool
    """Inside a function, or for the type checker only."""


class Problem(NamedTuple):
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


# ------------------------------------------------------------------------------------------------ reading


def read_tree(root: Path) -> dict[str, Path]:
    """Module name -> file, for the import packages below `root`."""
    modules = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


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
    """True if `module` is `name` or part of it."""
    return module == name or module.startswith(f"{name}.")


def package_of(module: str) -> str | None:
    """The package of LAYERS that a module belongs to; None if there is none."""
    names = [name for layer in LAYERS for name in layer if within(module, name)]
    return max(names, key=len, default=None)


def layer_of(package: str) -> int:
    return next(number for number, layer in enumerate(LAYERS) if package in layer)


# ------------------------------------------------------------------------------------------------ rules


def upward(root: Path) -> list[Problem]:
    """Imports from a lower layer to a higher one, and modules that belong to no package."""
    known = read_tree(root)
    problems = []
    for module, path in known.items():
        package = package_of(module)
        if package is None:
            if module != "harness":
                problems.append(
                    Problem(module, f"is in no package; add its package to LAYERS in {Path(__file__).name}")
                )
            continue
        for imported in read_imports(path, module, known):
            target = package_of(imported.target)
            if target is not None and layer_of(target) > layer_of(package):
                what = f"{package} imports {imported.target} from a higher layer"
                problems.append(Problem(f"{path.relative_to(root)}:{imported.line}", what))
    return problems


def sideways(root: Path) -> list[Problem]:
    """Baselines that import each other instead of what they share, `baselines.parts`."""
    known = read_tree(root)
    cards = {name for name in known if name.startswith("baselines.") and not within(name, "baselines.parts")}
    return [
        Problem(
            f"{known[card].relative_to(root)}:{imported.line}",
            f"imports {imported.target}; shared blocks go to baselines.parts",
        )
        for card in sorted(cards)
        for imported in read_imports(known[card], card, known)
        if imported.target in cards
    ]


def beyond_the_registry(root: Path) -> list[Problem]:
    """Imports of `baselines` and `reports` in harness, outside the two top layers: they are found by name."""
    known = read_tree(root)
    return [
        Problem(f"{path.relative_to(root)}:{imported.line}", f"imports {imported.target}; use harness.core.registry")
        for module, path in known.items()
        if within(module, "harness") and package_of(module) not in LAYERS[-1] + LAYERS[-2]
        for imported in read_imports(path, module, known)
        if imported.target.split(".")[0] in ("baselines", "reports")
    ]


def large(root: Path) -> list[Problem]:
    """Packages with too many modules, and too many entries at the top of harness/."""
    known = read_tree(root)
    sizes = Counter(module.rpartition(".")[0] for module, path in known.items() if path.name != "__init__.py")
    problems = [
        Problem(package, f"has {size} modules, more than {MAX_MODULES}")
        for package, size in sorted(sizes.items())
        if size > MAX_MODULES
    ]
    top = [path for path in (root / "harness").iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()]
    if len(top) > MAX_TOP_ENTRIES:
        problems.append(Problem("harness", f"has {len(top)} entries, more than {MAX_TOP_ENTRIES}"))
    return problems


def _is_root(module: str, name: str) -> bool:
    if name.endswith(".*"):
        return module.rpartition(".")[0] == name.removesuffix(".*") and module != "baselines.parts"
    return within(module, name)


def heavy_at_start(root: Path) -> list[Problem]:
    """Large libraries imported at module level by anything that `--help`, a plan or a table loads."""
    known = read_tree(root)
    reached = {module for module in known if any(_is_root(module, name) for name in FAST_ROOTS)}
    queue = list(reached)
    problems = []
    while queue:
        module = queue.pop()
        for imported in read_imports(known[module], module, known):
            if imported.lazy:
                continue
            if imported.target.split(".")[0] in HEAVY:
                where = f"{known[module].relative_to(root)}:{imported.line}"
                problems.append(
                    Problem(where, f"imports {imported.target} at module level; import it in the function that uses it")
                )
            elif imported.target in known and imported.target not in reached:
                reached.add(imported.target)
                queue.append(imported.target)
    return sorted(problems)


def foreign_tools(root: Path) -> list[Problem]:
    """Libraries that are imported outside the packages that own them."""
    known = read_tree(root)
    problems = []
    for module, path in known.items():
        for imported in read_imports(path, module, known):
            tool = imported.target.split(".")[0]
            owners = TOOL_OWNERS.get(tool)
            if owners and not any(within(module, owner) for owner in owners):
                where = f"{path.relative_to(root)}:{imported.line}"
                problems.append(Problem(where, f"imports {tool}; only {', '.join(owners)} may"))
    return problems


def circles(root: Path) -> list[Problem]:
    """Modules, or packages, that import each other along any path."""
    known = read_tree(root)
    modules = {
        module: {imported.target for imported in read_imports(path, module, known) if imported.target in known}
        for module, path in known.items()
        if module != "harness"  # what it offers, it imports when it is used
    }
    packages: dict[str, set[str]] = {}
    for module, targets in modules.items():
        package = package_of(module)
        if package is not None:
            packages.setdefault(package, set()).update(filter(None, map(package_of, targets)))
    return [*_circle(modules), *_circle(packages)]


def _circle(imports: Mapping[str, Iterable[str]]) -> list[Problem]:
    graph = {name: {target for target in targets if target != name} for name, targets in imports.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [Problem(error.args[1][0], " -> ".join(reversed(error.args[1])))]
    return []


RULES = (upward, sideways, beyond_the_registry, large, heavy_at_start, foreign_tools, circles)


# ------------------------------------------------------------------------------------------------ tests


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_project_keeps_the_rule(rule):
    assert len(read_tree(ROOT)) > 30, "the packages were not found"
    assert len(LAYERS) <= MAX_LAYERS
    problems = rule(ROOT)
    assert not problems, "\n".join(map(str, problems))


BROKEN = {
    upward: {
        "harness/metrics/statistics.py": "def f():\n    from harness.planning import plan\n",
        "harness/planning/plan.py": "",
    },
    sideways: {"baselines/a.py": "from baselines.b import x\n", "baselines/b.py": "x = 1\n"},
    beyond_the_registry: {
        "harness/jobs/execute.py": "def f():\n    from baselines import a\n",
        "baselines/a.py": "",
    },
    large: {f"harness/core/m{number}.py": "" for number in range(MAX_MODULES + 1)},
    heavy_at_start: {
        "harness/commands/run.py": "from harness.training import trainer\n",
        "harness/training/trainer.py": "from torch import nn\n",
    },
    foreign_tools: {"harness/jobs/execute.py": "def f():\n    import mlflow.tracking\n"},
    circles: {
        "harness/metrics/statistics.py": "def f():\n    import harness.metrics.fusion\n",
        "harness/metrics/fusion.py": "from . import statistics\n",
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
    for name in (*(f"{package}/__init__.py" for package in PACKAGES), "baselines/parts/__init__.py", *files):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(files.get(name, ""))
    return root


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_finds_what_breaks_it(rule, tmp_path):
    assert len(rule(plant(tmp_path, BROKEN[rule]))) == 1


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_lets_a_sound_tree_pass(rule, tmp_path):
    assert rule(plant(tmp_path, SOUND)) == []


def test_a_module_in_no_package_is_named(tmp_path):
    assert "harness.utils" in str(upward(plant(tmp_path, {"harness/utils.py": ""}))[0])


def test_a_circle_of_packages_is_found_where_no_modules_form_one(tmp_path):
    files = {
        "harness/planning/plan.py": "import harness.jobs.options\n",
        "harness/jobs/options.py": "",
        "harness/jobs/execute.py": "import harness.planning.cost\n",
        "harness/planning/cost.py": "",
    }
    assert len(circles(plant(tmp_path, files))) == 1


def test_cards_planning_and_help_load_without_the_large_libraries():
    """What `ast` cannot see, seen: modules really loaded by importing the command line, the plan and every card."""
    code = (
        "import sys\n"
        "import harness.commands, harness.planning.plan, harness.records.record\n"
        "from harness.core import registry\n"
        "n = sum(len(registry.all(kind)) for kind in registry.KINDS)\n"
        "print(n, *sorted({name.split('.')[0] for name in sys.modules}))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    cards, *loaded = run.stdout.split()
    assert int(cards) >= 5
    assert not HEAVY & set(loaded)
