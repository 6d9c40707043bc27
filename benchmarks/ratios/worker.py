"""A process that builds one case and runs it whenever it is told: `python -m benchmarks.ratios.worker CASE`.

Two of them, told in turn, are how two settings of what is process-wide - the allocator, threads - are timed side by
side.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Any

from benchmarks.ratios.case import Case, Ready
from harness.core import allocator
from harness.core.errors import HarnessError


class Worker:
    """The asking side: `run()` gives seconds. The process ends with the `with` block."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.ratios.worker", json.dumps(asdict(case))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {allocator.SWITCH: case.malloc, "OMP_NUM_THREADS": str(case.threads)},
        )
        self.facts: dict[str, Any] = {}

    def __enter__(self) -> Worker:
        try:
            self.facts = self._answer()
        except HarnessError:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def run(self) -> float:
        """Seconds of one more round."""
        self.begin()
        return self.end()

    def begin(self) -> None:
        """Tell the process to do one more round."""
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self) -> float:
        """Seconds of the round that was begun, when it is done."""
        answer = self._answer()
        self.facts["memory_bytes"] = answer["memory_bytes"]
        return float(answer["seconds"])

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise HarnessError(
                f"the benchmark process for {self.case} ended ({self.process.wait()}); its words are above"
            )
        answer: dict[str, Any] = json.loads(line)
        return answer


class Together:
    """Several processes told at the same moment: a round is over when the last has done its part."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self.workers = [Worker(case) for case in cases]
        self.facts: dict[str, Any] = {}

    def __enter__(self) -> Together:
        with contextlib.ExitStack() as stack:
            for worker in self.workers:
                stack.enter_context(worker)
            self._stack = stack.pop_all()
        self.facts = {"parts": [worker.facts for worker in self.workers]}
        return self

    def __exit__(self, *ending: object) -> None:
        self._stack.close()

    def run(self) -> float:
        """Seconds by the clock of one more round."""
        begun = time.perf_counter()
        for worker in self.workers:
            worker.begin()
        for worker in self.workers:
            worker.end()
        took = time.perf_counter() - begun
        self.facts["memory_bytes"] = max(worker.facts["memory_bytes"] for worker in self.workers)
        return took


@dataclass(frozen=True)
class Command:
    """A whole process of this interpreter, timed from start to end."""

    words: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __enter__(self) -> Command:
        self.run()  # what a first start reads from disk is not ours to time
        return self

    def __exit__(self, *ending: object) -> None: ...

    def run(self) -> float:
        """Seconds. Raises CalledProcessError if it fails."""
        begun = time.perf_counter()
        subprocess.run([sys.executable, *self.words], check=True, capture_output=True)
        return time.perf_counter() - begun


def builders() -> dict[str, Callable[[Case], Ready]]:
    """Everything that a process can be told to build, by name."""
    from benchmarks.ratios import clips, flows, heads, networks

    return {**networks.WHATS, **heads.WHATS, **clips.WHATS, **flows.WHATS}


def known(what: str) -> Callable[[Case], Ready]:
    """The builder of that name."""
    found = builders()
    if what not in found:
        raise HarnessError(f"no benchmark '{what}'; have: {', '.join(sorted(found))}")
    return found[what]


def main() -> None:
    """Build, warm up, then a line of JSON for each line read."""
    told = json.loads(sys.argv[1])
    case = Case(**told | {"streams": tuple(told["streams"])})
    build = known(case.what)
    allocator.keep_freed_memory()
    import torch

    torch.set_num_threads(case.threads)
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    ready = build(case)
    # Thirty epochs warm up within themselves; a GPU also chooses its kernels.
    for _ in range(1 if "epochs" in ready.facts else 2 if case.device == "cpu" else 5):
        _timed(ready.step, case)
    _tell(dict(ready.facts))
    for _ in sys.stdin:
        _tell({"seconds": _timed(ready.step, case), "memory_bytes": _memory(case.device)})


def _timed(step: Any, case: Case) -> float:
    import torch

    cuda = case.device.startswith("cuda")
    if cuda:
        torch.cuda.synchronize()
    begun = time.perf_counter()
    for _ in range(case.repeat):
        step()
    if cuda:
        torch.cuda.synchronize()
    return (time.perf_counter() - begun) / case.repeat


def _memory(device: str) -> int:
    """Most bytes held so far: of the device's memory, or of the process."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _tell(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
