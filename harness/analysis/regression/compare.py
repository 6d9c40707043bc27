"""Expected numbers compared with new ones: a verdict with its reason. Arithmetic on counts; nothing is run here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree

import numpy as np

from harness.analysis.regression.expected import Rescored, Retrained
from harness.metrics.scores import Scores, aligned, predictions, topk_correct
from harness.metrics.statistics import spread, student

LEVEL = 0.99
"""Level of the prediction interval of a repeated training: one correct re-run in a hundred is outside."""


@dataclass(frozen=True)
class CheckOutcome:
    """The result of one expectation."""

    suite: str
    """Name of its file."""
    kind: Literal["retrained", "rescored"]
    title: str
    state: Literal["ok", "fail", "missing"]
    expected: str
    actual: str
    why: str = ""
    """One sentence, with the remedy where there is one; '' where all is well."""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return self.state == "ok"


def check_retrained(suite: str, entry: Retrained, counts: Mapping[int, tuple[int, int]], command: str) -> CheckOutcome:
    """`counts`: seed -> (right answers, videos scored) of finished seeds; `command` runs one.

    Their mean must be within the interval that the r expected seeds predict for the mean of k new ones: Student's
    t times the standard deviation times sqrt(1/r + 1/k). A standard deviation below one video is taken as one video.
    """

    def outcome(state: Literal["ok", "fail", "missing"], why: str) -> CheckOutcome:
        return CheckOutcome(suite, "retrained", entry.title, state, _promise(entry), _shares(counts), why)

    if not entry.known:
        return outcome("fail", "no number is expected yet: run five seeds, then `harness check --update`")
    if not counts:
        return outcome("missing", f"none of its seeds is finished: `{command}`, or `harness check --run`")
    sizes = sorted({n for _, n in counts.values()})
    if sizes != [entry.n]:
        return outcome("fail", f"scored on {sizes} videos, expected {entry.n}: the test set is another")
    low, high = interval(entry, len(counts))
    mean = spread([100.0 * right / n for right, n in counts.values()]).mean
    if low <= mean <= high:
        return outcome("ok", "")
    side = "below" if mean < low else "above"
    return outcome("fail", f"{mean:.1f}% is {side} {low:.1f} … {high:.1f}%, the {LEVEL:.0%} prediction interval")


def interval(entry: Retrained, seeds: int) -> tuple[float, float]:
    """(low, high) in percent, around the mean of `seeds` new trainings with probability LEVEL."""
    known = spread(entry.shares_pct)
    deviation = max(known.deviation, 100.0 / entry.n)
    half = student(LEVEL, known.count - 1) * deviation * math.sqrt(1 / seeds + 1 / known.count)
    return known.mean - half, known.mean + half


def _promise(entry: Retrained) -> str:
    if not entry.known:
        return "not known yet"
    known = spread(entry.shares_pct)
    return f"{known.mean:.1f} ± {known.deviation:.1f}% ({known.count} seeds, n = {entry.n})"


def _shares(counts: Mapping[int, tuple[int, int]]) -> str:
    if not counts:
        return "not finished"
    shares = [100.0 * right / n for right, n in counts.values()]
    listed = ", ".join(f"{share:.1f}" for share in shares)
    return f"{spread(shares).mean:.1f}% (seed{'s' if len(counts) > 1 else ''} {', '.join(map(str, counts))}: {listed})"


def check_rescored(suite: str, entry: Rescored, again: Scores, recorded: Scores) -> CheckOutcome:
    """The same weights scored `again`: every count as expected, and every logit as recorded."""
    right1, right5 = int(topk_correct(again).sum()), int(topk_correct(again, 5).sum())
    expected = f"{entry.correct1} / {entry.correct5} of {entry.n}" if entry.known else "not known yet"
    counts = f"{right1} / {right5} of {again.n}"

    def outcome(state: Literal["ok", "fail"], why: str) -> CheckOutcome:
        return CheckOutcome(suite, "rescored", entry.title, state, expected, counts, why)

    if not entry.known:
        return outcome("fail", "no counts are expected yet: `harness check --update`")
    if set(again.ids) != set(recorded.ids):
        return outcome("fail", "other videos were scored than when the weights were recorded")
    relabelled = int((again.labels != aligned(recorded, again.ids).labels).sum())
    if relabelled:
        why = f"the labels of {relabelled} videos are not those recorded: another order of classes, or other lists"
        return outcome("fail", why)
    moved, changed = differences(again, recorded)
    change = f"{changed} predictions changed and logits moved by up to {moved:.2g}: the network's input or arithmetic has changed"
    if (right1, right5, again.n) != (entry.correct1, entry.correct5, entry.n):
        return outcome("fail", f"the same weights give other counts; {change}")
    if moved > entry.logits_within:
        return outcome("fail", f"the counts are the same, but {change} (allowed: {entry.logits_within:g})")
    return outcome("ok", "")


def differences(again: Scores, recorded: Scores) -> tuple[float, int]:
    """(largest change of a logit, videos whose predicted class changed), aligned by id."""
    recorded = aligned(recorded, again.ids)
    moved = float(np.abs(again.logits - recorded.logits).max())
    return moved, int((predictions(again) != predictions(recorded)).sum())


def junit(outcomes: Sequence[CheckOutcome]) -> str:
    """Outcomes as JUnit XML, which every CI reads: one test case per expectation; a missing number is a failure of its own type."""
    failed = [outcome for outcome in outcomes if not outcome.ok]
    suite = ElementTree.Element(
        "testsuite",
        name="harness check",
        tests=str(len(outcomes)),
        failures=str(len(failed)),
        errors="0",
        skipped="0",
        time=f"{sum(outcome.seconds for outcome in outcomes):.3f}",
    )
    for outcome in outcomes:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=f"{outcome.suite}.{outcome.kind}",
            name=outcome.title,
            time=f"{outcome.seconds:.3f}",
        )
        if not outcome.ok:
            message = f"expected {outcome.expected}, found {outcome.actual}: {outcome.why}"
            ElementTree.SubElement(case, "failure", type=outcome.state, message=message).text = message
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"
