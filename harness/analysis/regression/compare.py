"""Found against expected: a verdict with its reason. Arithmetic on counts; nothing is run here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.analysis.regression.expected import Rescored, Retrained
from harness.metrics.scores import Scores, aligned, predictions, topk_correct
from harness.metrics.statistics import spread, student

LEVEL = 0.99
"""Of the prediction interval that a training done again must lie in: one honest re-run in a hundred does not."""


@dataclass(frozen=True)
class Outcome:
    """What became of one expectation."""

    suite: str
    """Name of the file it stands in."""
    kind: Literal["retrained", "rescored"]
    title: str
    state: Literal["ok", "fail", "missing"]
    expected: str
    found: str
    why: str = ""
    """One sentence, with the remedy where there is one; '' where all is well."""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return self.state == "ok"


def check_retrained(suite: str, entry: Retrained, found: Mapping[int, tuple[int, int]], how_to_run: str) -> Outcome:
    """`found`: seed -> (right answers, videos scored) of those in the ledger.

    Their mean must lie within the interval that the expected seeds predict for the mean of so many new ones: Student's
    t times the deviation times sqrt(1/r + 1/k). A deviation below one video is taken as one video.
    """

    def outcome(state: Literal["ok", "fail", "missing"], seen: str, why: str) -> Outcome:
        return Outcome(suite, "retrained", entry.title, state, _promise(entry), seen, why)

    if not entry.known:
        return outcome("fail", _told(found), "no number is expected yet: run five seeds, then `harness check --update`")
    if not found:
        why = f"none of its seeds is in the ledger: `{how_to_run}`, or `harness check --run`"
        return outcome("missing", "not in the ledger", why)
    sizes = sorted({n for _, n in found.values()})
    if sizes != [entry.n]:
        return outcome("fail", _told(found), f"scored on {sizes} videos, expected {entry.n}: the test set is another")
    low, high = interval(entry, len(found))
    mean = spread([100.0 * right / n for right, n in found.values()]).mean
    if low <= mean <= high:
        return outcome("ok", _told(found), "")
    where = "below" if mean < low else "above"
    return outcome(
        "fail", _told(found), f"{mean:.1f}% is {where} {low:.1f} … {high:.1f}%, where {LEVEL:.0%} of honest re-runs lie"
    )


def interval(entry: Retrained, seeds: int) -> tuple[float, float]:
    """Percent: where the mean of `seeds` new trainings lies with probability LEVEL."""
    known = spread(entry.shares_pct)
    deviation = max(known.deviation, 100.0 / entry.n)
    half = student(LEVEL, known.count - 1) * deviation * math.sqrt(1 / seeds + 1 / known.count)
    return known.mean - half, known.mean + half


def _promise(entry: Retrained) -> str:
    if not entry.known:
        return "not known yet"
    known = spread(entry.shares_pct)
    return f"{known.mean:.1f} ± {known.deviation:.1f}% ({known.count} seeds, n = {entry.n})"


def _told(found: Mapping[int, tuple[int, int]]) -> str:
    if not found:
        return "not in the ledger"
    shares = [100.0 * right / n for right, n in found.values()]
    listed = ", ".join(f"{share:.1f}" for share in shares)
    return f"{spread(shares).mean:.1f}% (seed{'s' if len(found) > 1 else ''} {', '.join(map(str, found))}: {listed})"


def check_rescored(suite: str, entry: Rescored, again: Scores, recorded: Scores) -> Outcome:
    """The same weights scored `again`: every count as expected, and every logit where the record has it."""
    right1, right5 = int(topk_correct(again).sum()), int(topk_correct(again, 5).sum())
    expected = f"{entry.correct1} / {entry.correct5} of {entry.n}" if entry.known else "not known yet"
    found = f"{right1} / {right5} of {again.n}"

    def outcome(state: Literal["ok", "fail"], why: str) -> Outcome:
        return Outcome(suite, "rescored", entry.title, state, expected, found, why)

    if not entry.known:
        return outcome("fail", "no counts are expected yet: `harness check --update`")
    if set(again.ids) != set(recorded.ids):
        return outcome("fail", "other videos were scored than when the weights were recorded")
    relabelled = labels_changed(again, recorded)
    if relabelled:
        why = f"the labels of {relabelled} videos are not those recorded: another order of classes, or other lists"
        return outcome("fail", why)
    moved, changed = differences(again, recorded)
    what = (
        f"{changed} videos are answered otherwise and logits moved by up to {moved:.2g}: what is fed to the network "
        "changed, or how it computes"
    )
    if (right1, right5, again.n) != (entry.correct1, entry.correct5, entry.n):
        return outcome("fail", f"the same weights give other counts; {what}")
    if moved > entry.logits_within:
        return outcome("fail", f"the counts stand, but {what} (allowed: {entry.logits_within:g})")
    return outcome("ok", "")


def differences(again: Scores, recorded: Scores) -> tuple[float, int]:
    """(largest change of a logit, videos whose predicted class changed), aligned by id."""
    recorded = aligned(recorded, again.ids)
    moved = float(np.abs(again.logits - recorded.logits).max())
    return moved, int((predictions(again) != predictions(recorded)).sum())


def labels_changed(again: Scores, recorded: Scores) -> int:
    """Videos whose label is another than when they were recorded."""
    return int((again.labels != aligned(recorded, again.ids).labels).sum())
