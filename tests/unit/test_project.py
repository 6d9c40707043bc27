"""The house itself: what is declared is what is used, what is promised stands somewhere, and nothing names a machine."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import harness
from harness.core import registry
from tests.documents import documents

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("harness", "baselines", "reports")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


# ------------------------------------------------------------------------------------------------ dependencies


def dependency_faults(root: Path, *options: str) -> list[str]:
    """Imports below `root` that its pyproject.toml does not declare, and dependencies that nothing imports."""
    command = [sys.executable, "-m", "deptry", ".", "--no-ansi", *options]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return [line for line in done.stderr.splitlines() if re.search(r" DEP\d+ ", line)]


def test_dependencies_are_the_imports():
    assert dependency_faults(ROOT, "--extend-exclude", "examples|docs") == []


def test_what_tests_documents_and_examples_import_is_declared():
    assert dependency_faults(ROOT, "--exclude", r"\.(venv|tox|git)", "--ignore", "DEP002,DEP004") == []


def test_an_undeclared_import_is_named(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\ndependencies = []\n')
    (tmp_path / "x.py").write_text("def f():\n    import leftpad.core\n")
    (fault,) = dependency_faults(tmp_path)
    assert fault.startswith("x.py:2:") and "'leftpad'" in fault


# ------------------------------------------------------------------------------------------------ words

SELF = Path(__file__).relative_to(ROOT)
FORBIDDEN = {
    # Folders of one machine. A path in a docstring's example is written relative, or below /tmp or /data.
    r"(?<![\w./-])/(?:work|opt|root|home|Users|mnt|srv)/\w": "a path of one machine",
    # Package indexes by host: whatever pip is configured with is used.
    r"\bpypi\.(?:org|python)|pythonhosted\.org|download\.pytorch\.org/whl|deb\.debian\.org|registry\.npmjs": "an index host",
    r"\.\./shared\b": "a path outside the checkout",
}
EXEMPT = {Path(".ci/run"): r"\.\./shared\b"}
"""The one place that looks beside the checkout, and may."""


def text_files(root: Path) -> list[Path]:
    """Everything git tracks or would track, that is text."""
    listing = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, capture_output=True, text=True, check=True).stdout.split("\0")
    files = [root / name for name in names if name and (root / name).is_file()]
    return [path for path in files if b"\0" not in path.read_bytes()[:4096]]


def slips(root: Path) -> list[str]:
    found = []
    for path in text_files(root):
        name = path.relative_to(root)
        if name == SELF:
            continue
        for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), 1):
            for pattern, what in FORBIDDEN.items():
                if re.search(pattern, line) and EXEMPT.get(name) != pattern:
                    found.append(f"{name}:{number} names {what}: {line.strip()[:100]}")
    return found


def test_nothing_names_a_machine_or_an_index():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, so which files belong to it is not known")
    assert len(text_files(ROOT)) > 40
    assert slips(ROOT) == []


@pytest.mark.parametrize(
    "line",
    ["data = '/home/ann/ucf101'", "pip install -i https://pypi.org/simple x", "cd ../shared/data", "see /opt/data"],
)
def test_a_slip_is_found(line, tmp_path):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "notes.md").write_text(f"fine\n{line}\n")
    assert len(slips(tmp_path)) == 1
    assert slips(tmp_path)[0].startswith("notes.md:2 ")


# ------------------------------------------------------------------------------------------------ promises

OF_THE_PAPER = {"harness/analysis/claim_definitions.py", "harness/analysis/paper_numbers.py"}
"""Modules whose subject are the paper's own protocols."""


