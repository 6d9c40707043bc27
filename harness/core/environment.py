"""The machine and the software that numbers depend on in addition to a job's spec, and whether this is our own code.

`device` and `cpu_threads` are read where a command starts (planning, `JobOptions`) and passed on as values.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import platform
import re
import subprocess
import warnings
from collections.abc import Iterator
from contextvars import ContextVar
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from harness.core import processes
from harness.core.errors import HarnessError

SIBLINGS = ("baselines", "reports")
"""Packages that are installed next to `harness`, under names that a user's files or other distributions may have as well."""
VISIBLE_GPUS = "CUDA_VISIBLE_DEVICES"
DRIVER_FILES = (Path("/proc/driver/nvidia/version"), Path("/dev/nvidiactl"), Path("/usr/lib/wsl/lib/libcuda.so.1"))
"""Files of NVIDIA's driver: on Linux, in containers that hide the first, and in the Windows Subsystem for Linux."""
PACKAGES = ("torch", "torchvision", "numpy", "av", "opencv-contrib-python-headless", "timm", "safetensors")
_device: ContextVar[str] = ContextVar("device", default="")


def check_siblings() -> None:
    """Raises HarnessError if Python would import another `baselines` or `reports` than those installed with this code."""
    site = Path(__file__).resolve().parents[2]
    for name in SIBLINGS:
        own = site / name / "__init__.py"
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise HarnessError(f"{own} is missing; install quovadis-harness again")
        if Path(spec.origin).resolve() != own:
            raise HarnessError(
                f"Python finds the module '{name}' in {spec.origin}, but the harness needs its own in {own.parent}; rename "
                "the first, or work in another folder"
            )


def cpu_threads() -> int:
    """Cores this process may run on, or HARNESS_THREADS. Part of job ids: sums depend on the number of threads."""
    setting = os.environ.get("HARNESS_THREADS", "")
    if setting:
        if not setting.isdigit() or int(setting) < 1:
            raise HarnessError(f"HARNESS_THREADS={setting}: expected a number of threads, 1 or more")
        return int(setting)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def device() -> str:
    """The device of `use_device`, HARNESS_DEVICE, or 'cuda' if an NVIDIA driver is installed, or 'cpu'. Does not import torch."""
    if chosen := _device.get():
        return chosen
    if setting := os.environ.get("HARNESS_DEVICE", ""):
        return _checked(setting, f"HARNESS_DEVICE={setting}")
    visible = os.environ.get(VISIBLE_GPUS, "all") not in ("", "-1")
    return "cuda" if visible and any(path.exists() for path in DRIVER_FILES) else "cpu"


def visible_gpus() -> list[str]:
    """Ids in CUDA_VISIBLE_DEVICES, in the order of CUDA's numbers 0, 1, ...; [] where it does not limit CUDA to some GPUs."""
    return list(filter(None, os.environ.get(VISIBLE_GPUS, "").split(",")))


def select_gpu(device_name: str) -> None:
    """Make GPU N of 'cuda:N' the current one, and the only one of processes that are started later.

    Not by CUDA_VISIBLE_DEVICES: CUDA reads it once, and a worker process may run its next job on another GPU.
    """
    kind, _, number = device_name.partition(":")
    if kind == "cuda" and number:
        import torch

        torch.cuda.set_device(device_name)
        processes.child_variables[VISIBLE_GPUS] = _gpu_id(int(number))


def gpu_ids(device_name: str) -> list[str]:
    """Ids, as in CUDA_VISIBLE_DEVICES, of the GPU 'cuda:N', or of all that 'cuda' may mean. Loads torch."""
    import torch

    number = device_name.partition(":")[2]
    return [_gpu_id(n) for n in ([int(number)] if number else range(torch.cuda.device_count()))]


def _gpu_id(number: int) -> str:
    visible = visible_gpus()
    return visible[number] if visible else str(number)


@contextlib.contextmanager
def use_device(name: str | None) -> Iterator[None]:
    """During the block, `device` returns `name`; None: unchanged. Raises HarnessError for a name that no device has."""
    token = _device.set(_checked(name, f"--device {name}") if name is not None else _device.get())
    try:
        yield
    finally:
        _device.reset(token)


def _checked(name: str, source: str) -> str:
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise HarnessError(f"{source}: expected cpu, cuda, or cuda:N for GPU number N")
    return name


def check_device(name: str) -> None:
    """Raise HarnessError for a GPU that PyTorch does not find on this machine."""
    if not name.startswith("cuda"):
        return
    import torch

    with warnings.catch_warnings(record=True) as caught:  # the driver is too old, for example
        warnings.simplefilter("always")
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    number = int(name.partition(":")[2] or 0)
    if number >= count:
        gpus = (
            "no GPU" if not count else "one GPU, cuda:0" if count == 1 else f"{count} GPUs, cuda:0 to cuda:{count - 1}"
        )
        cause = f" ({str(caught[0].message).splitlines()[0]})" if caught else ""
        raise HarnessError(
            f"the device {name} is not on this machine: PyTorch finds {gpus}{cause}; choose another with --device (cpu works "
            "everywhere), or run `harness doctor` to see why"
        )


def precision(device_name: str, requested: str = "auto") -> str:
    """'bfloat16' (under autocast) or 'float32', as requested; 'auto': bfloat16 on a GPU, or a CPU with instructions for it."""
    if requested != "auto":
        return requested
    # A GPU is not queried: the machine that plans may have none, and must not load torch.
    return "bfloat16" if device_name.startswith("cuda") or computes_bfloat16(device_name) else "float32"


def computes_bfloat16(device_name: str) -> bool:
    """Whether the device has instructions for bfloat16; without them it is slower than float32."""
    if device_name.startswith("cuda"):
        import torch

        return bool(torch.cuda.get_device_capability() >= (8, 0))
    info = Path("/proc/cpuinfo")
    flags = info.read_text().split() if info.exists() else []
    return "avx512_bf16" in flags or "amx_bf16" in flags


def package_version(name: str) -> str:
    """Installed version of a distribution; '' if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


@functools.lru_cache(maxsize=1)
def describe(device: str, cpu_threads: int) -> dict[str, str | int]:
    """The environment of a record: versions, commit and hardware, with the device and threads that a job uses."""
    return {
        "harness": package_version("quovadis-harness"),
        "commit": _commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu_model(),
        "cpu_threads": cpu_threads,
        "device": device,
        **{name: package_version(name) for name in PACKAGES},
    }


def _commit() -> str:
    """Commit of this code's checkout, with a '+' if files differ from it; '' outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def cpu_model() -> str:
    """Name of the processor."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
