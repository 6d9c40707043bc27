"""The best rates of simple operations on this machine: the limits that networks are compared with."""

from __future__ import annotations

from typing import Any

from benchmarks.ratios.case import Builders, Case, Machine, Ready
from benchmarks.ratios.processes import Worker
from benchmarks.ratios.values import Ceiling


def measure_ceilings(machine: Machine) -> dict[str, Ceiling]:
    """Name -> best rate, for each operation, precision and thread count."""
    cpu = machine.device == "cpu"
    sizes = {"conv3d": 28, "matmul": 1024 if machine.quick else 4096, "copy": 64 if machine.quick else 256}
    sizes = sizes if cpu else {"conv3d": 112, "matmul": 8192, "copy": 2048}
    cases = [
        Case(operation, precision=precision, threads=threads, device=machine.device, size=size)
        for threads in (sorted({1, machine.threads}) if cpu else (1,))
        for operation, size in sizes.items()
        for precision in (machine.precisions if operation != "copy" else ("float32",))
    ]
    return {ceiling_name(case): _best_rate(case, rounds=3 if machine.quick else 9) for case in cases}


def _best_rate(case: Case, *, rounds: int) -> Ceiling:
    with Worker(case) as worker:
        seconds = min(worker.run() for _ in range(rounds))
    if case.builder == "copy":
        return Ceiling(worker.facts["gbyte"] / seconds, "GB/s")
    return Ceiling(worker.facts["gflop"] / seconds, "GFLOP/s")


def ceiling_name(case: Case) -> str:
    """Such as 'conv3d float32 2 threads'."""
    precision = "" if case.builder == "copy" else f" {case.precision}"
    return f"{case.builder}{precision} {case.threads} thread{'s' if case.threads > 1 else ''}"


def matmul(case: Case) -> Ready:
    """The product of two square matrices of `size` rows."""
    import torch

    a, b = (torch.randn(case.size, case.size, device=case.device).to(_dtype(case)) for _ in range(2))
    return Ready(lambda: a @ b, {"gflop": 2 * case.size**3 / 1e9})


def conv3d(case: Case) -> Ready:
    """3x3x3 on 256 channels of 8 frames, `size` px, channels last, no gradients: like the networks' middle layers."""
    import torch

    like = {"memory_format": torch.channels_last_3d}
    frames, side_px = 8, case.size
    x = torch.randn(1, 256, frames, side_px, side_px, device=case.device).to(_dtype(case)).contiguous(**like)
    w = torch.randn(256, 256, 3, 3, 3, device=case.device).mul_(0.01).to(_dtype(case)).contiguous(**like)

    def step() -> Any:
        with torch.inference_mode():
            return torch.nn.functional.conv3d(x, w, padding=1)

    return Ready(step, {"gflop": 2 * 256 * 256 * 27 * frames * side_px**2 / 1e9})


def copy(case: Case) -> Ready:
    """A copy of `size` MiB of memory; read and written bytes both count."""
    import torch

    a, b = (torch.ones(case.size * 2**20, dtype=torch.uint8, device=case.device) for _ in range(2))
    return Ready(lambda: b.copy_(a), {"gbyte": 2 * a.numel() / 1e9})


def _dtype(case: Case) -> Any:
    import torch

    return getattr(torch, case.precision)


BUILDERS: Builders = {"matmul": matmul, "conv3d": conv3d, "copy": copy}
