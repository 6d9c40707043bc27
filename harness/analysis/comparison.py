"""The paired test of two results on the same videos."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from harness.core.errors import HarnessError
from harness.metrics import statistics
from harness.metrics.fusion import late_fusion
from harness.metrics.scores import CellResult, aligned, topk_correct
from harness.records.caveats import caveats_of_pair
from harness.records.record import SCORES, Record, RunStore


@dataclass(frozen=True, eq=False)
class Comparison:
    """The comparison of A and B at top-1, on the same videos."""

    a: CellResult
    b: CellResult
    test: statistics.PairedTest
    """Differences as shares in [-1, 1], A minus B."""
    caveats: tuple[str, ...]
    """Differences between A and B that are not in the networks, and warnings about each, in sentences."""

    @property
    def smallest_difference(self) -> float | None:
        """Smallest true difference, in [0, 1], that a test on as many independent videos detects with 80% power (p < 0.05).

        None if A and B disagree on too few videos.
        """
        disagree = (self.test.only_a + self.test.only_b) / self.test.n
        smallest = statistics.smallest_difference(self.test.n, disagree=disagree) if disagree else float("nan")
        return None if smallest != smallest else smallest


def compare(a: CellResult, b: CellResult) -> Comparison:
    """The paired test. Raises HarnessError if the two were scored on different videos."""
    scores = a.scores
    others = aligned(b.scores, scores.ids)
    clusters = statistics.clusters_of(scores.ids, scores.groups)
    test = statistics.paired(topk_correct(scores), topk_correct(others), clusters)
    return Comparison(a, b, test, tuple(caveats_of_pair(a.records, b.records)))


def find_result(jobs: str, run_store: RunStore) -> CellResult:
    """The result of 'A', or of 'A+B', the jobs of two streams, by the beginnings of their ids. Raises as `fused` does."""
    return fused([run_store.find(prefix) for prefix in jobs.split("+")])


def fused(records: Sequence[Record]) -> CellResult:
    """The result of one job, or of the jobs of two streams: the sum of their scores.

    Raises HarnessError for a job without scores, and for jobs that read the same stream.
    """
    for record in records:
        if SCORES not in record.files:
            raise HarnessError(
                f"job {record.job_id} ({record.title}) scored no videos; `harness ls jobs` shows a top-1 for jobs that did"
            )
    streams = [stream for record in records for stream in getattr(record.spec, "streams", ())]
    ids = tuple(record.job_id for record in records)
    if len(records) > 1 and len(set(streams)) < len(streams):
        raise HarnessError(
            f"{'+'.join(ids)} adds jobs that read {' and '.join(streams)}; add an RGB job and a flow job"
        )
    return CellResult(functools.reduce(late_fusion, (record.scores() for record in records)), ids, tuple(records))