def named_strings(root: Path, names: set[str]) -> list[str]:
    """Where code, docstrings apart, holds one of these names as a string."""
    places = []
    for path in sorted(path for package in PACKAGES for path in (root / package).rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        places += [
            f"{path.relative_to(root).as_posix()}:{node.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and node.value in names and id(node) not in prose
        ]
    return places


def test_no_code_knows_a_protocol_by_name_but_the_protocols_the_schedules_and_the_claims():
    names = set(registry.names("protocol"))
    allowed = ("harness/protocols/", "harness/training/heads/", "baselines/parts/families/recipes.py")
    assert names >= {"original", "fixed", "full-ft"}
    places = [place for place in named_strings(ROOT, names) if not place.startswith(allowed)]
    assert [place for place in places if place.partition(":")[0] not in OF_THE_PAPER] == []


def test_a_protocol_that_is_known_by_name_is_found(tmp_path):
    (tmp_path / "harness").mkdir()
    (tmp_path / "harness" / "x.py").write_text('"""fixed"""\nif name == "fixed":\n    pass\n')
    assert named_strings(tmp_path, {"fixed"}) == ["harness/x.py:2"]


def tox_environments() -> set[str]:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    names = set(re.split(r"[,\s]+", tox["tox"]["env_list"].strip()))
    for section in tox.sections():
        if section.startswith("testenv:") and "{" not in section:
            names.add(section.removeprefix("testenv:"))
    return names


def test_every_tox_environment_is_explained():
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    missing = {name for name in tox_environments() if f"`tox -e {name}`" not in text}
    assert len(tox_environments()) > 8
    assert missing == set()


WRITES_THE_ENVIRONMENT = {
    "harness/core/processes.py": "the GPUs of processes that a job starts, before torch is loaded in them",
    "harness/jobs/profiler.py": "the log level of torch's profiler",
    "harness/launch/ray/cluster.py": "Ray's own settings",
    "harness/launch/ray/tune.py": "Ray Tune's own settings",
    "harness/launch/ray/worker.py": "the GPUs and threads of a task, before torch is loaded",
    "harness/records/tracking/server.py": "MLflow's own settings",
    "harness/video/numba_cache.py": "Numba's own setting",
}


def environment_writes(root: Path) -> set[str]:
    """Files that set an environment variable."""
    writing = re.compile(r"os\.environ\[[^]]+\] = |os\.environ\.(update|setdefault|pop)\(|putenv")
    paths = [path for package in PACKAGES for path in (root / package).rglob("*.py")]
    return {path.relative_to(root).as_posix() for path in paths if writing.search(path.read_text("utf-8"))}


def test_no_environment_variable_is_a_channel_between_our_own_modules():
    assert environment_writes(ROOT) == set(WRITES_THE_ENVIRONMENT)


def test_a_write_to_the_environment_is_found(tmp_path):
    (tmp_path / "harness").mkdir()
    (tmp_path / "harness" / "x.py").write_text('import os\nos.environ["HARNESS_X"] = "1"\n')
    assert environment_writes(tmp_path) == {"harness/x.py"}


def test_every_marker_that_is_left_out_by_default_has_an_environment():
    markers = {marker.split(":")[0] for marker in PROJECT["tool"]["pytest"]["ini_options"]["markers"]}
    assert markers - {"slow"} <= tox_environments()


def test_a_page_has_what_make_runs():
    """Every line of the recipes is on the page as a plain command, for use without make."""
    page = (ROOT / "docs" / "how-to" / "install.md").read_text("utf-8")
    for target in ("demo", "test"):
        dry = subprocess.run(
            ["make", "--dry-run", "--always-make", "--no-print-directory", target],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert dry.returncode == 0, dry.stderr
        commands = [line for line in dry.stdout.splitlines() if line.startswith((".venv/", "python3 -m venv"))]
        assert len(commands) >= 3
        assert [command for command in commands if command not in page] == []


def test_the_changelog_tells_of_this_version():
    assert f"## [{harness.__version__}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_the_citation_names_this_version():
    assert f"\nversion: {harness.__version__}\n" in (ROOT / "CITATION.cff").read_text("utf-8")


def links(path: Path) -> list[str]:
    return re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", path.read_text("utf-8"))


def test_links_between_documents_lead_somewhere():
    targets = [(path, link) for path in documents() for link in links(path)]
    assert targets
    assert [f"{path.name}: {link}" for path, link in targets if not (path.parent / link).exists()] == []


ARCHITECTURE = ROOT / "docs" / "explanation" / "architecture.md"


def test_the_architecture_names_every_package():
    text = ARCHITECTURE.read_text("utf-8")
    packages = [path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "harness").glob("*/__init__.py")]
    assert len(packages) > 10
    assert [name for name in packages if f"`{name}/`" not in text] == []


def test_common_tasks_take_one_or_two_files_that_exist():
    """The last table of the architecture. NAME stands for a new file."""
    rows = ARCHITECTURE.read_text("utf-8").split("| task | files |\n|---|---|\n")[1].splitlines()
    assert len(rows) == 10
    for row in rows:
        _, task, files, _ = row.split("|")
        paths = re.findall(r"`((?:harness|reports)/[^`]+)`", files)
        assert 1 <= len(paths) <= 2, row
        existing = [path for path in paths if "NAME" not in path and "slurm" not in path]
        assert all((ROOT / path).is_file() for path in existing), row
        new = [path for path in paths if path not in existing]
        assert all((ROOT / path).parent.is_dir() for path in new), (task, new)
