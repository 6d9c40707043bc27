"""How long `harness table 4` takes from a ledger of 1,000 records: at most 1 s beyond imports, 4 s in all.

    python -m benchmarks.tables

Makes the records in a temporary folder, 105 of them those of Table 4 at micro scale with scores of 280 videos, then
renders the table in this process (processor time after imports) and as a command (wall-clock and processor time).
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from harness.app.plans import cells_of
from harness.core.spec import Job, Selection
from harness.core.workspace import Workspace
from harness.metrics.scores import Scores, counts
from harness.metrics.summary import summary
from harness.planning.plan import make_plan
from harness.records.record import SCORES, Record, write_record, write_scores

RECORDS, VIDEOS, CLASSES = 1000, 280, 14


def scores_of(seed: int) -> Scores:
    rng = np.random.default_rng(seed)
    labels = np.arange(VIDEOS, dtype=np.int64) % CLASSES
    logits = rng.normal(size=(VIDEOS, CLASSES)).astype(np.float32)
    logits[np.arange(VIDEOS), labels] += 1
    groups = tuple(f"g{k // 5}" for k in range(VIDEOS))
    return Scores(tuple(f"video-{k:04d}" for k in range(VIDEOS)), logits, labels, groups)


def fill_ledger(workspace: Workspace) -> None:
    """Records of every job of Table 4, and of as many others as make 1,000."""
    jobs = list(make_plan(cells_of(Selection(scale="micro"), "4"), workspace, looking=True).jobs)
    jobs += [Job("train", f"other {k}", dict(jobs[-1].spec) | {"seed": 1000 + k}) for k in range(RECORDS - len(jobs))]
    for number, job in enumerate(jobs):
        scores = scores_of(number)
        numbers, cost = summary(scores), {"wall_s": 60.0}
        record = Record(
            job.id, job.kind, job.title, job.spec, job.upstream, {}, "", numbers, cost, counts=counts(scores)
        )

        def fill(folder: Path, scores: Scores = scores) -> None:
            write_scores(folder / SCORES, scores)

        write_record(workspace.runs, record, fill=fill)


def main() -> None:
    """Prints the figures; exits 1 when a bound is broken."""
    from harness.planning.lookup import lookup_in
    from reports import tables

    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(data=Path(folder) / "data", results=Path(folder) / "results")
        fill_ledger(workspace)
        began, cpu = time.perf_counter(), time.process_time()
        text = tables.render(tables.build(4, lookup_in(workspace), tables.Question(scale="micro")))
        inside_s, inside_cpu_s = time.perf_counter() - began, time.process_time() - cpu
        command = [
            sys.executable,
            "-m",
            "harness",
            "table",
            "4",
            "--scale",
            "micro",
            "--results",
            str(workspace.results),
        ]
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([*command, "--data", str(workspace.data)], check=True, capture_output=True, env=dict(os.environ))
        whole_s, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    whole_cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    filled = text.count("[")
    print(f"table 4 from {RECORDS:,} records, {filled} intervals shown")
    print(f"beyond imports  {inside_s:.2f} s wall, {inside_cpu_s:.2f} s of processor (at most 1)")
    print(f"in all          {whole_s:.2f} s wall, {whole_cpu_s:.2f} s of processor (at most 4)")
    sys.exit(int(min(inside_s, inside_cpu_s) > 1 or min(whole_s, whole_cpu_s) > 4 or filled < 54))


if __name__ == "__main__":
    main()
