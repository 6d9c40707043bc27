"""The sdist holds the whole repository, the wheel built from it all it needs, in an environment without the checkout.

The quick tests lend the new environment the libraries of this one. `tox -e wheel` downloads them all and runs the demo.
"""

from __future__ import annotations

import email
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

import harness

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("harness", "baselines", "reports")

# Building and installing take longer than the tests: one worker does it for all of them.
pytestmark = pytest.mark.xdist_group("wheel")


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the sdist, built from this checkout, and of the wheel, built from the sdist."""
    if not (ROOT / "pyproject.toml").exists():
        pytest.skip("there is no checkout to build from")
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT), cwd=out)
    return out


@pytest.fixture(scope="session")
def wheel(dist: Path) -> Path:
    (built,) = dist.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def unpacked(dist: Path) -> Path:
    """The unpacked sdist."""
    (built,) = dist.glob("*.tar.gz")
    with tarfile.open(built) as archive:
        archive.extractall(dist, filter="data")
    return dist / built.name.removesuffix(".tar.gz")


@pytest.fixture(scope="session")
def bin_dir(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs of a new environment: the wheel installed, the libraries lent by this one, the checkout nowhere."""
    prefix = tmp_path_factory.mktemp("elsewhere") / "venv"
    programs = new_environment(prefix)
    run(str(programs / "python"), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel), cwd=prefix)
    (site,) = (prefix / "lib").glob("python*/site-packages")
    # A path in a .pth file is put on sys.path, but .pth files in it are not read: the editable install stays unseen.
    (site / "lent.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    return programs


def new_environment(prefix: Path) -> Path:
    """An empty environment with pip; gives the folder of its programs."""
    run(sys.executable, "-m", "venv", str(prefix), cwd=prefix.parent)
    return prefix / "bin"


def run(*command: str, cwd: Path, env: dict[str, str] | None = None, timeout_s: float = 300, status: int = 0) -> str:
    """What a command prints, which must exit with this status; nothing of the caller's Python reaches it."""
    clean = {
        name: value
        for name, value in (env or dict(os.environ)).items()
        if not name.startswith(("PYTHON", "VIRTUAL_ENV"))
    }
    done = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, timeout=timeout_s, check=False)
    assert done.returncode == status, f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stderr if status else done.stdout


# ------------------------------------------------------------------------------------------------ contents


def test_it_holds_every_module_the_numbers_and_the_type_marks(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(path.relative_to(ROOT)) for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert len(modules) > 40
    assert modules - names == set()
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    for kind in ("paper", "expected"):
        kept = {path.name for path in (ROOT / "results" / kind).iterdir() if path.is_file()}
        assert kept
        assert {f"harness/_data/results/{kind}/{name}" for name in kept} <= names


def test_it_holds_nothing_else(wheel):
    strays = [
        name
        for name in zipfile.ZipFile(wheel).namelist()
        if not name.startswith(
            (*(f"{package}/" for package in PACKAGES), f"quovadis_harness-{harness.__version__}.dist-info/")
        )
        or name.startswith("reports/out/")
        or "__pycache__" in name
    ]
    assert strays == []


def test_the_sdist_holds_every_file_of_the_repository(unpacked):
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, so which files belong to it is not known")
    listing = ["git", "-C", str(ROOT), "ls-files", "-z"]
    tracked = {name for name in run(*listing, cwd=ROOT).split("\0") if (ROOT / name).is_file()}
    files = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    assert len(tracked) > 400
    assert tracked - files == set()


def test_the_page_of_a_package_index_has_no_dead_links(wheel):
    (metadata,) = (name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".dist-info/METADATA"))
    page = email.message_from_bytes(zipfile.ZipFile(wheel).read(metadata)).get_payload()
    assert "harness run" in page
    assert re.findall(r"\]\((?!https?:|#)[^)]*\)", page) == []


def test_the_sdist_passes_tests_of_its_own(unpacked):
    """Those that read other files than code: documents, recipes, tools, data of the tests."""
    names = (
        "unit/test_project.py",
        "unit/test_like_pip.py",
        "unit/test_settings_page.py",
        "unit/test_paper_numbers.py",
    )
    words = ["-q", "-k", "not import and not protocol", "-p", "no:cacheprovider", *(f"tests/{name}" for name in names)]
    assert " passed" in run(sys.executable, "-m", "pytest", *words, cwd=unpacked)


