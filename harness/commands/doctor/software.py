"""What is installed, what works here, and what to do about what does not. Looks only: writes nothing it leaves behind.

A library is asked for its version through its metadata; torch and torchvision are imported in another process, because
a pair from two indexes dies on import, and the doctor must live to say so.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

from harness import __version__
from harness.commands import storage_checks
from harness.commands.storage_checks import Finding
from harness.core import environment
from harness.core.contract import FlowMethod
from harness.core.errors import HarnessError
from harness.core.workspace import Workspace

DISTRIBUTION = "quovadis-harness"
PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
"""In a checkout."""
MIN_PYTHON = (3, 11)
IMPORT_TIMEOUT_S = 180.0

IMPORT_TORCH = """
import json, torch, torchvision
gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
print(json.dumps({"torch": torch.__version__, "torchvision": torchvision.__version__, "gpus": gpus}))
"""


def report(workspace: Workspace, *, import_torch: bool = True) -> list[Finding]:
    """Every finding, in the order of a first reading. `import_torch=False` leaves out the seconds that torch takes."""
    return [
        _python(),
        *_libraries(),
        *(_torch() if import_torch else ()),
        storage_checks.memory(),
        _decoder(),
        *(_flow(FlowMethod(name=name, bound_px=20.0, short_side_px=64)) for name in ("tvl1", "dis")),
        *storage_checks.datasets(workspace.data),
        storage_checks.mlflow(workspace.results),
        *storage_checks.disk(workspace),
    ]


# ------------------------------------------------------------------------------------------------ software


def _python() -> Finding:
    seen = f"Python {platform.python_version()}, harness {__version__}, {platform.platform()}"
    if sys.version_info < MIN_PYTHON:
        return Finding("python", "fail", seen, "install in an environment of Python 3.11 or newer")
    return Finding("python", "ok", seen)


def _libraries() -> Iterator[Finding]:
    """What the distribution, or the checkout it runs from, says it needs, against what is there."""
    try:
        needed = _required(importlib.metadata.requires(DISTRIBUTION) or [])
    except importlib.metadata.PackageNotFoundError:
        needed = _required(_declared(PROJECT))
        yield Finding(
            "libraries",
            "warn",
            f"{DISTRIBUTION} runs from a folder without being installed"
            + ("" if needed else ", so what it needs is not known"),
            "run 'pip install -e .' in the checkout",
        )
    versions = {name: environment.package_version(name) for name in needed}
    missing = [name for name, version in versions.items() if not version]
    seen = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    if seen:
        yield Finding("libraries", "ok", seen)
    if missing:
        yield Finding("libraries", "fail", f"not installed: {', '.join(missing)}", f"pip install {' '.join(missing)}")
    builds = [name for name in _OPENCV_BUILDS if environment.package_version(name)]
    if len(builds) > 1:
        yield Finding(
            "opencv",
            "warn",
            f"{' and '.join(builds)} are installed over each other; whichever came last is 'cv2'",
            f"pip uninstall -y {' '.join(builds)}; pip install opencv-contrib-python-headless",
        )


def _declared(project: Path) -> list[str]:
    """The requirements that a checkout's pyproject.toml names; [] where there is none."""
    if not project.is_file():
        return []
    return list(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"])


_OPENCV_BUILDS = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")


def _required(requirements: list[str]) -> list[str]:
    """'ray[tune]>=2.50' -> 'ray'; those of extras left out."""
    return [re.split(r"[\[<>=!~; (]", line)[0] for line in requirements if "extra ==" not in line]


def _torch() -> Iterator[Finding]:
    """torch and torchvision, really imported, elsewhere; and the devices torch sees."""
    try:
        run = subprocess.run(
            [sys.executable, "-c", IMPORT_TORCH], capture_output=True, text=True, timeout=IMPORT_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        yield Finding("torch", "fail", f"not imported within {IMPORT_TIMEOUT_S:.0f} s", _SLOW)
        return
    if run.returncode:
        versions = f"torch {_version('torch')} and torchvision {_version('torchvision')}"
        why = run.stderr.strip().splitlines()[-1] if run.stderr.strip() else f"exit code {run.returncode}"
        yield Finding(
            "torch",
            "fail",
            f"{versions} cannot be imported together: {why}",
            "they must come from one index: pip uninstall -y torch torchvision; pip install torch torchvision",
        )
        return
    seen = json.loads(run.stdout.strip().splitlines()[-1])
    yield Finding("torch", "ok", f"torch {seen['torch']} and torchvision {seen['torchvision']} go together")
    yield _devices(seen["gpus"])


_SLOW = "see whether the disk is slow, or ask again when the machine is less busy"


def _version(name: str) -> str:
    return environment.package_version(name) or "(not installed)"


def _devices(gpus: list[str]) -> Finding:
    chosen = environment.device()
    cpu = f"{environment.cpu_threads()} CPU threads"
    if gpus:
        return Finding("devices", "ok", f"{', '.join(gpus)}; {cpu}; runs use {chosen}")
    if chosen != "cpu":
        return Finding(
            "devices",
            "fail",
            f"runs would use {chosen}, but torch sees no GPU",
            "install a torch built for this driver, or set HARNESS_DEVICE=cpu",
        )
    return Finding("devices", "ok", f"{cpu}, no GPU: enough for the micro scale; the paper scale wants one")


# ------------------------------------------------------------------------------------------------ video


def _decoder() -> Finding:
    """A clip written and read back."""
    import numpy as np

    frames = np.full((8, 64, 64, 3), 128, np.uint8)
    codecs = ("h264", "mpeg4")
    try:
        from harness.video import decode, encode
        from harness.video.decoder import DEFAULT, preferred

        reader = preferred()
        with tempfile.TemporaryDirectory() as folder:
            for codec in codecs:
                path = Path(folder) / f"{codec}.mp4"
                encode.write_video(path, frames, codec=codec)
                count = len(decode.read_video(path, short_side_px=64, decoder=reader))
                if count != len(frames):
                    return _broken("decoder", f"{codec}: {count} of {len(frames)} frames came back", "av")
    except (ImportError, HarnessError) as error:
        return _broken("decoder", str(error), "av opencv-contrib-python-headless")
    read = "" if reader == DEFAULT else f"{reader} "
    return Finding("decoder", "ok", f"PyAV {_version('av')} writes and {read}reads {' and '.join(codecs)}")


def _flow(method: FlowMethod) -> Finding:
    """Two frames, one flow."""
    import numpy as np

    name = f"flow {method.name}"
    frames = np.random.default_rng(0).integers(0, 255, (2, 32, 32, 3), np.uint8)
    try:
        from harness.video.flow import codec as flow_codec

        flow_codec.compute(frames, method)
    except (ImportError, HarnessError) as error:
        return _broken(name, str(error), "opencv-contrib-python-headless")
    return Finding(name, "ok", f"OpenCV {_version('opencv-contrib-python-headless')} computes it")


def _broken(name: str, what: str, packages: str) -> Finding:
    return Finding(name, "fail", what, f"pip install --force-reinstall {packages}")
