"""A process that builds one case and times it on request: `python -m benchmarks.ratios.worker CASE`.

It answers each line on its input with one line of JSON. Two of them, asked in turn, are how two settings of what is
process-wide - the allocator, threads - are timed side by side.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from typing import Any

from benchmarks.ratios.case import Case
from benchmarks.ratios.suites import builder
from harness.core import allocator


def main() -> None:
    """Build the case, warm up, then run one round per line of input."""
    fields = json.loads(sys.argv[1])
    case = Case(**fields | {"streams": tuple(fields["streams"])})
    build = builder(case.builder)
    if case.malloc == "kept":
        allocator.keep_freed_memory()
    configure(case)
    ready = build(case)
    # Thirty epochs warm up within themselves; a GPU also chooses its kernels.
    for _ in range(1 if "epochs" in ready.facts else 2 if case.device == "cpu" else 5):
        _round_s(ready.step, case)
    _answer(dict(ready.facts))
    for _ in sys.stdin:
        _answer({"seconds": _round_s(ready.step, case), "memory_bytes": _peak_memory_bytes(case.device)})


def configure(case: Case) -> None:
    """Threads, seed and precision, as jobs set them (`harness.jobs.context.configure`)."""
    import torch

    torch.set_num_threads(case.threads)
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = case.precision != "float32"


def _round_s(step: Any, case: Case) -> float:
    import torch

    cuda = case.device.startswith("cuda")
    if cuda:
        torch.cuda.synchronize()
    began = time.perf_counter()
    step()
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - began


def _peak_memory_bytes(device: str) -> int:
    """Peak memory of the device, or of this process on a CPU."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _answer(values: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