# ------------------------------------------------------------------------------------------------ elsewhere


def test_the_code_that_runs_is_the_installed_one(bin_dir, tmp_path):
    where = "import harness, baselines, reports; print(*(m.__file__ for m in (harness, baselines, reports)), sep='\\n')"
    files = run(str(bin_dir / "python"), "-c", where, cwd=tmp_path).split()
    assert len(files) == len(PACKAGES)
    assert all(Path(file).is_relative_to(bin_dir.parent) for file in files)


def test_both_ways_to_start_it_answer(bin_dir, tmp_path):
    by_name = run(str(bin_dir / "harness"), "--help", cwd=tmp_path)
    by_module = run(str(bin_dir / "python"), "-m", "harness", "--help", cwd=tmp_path)
    assert "doctor" in by_name
    assert "doctor" in by_module
    assert harness.__version__ in run(str(bin_dir / "harness"), "--version", cwd=tmp_path)


def test_it_finds_its_plug_ins_and_the_papers_numbers(bin_dir, tmp_path):
    places = {**os.environ, "HARNESS_DATA": str(tmp_path / "data"), "HARNESS_RESULTS": str(tmp_path / "results")}
    assert "i3d" in run(str(bin_dir / "harness"), "ls", "baselines", cwd=tmp_path, env=places)
    assert "micro-hmdb51" in run(str(bin_dir / "harness"), "ls", "datasets", cwd=tmp_path, env=places)
    # 80.7: I3D, RGB+Flow, Full-FT on HMDB-51 as transferred from ImageNet and Kinetics.
    numbers = "from harness.analysis import paper_numbers; print(*sorted({n.value for n in paper_numbers.numbers()}))"
    assert "80.7" in run(str(bin_dir / "python"), "-c", numbers, cwd=tmp_path, env=places).split()


def test_a_folder_with_modules_of_our_names_is_no_danger(bin_dir, tmp_path):
    for name in ("reports.py", "baselines/__init__.py", "baselines/i3d.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("raise SystemExit('the wrong module was imported')\n")
    places = {**os.environ, "HARNESS_DATA": str(tmp_path / "data")}
    plan = ("plan", "--baseline", "i3d", "--dataset", "micro-hmdb51", "--protocol", "full-ft")
    assert "i3d" in run(str(bin_dir / "harness"), *plan, cwd=tmp_path, env=places)
    assert "I3D" in run(str(bin_dir / "harness"), "table", "4", "--scale", "micro", cwd=tmp_path, env=places)
    message = run(str(bin_dir / "python"), "-m", "harness", "ls", "baselines", cwd=tmp_path, status=2)
    assert str(tmp_path / "baselines") in message and str(bin_dir.parent) in message


def test_the_example_of_a_plug_in_package_is_found_and_passes_its_tests(bin_dir, tmp_path):
    package = shutil.copytree(ROOT / "examples" / "plugin", tmp_path / "plugin")
    install = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", str(package))
    run(str(bin_dir / "python"), *install, cwd=tmp_path)
    words = ("-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "tests")
    assert "4 passed" in run(str(bin_dir / "python"), *words, cwd=package)


@pytest.mark.wheel
def test_the_demo_runs_from_an_empty_environment(wheel, tmp_path):
    """Everything the metadata asks for, downloaded into an environment of its own; then the demo, word for word."""
    uv = shutil.which("uv")
    programs = new_environment(tmp_path / "venv")
    install = [uv, "pip", "install", "--python"] if uv else [str(programs / "python"), "-m", "pip", "install"]
    target = [str(programs / "python"), str(wheel)] if uv else [str(wheel)]
    run(*install, *target, cwd=tmp_path, timeout_s=3600)
    home = tmp_path / "home"
    home.mkdir()
    env = {**os.environ, "HOME": str(home), "HARNESS_DATA": str(tmp_path / "data")}
    command = [
        str(programs / "harness"),
        "run",
        "--baseline",
        "i3d",
        "--protocol",
        "full-ft",
        "--dataset",
        "micro-hmdb51",
    ]
    first = run(*command, cwd=tmp_path, env=env, timeout_s=3600)
    assert "top-1" in first
    assert (tmp_path / "results" / "runs").is_dir()
    again = run(*command, cwd=tmp_path, env=env)
    assert "Nothing to do" in again
    table = run(str(programs / "harness"), "table", "4", "--scale", "micro", cwd=tmp_path, env=env)
    assert "I3D" in table
