"""Timed code as a process: `run()` returns the seconds of one more round; the process ends with the `with` block."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.ratios.case import Case
from harness.core.errors import HarnessError


class Worker:
    """A `benchmarks.ratios.worker` for one case."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.ratios.worker", json.dumps(asdict(case))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": str(case.threads)},
        )
        self.facts: dict[str, Any] = {}

    def __enter__(self) -> Worker:
        try:
            self.facts = self._answer()
        except HarnessError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def run(self) -> float:
        self.begin()
        return self.end()

    def begin(self) -> None:
        """Start one more round."""
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self) -> float:
        """Wait for the round that was begun; its seconds."""
        answer = self._answer()
        self.facts["memory_bytes"] = answer["memory_bytes"]
        return float(answer["seconds"])

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise HarnessError(
                f"the benchmark process for {self.case} exited with {self.process.wait()}; its error is printed above"
            )
        answer: dict[str, Any] = json.loads(line)
        return answer


class WorkerGroup:
    """Several workers started at the same moment: a round is over when the last has done its part."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self.workers = [Worker(case) for case in cases]
        self.facts: dict[str, Any] = {}

    def __enter__(self) -> WorkerGroup:
        with contextlib.ExitStack() as stack:
            for worker in self.workers:
                stack.enter_context(worker)
            self._stack = stack.pop_all()
        self.facts = {"parts": [worker.facts for worker in self.workers]}
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def run(self) -> float:
        began = time.perf_counter()
        for worker in self.workers:
            worker.begin()
        for worker in self.workers:
            worker.end()
        seconds = time.perf_counter() - began
        self.facts["memory_bytes"] = max(worker.facts["memory_bytes"] for worker in self.workers)
        return seconds


@dataclass(frozen=True)
class CommandProcess:
    """A whole process of this interpreter, timed from start to end."""

    words: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __enter__(self) -> CommandProcess:
        self.run()  # the first start reads files from disk, which is not what is timed
        return self

    def __exit__(self, *error: object) -> None: ...

    def run(self) -> float:
        """Raises CalledProcessError if it fails."""
        began = time.perf_counter()
        subprocess.run([sys.executable, *self.words], check=True, capture_output=True)
        return time.perf_counter() - began
