"""What a number depends on besides its spec: versions, hardware, commit. And what is resolved when planning."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("torch", "torchvision", "numpy", "av", "opencv-contrib-python-headless", "timm", "safetensors")


def cpu_threads() -> int:
    """Cores this process may run on; HARNESS_THREADS overrides. Sums over threads depend on it, so job ids hold it."""
    asked = os.environ.get("HARNESS_THREADS", "")
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def device() -> str:
    """'cuda' where an NVIDIA driver answers, else 'cpu'; HARNESS_DEVICE overrides. Known without importing torch."""
    asked = os.environ.get("HARNESS_DEVICE", "")
    if asked:
        return asked
    return "cuda" if Path("/proc/driver/nvidia/version").exists() and _visible_gpus() else "cpu"


def _visible_gpus() -> bool:
    return os.environ.get("CUDA_VISIBLE_DEVICES", "all") not in ("", "-1")


def precision(device_name: str, asked: str = "auto") -> str:
    """'bfloat16' (under autocast) or 'float32', as `asked`; 'auto': bfloat16 on a GPU and on a CPU that has instructions for it."""
    if asked != "auto":
        return asked
    # Not asked of the GPU: the machine that plans may have none, and must not load torch.
    return "bfloat16" if device_name.startswith("cuda") or computes_bfloat16(device_name) else "float32"


def computes_bfloat16(device_name: str) -> bool:
    """Whether the device has instructions for bfloat16: without them it is slower than float32, not faster."""
    if device_name.startswith("cuda"):
        import torch

        return bool(torch.cuda.get_device_capability() >= (8, 0))
    info = Path("/proc/cpuinfo")
    flags = info.read_text().split() if info.exists() else []
    return "avx512_bf16" in flags or "amx_bf16" in flags


def accelerator() -> str:
    """The GPU's name; '' where there is none."""
    if not device().startswith("cuda"):
        return ""
    import torch

    return str(torch.cuda.get_device_name())


def package_version(name: str) -> str:
    """Installed version of a distribution, '' if there is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


@functools.lru_cache(maxsize=1)
def describe() -> dict[str, str | int]:
    """Everything about this machine that a record keeps."""
    return {
        "harness": package_version("quovadis-harness"),
        "commit": _commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu_model(),
        "cpu_threads": cpu_threads(),
        "device": device(),
        **{name: package_version(name) for name in PACKAGES},
    }


def _commit() -> str:
    """Commit of the checkout this code lies in, '+' behind it if files differ; '' outside a checkout."""
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


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
