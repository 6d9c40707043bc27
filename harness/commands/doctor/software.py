"""Checks of the software: Python, libraries, devices, decoder, optical flow.

Versions are read from metadata. torch and torchvision are imported in another process, because a pair from two package
indexes crashes on import.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

from harness import __version__
from harness.commands.doctor.storage import CheckResult
from harness.core import environment
from harness.core.contract import FlowMethod
from harness.core.errors import HarnessError

DISTRIBUTION = "quovadis-harness"
PROJECT = Path(__file__).resolve().parents[3] / "pyproject.toml"
"""pyproject.toml of the checkout, if the code runs from one."""
IMPORT_TIMEOUT_S = 180.0
OPENCV = "opencv-contrib-python-headless"
OPENCV_BUILDS = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", OPENCV)
FLOW_METHODS = ("tvl1", "dis")

IMPORT_TORCH = """
import json, torch, torchvision
gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
print(json.dumps({"torch": torch.__version__, "torchvision": torchvision.__version__, "gpus": gpus}))
"""


def checks(*, import_torch: bool = True) -> Iterator[CheckResult]:
    """All of this module; without torch, those that take no seconds."""
    python = f"Python {platform.python_version()}, harness {__version__}, {platform.platform()}"
    yield CheckResult("python", "ok", python)
    yield from libraries()
    yield from shared_packages()
    if import_torch:
        yield from torch_pair()
    yield decoder()
    for name in FLOW_METHODS:
        yield flow(FlowMethod(name=name, bound_px=20.0, short_side_px=64))


def libraries() -> Iterator[CheckResult]:
    """The requirements of the distribution, or of the checkout, against what is installed."""
    try:
        names = _names(importlib.metadata.requires(DISTRIBUTION) or [])
    except importlib.metadata.PackageNotFoundError:
        declared = tomllib.loads(PROJECT.read_text(encoding="utf-8")) if PROJECT.is_file() else None
        names = _names(declared["project"]["dependencies"] if declared else [])
        detail = f"{DISTRIBUTION} is not installed" + ("" if names else ", so its requirements are not known")
        yield CheckResult("libraries", "warn", detail, "run 'pip install -e .' in the checkout")
    versions = {name: environment.package_version(name) for name in names}
    missing = " ".join(name for name, version in versions.items() if not version)
    installed = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    if installed:
        yield CheckResult("libraries", "ok", installed)
    if missing:
        yield CheckResult("libraries", "fail", f"not installed: {missing}", f"pip install {missing}")
    builds = [name for name in OPENCV_BUILDS if environment.package_version(name)]
    if len(builds) > 1:
        remedy = f"pip uninstall -y {' '.join(builds)}; pip install {OPENCV}"
        yield CheckResult("opencv", "warn", f"{' and '.join(builds)} overwrite each other's 'cv2'", remedy)


def shared_packages() -> Iterator[CheckResult]:
    """Other distributions that install a package of a name that ours have."""
    owners = importlib.metadata.packages_distributions()
    for name in environment.SIBLINGS:
        if others := " ".join(sorted({*owners.get(name, ())} - {DISTRIBUTION})):
            detail = f"{others} installs a package '{name}' as well, so that the files of both may be mixed"
            remedy = f"pip uninstall -y {others}; pip install --force-reinstall --no-deps {DISTRIBUTION}"
            yield CheckResult(name, "warn", detail, remedy)


def _names(requirements: list[str]) -> list[str]:
    """'ray[tune]>=2.50' -> 'ray'; those of extras left out."""
    return [re.split(r"[\[<>=!~; (]", line)[0] for line in requirements if "extra ==" not in line]


def torch_pair() -> Iterator[CheckResult]:
    """torch and torchvision, imported in another process, and the devices that torch sees."""
    command = [sys.executable, "-c", IMPORT_TORCH]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=IMPORT_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        remedy = "check the speed of the disk, or run this again when the machine is less busy"
        yield CheckResult("torch", "fail", f"not imported within {IMPORT_TIMEOUT_S:.0f} s", remedy)
        return
    if run.returncode:
        cause = run.stderr.strip().splitlines()[-1] if run.stderr.strip() else f"exit status {run.returncode}"
        versions = f"torch {_version('torch')} and torchvision {_version('torchvision')}"
        remedy = "install both from one index: pip uninstall -y torch torchvision; pip install torch torchvision"
        yield CheckResult("torch", "fail", f"{versions} cannot be imported together: {cause}", remedy)
        return
    pair = json.loads(run.stdout.strip().splitlines()[-1])
    yield CheckResult("torch", "ok", f"torch {pair['torch']} and torchvision {pair['torchvision']} work together")
    yield _devices(pair["gpus"])


def _version(name: str) -> str:
    return environment.package_version(name) or "(not installed)"


def _devices(gpus: list[str]) -> CheckResult:
    device = environment.device()
    cpu = f"{environment.cpu_threads()} CPU threads"
    if gpus and device == "cpu" and not os.environ.get("HARNESS_DEVICE"):
        detail = (
            f"torch sees {', '.join(gpus)}, but no file of NVIDIA's driver is where we look for it; runs use the CPU"
        )
        return CheckResult("devices", "warn", detail, "set HARNESS_DEVICE=cuda")
    if gpus:
        return CheckResult("devices", "ok", f"{', '.join(gpus)}; {cpu}; runs use {device}")
    if device != "cpu":
        remedy = "install a torch built for this driver, or pass --device cpu (HARNESS_DEVICE=cpu for all commands)"
        return CheckResult("devices", "fail", f"runs would use {device}, but torch sees no GPU", remedy)
    return CheckResult("devices", "ok", f"{cpu}, no GPU: enough for the micro scale; the paper scale needs a GPU")


def decoder() -> CheckResult:
    """Write a clip and read it back."""
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
                    return _broken("decoder", f"{codec}: read {count} of {len(frames)} frames", "av")
    except (ImportError, HarnessError) as error:
        return _broken("decoder", str(error), f"av {OPENCV}")
    with_ = "" if reader == DEFAULT else f" with {reader}"
    return CheckResult("decoder", "ok", f"PyAV {_version('av')} writes {' and '.join(codecs)}; read back{with_}")


def flow(method: FlowMethod) -> CheckResult:
    """Compute the flow of two frames."""
    import numpy as np

    frames = np.random.default_rng(0).integers(0, 255, (2, 32, 32, 3), np.uint8)
    try:
        from harness.video.flow import estimation

        estimation.compute(frames, method)
    except (ImportError, HarnessError) as error:
        return _broken(f"flow {method.name}", str(error), OPENCV)
    return CheckResult(f"flow {method.name}", "ok", f"computed, OpenCV {_version(OPENCV)}")


def _broken(name: str, cause: str, packages: str) -> CheckResult:
    return CheckResult(name, "fail", cause, f"pip install --force-reinstall {packages}")
