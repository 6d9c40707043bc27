"""The paper's claims as paired tests on the records, valid at any scale. `harness claims` prints them.

A claim is tested on every pair of numbers that the paper prints for it (Tables 2 to 5): the same videos, classified by A
and by B. A claim with several assertions (better than each of four others) has several *parts*, and all must hold: the
effect, interval and p of the claim are those of its weakest part. p is two-sided, and 1 if the effect has the opposite
sign. It is corrected by Holm over all claims that could be tested.

=============  ===================================================================================================
supported      in every part A is ahead of B, with a corrected p below 0.05
not supported  the 95% interval of some part is below one point: if the claim holds here at all, then by less. For the
               order of time also: single frames distinguish the two directions, so motion is not what they need
undecided      neither: these videos cannot decide
not run        no pair of numbers has records for some part
=============  ===================================================================================================

Intervals are sampled over videos, by group. With one seed, a claim is about these particular trainings. With several,
answers are averaged over seeds, and the deviation over seeds widens the interval.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from harness.analysis import claim_definitions
from harness.analysis.claim_definitions import ClaimDefinition, Comparison, Part
from harness.core.errors import HarnessError
from harness.core.spec import Cell
from harness.metrics import statistics
from harness.metrics.pooling import Contrast, Pooled, pool
from harness.metrics.scores import CellResult, Scores, topk_correct
from harness.planning.lookup import Lookup

ALPHA = 0.05
WORTH_POINTS = 1.0
"""A claim that holds by less than this is not called supported."""
ORDER = "reversal"
"""Class group in which every second class is the previous one played backwards."""

Verdict = Literal["supported", "not supported", "undecided", "not run"]


@dataclass(frozen=True)
class Claim:
    """The result of testing one claim. Effects in points of top-1."""

    name: str
    statement: str
    paper: str
    """Place in the paper."""
    effect_points: float | None
    """Effect of the weakest part: mean over its pairs of A's accuracy minus B's. None if it was not run."""
    low: float | None
    """95% interval of the effect."""
    high: float | None
    p_value: float | None
    p_corrected: float | None
    """Corrected by Holm over the claims that were run."""
    verdict: Verdict
    detail: str
    """Every part with its effect, the number of the paper's pairs behind it, and caveats."""
    cells: tuple[tuple[Cell, Cell], ...]
    """(A, B) of every pair with records."""
    paper_points: float | None = None
    """The same effect computed from the paper's printed numbers; it has no interval."""


@dataclass(frozen=True)
class _Measured:
    """One part, measured on the records."""

    part: Part
    pooled: Pooled | None
    """None if no pair has records. Shares, not points."""
    used: tuple[Comparison, ...]
    cells: tuple[tuple[Cell, Cell], ...]

    @property
    def p_value(self) -> float:
        """p in the direction of the claim."""
        return self.pooled.p_value if self.pooled and self.pooled.effect > 0 else 1.0


@dataclass(frozen=True)
class _Answers:
    """Whether each video was classified correctly, in the order of video ids."""

    ids: tuple[str, ...]
    right: NDArray[np.float64]
    clusters: tuple[str, ...]


def all_claims(lookup: Lookup, *, scale: str, seeds: tuple[int, ...] = (0,)) -> tuple[Claim, ...]:
    """Every claim of the paper, tested on the records that `lookup` has at this scale.

    Raises HarnessError if the two numbers of a pair were scored on different videos.
    """
    cached = functools.cache(lookup)  # every number is part of several claims
    measured = [
        (definition, [_measure(part, cached, scale=scale, seeds=seeds) for part in definition.parts])
        for definition in claim_definitions.all_definitions(scale)
    ]
    run = [(definition, parts) for definition, parts in measured if parts and all(part.pooled for part in parts)]
    corrected = dict(
        zip(
            [definition.name for definition, _ in run],
            statistics.holm([_weakest(parts).p_value for _, parts in run]) if run else [],
            strict=True,
        )
    )
    return tuple(
        _claim(definition, parts, corrected[definition.name], _frames_alone(definition, cached, scale, seeds), seeds)
        if definition.name in corrected
        else _not_run(definition, parts, scale, seeds)
        for definition, parts in measured
    )


def _weakest(parts: Sequence[_Measured]) -> _Measured:
    return max(parts, key=lambda part: (part.p_value, -(part.pooled.effect if part.pooled else 0.0)))


# ---------------------------------------------------------------------------------------------------- measuring


def _measure(part: Part, lookup: Lookup, *, scale: str, seeds: tuple[int, ...]) -> _Measured:
    """The comparisons of the part that have records, all with the same weight."""
    recorded = [(each, cells) for each in part.comparisons if (cells := _recorded(each, lookup, scale, seeds))]
    if not recorded:
        return _Measured(part, None, (), ())

    def contrasts(chosen: tuple[int, ...]) -> list[Contrast]:
        return [
            _contrast(a, b, lookup, chosen, part.answers, weight / len(recorded))
            for _, cells in recorded
            for a, b, weight in cells
        ]

    pooled = _over_seeds(contrasts, seeds)
    return _Measured(
        part,
        pooled,
        tuple(comparison for comparison, _ in recorded),
        tuple((a, b) for _, cells in recorded for a, b, _ in cells),
    )


def _over_seeds(contrasts: Any, seeds: tuple[int, ...]) -> Pooled:
    """Answers averaged over seeds. The deviation over seeds is added as a variance."""
    if len(seeds) == 1:
        return pool(contrasts(seeds))
    each = [pool(contrasts((seed,))).effect for seed in seeds]
    spread = statistics.spread(each).deviation
    return pool(contrasts(seeds), extra_variance=spread * spread / len(seeds), degrees=len(seeds) - 1)


def _recorded(
    comparison: Comparison, lookup: Lookup, scale: str, seeds: tuple[int, ...]
) -> list[tuple[Cell, Cell, float]] | None:
    """(A, B, weight) of every pair of cells, at the first seed; None unless all of them have records."""
    cells = []
    for pair in comparison:
        for a, b in claim_definitions.cells_of(pair, scale):
            if not all(lookup(replace(cell, seed=seed)) for cell in (a, b) for seed in seeds):
                return None
            cells.append((a, b, pair.sign / len(pair.a.splits)))
    return cells


def _contrast(a: Cell, b: Cell, lookup: Lookup, seeds: tuple[int, ...], kind: str, weight: float) -> Contrast:
    first, second = (_answers(cell, lookup, seeds, kind) for cell in (a, b))
    if first.ids != second.ids:
        raise HarnessError(
            f"{a} and {b} were scored on different videos; remove the older records of the two and run them again"
        )
    return Contrast(
        gains=first.right - second.right,
        videos=[(a.dataset, video) for video in first.ids],
        clusters=[(a.dataset, cluster) for cluster in first.clusters],
        strata=a.dataset,
        weight=weight,
    )


def _answers(cell: Cell, lookup: Lookup, seeds: tuple[int, ...], kind: str) -> _Answers:
    results = [lookup(replace(cell, seed=seed)) for seed in seeds]
    parts = [
        _order_answers(result) if kind == "order" else _top1_answers(result.scores) for result in results if result
    ]
    if any(part.ids != parts[0].ids for part in parts):
        raise HarnessError(f"the seeds of {cell} were scored on different videos; run the older ones again")
    return _Answers(parts[0].ids, np.mean([part.right for part in parts], axis=0), parts[0].clusters)


def _top1_answers(scores: Scores) -> _Answers:
    return _sorted(scores, topk_correct(scores).astype(np.float64), np.arange(scores.n))


def _order_answers(result: CellResult) -> _Answers:
    """For videos of reversed pairs of classes: whether the true class scores higher than its reverse. Chance is one half."""
    scores, reverse = result.scores, _reverses(result)
    rows = np.array([row for row, label in enumerate(scores.labels.tolist()) if label in reverse], dtype=np.int64)
    labels = scores.labels[rows]
    against = np.array([reverse[label] for label in labels.tolist()], dtype=np.int64)
    right = (scores.logits[rows, labels] > scores.logits[rows, against]) & scores.decodable[rows]
    return _sorted(scores, right.astype(np.float64), rows)


def _reverses(result: CellResult) -> dict[int, int]:
    """Label -> label of the same class played backwards."""
    from harness.core import registry

    record = result.records[0]
    names = registry.load("dataset", record.spec["dataset"]["name"]).class_groups[ORDER]
    labels = [record.classes.index(name) for name in names]
    pairs = list(zip(labels[::2], labels[1::2], strict=True))
    return dict(pairs) | {second: first for first, second in pairs}


def _sorted(scores: Scores, right: NDArray[np.float64], rows: NDArray[np.int64]) -> _Answers:
    """`right` of `rows`, sorted by video id."""
    clusters = statistics.clusters_of(scores.ids, scores.groups)
    order = sorted(range(len(rows)), key=lambda k: scores.ids[rows[k]])
    return _Answers(
        ids=tuple(scores.ids[rows[k]] for k in order),
        right=right[order],
        clusters=tuple(clusters[rows[k]] for k in order),
    )


def _frames_alone(definition: ClaimDefinition, lookup: Lookup, scale: str, seeds: tuple[int, ...]) -> Pooled | None:
    """Single frames' accuracy above chance on reversed pairs; None for claims that are not about the order of time."""
    frames = [b for part in definition.parts if part.answers == "order" for each in part.comparisons for b in each]
    cells = {b: None for pair in frames for _, b in claim_definitions.cells_of(pair, scale) if lookup(b)}
    if not cells:
        return None
    answers = [(cell, _answers(cell, lookup, seeds, "order")) for cell in cells]
    return pool(
        [
            Contrast(
                gains=answer.right - 0.5,
                videos=[(cell.dataset, video) for video in answer.ids],
                clusters=[(cell.dataset, cluster) for cluster in answer.clusters],
                strata=cell.dataset,
                weight=1 / len(answers),
            )
            for cell, answer in answers
        ]
    )


# ---------------------------------------------------------------------------------------------------- judging


def _claim(
    definition: ClaimDefinition,
    parts: Sequence[_Measured],
    corrected: float,
    frames: Pooled | None,
    seeds: tuple[int, ...],
) -> Claim:
    weakest = _weakest(parts)
    assert weakest.pooled is not None
    verdict = judge([part.pooled for part in parts if part.pooled], corrected, frames)
    notes = [_summary(part) for part in parts]
    if frames:
        notes.append(
            f"single frames distinguish the directions in {50 + 100 * frames.effect:.1f}% of the videos (chance 50%)"
        )
    notes.append(f"{weakest.pooled.videos} videos in {weakest.pooled.groups} groups")
    notes.append("one training each" if len(seeds) == 1 else f"{len(seeds)} seeds")
    return Claim(
        name=definition.name,
        statement=definition.statement,
        paper=definition.where,
        effect_points=100 * weakest.pooled.effect,
        low=100 * weakest.pooled.low,
        high=100 * weakest.pooled.high,
        p_value=weakest.p_value,
        p_corrected=corrected,
        verdict=verdict,
        detail="; ".join(notes),
        cells=tuple(dict.fromkeys(pair for part in parts for pair in part.cells)),
        paper_points=claim_definitions.paper_points(weakest.part),
    )


def judge(parts: Sequence[Pooled], corrected: float, frames: Pooled | None = None) -> Verdict:
    """The verdict on parts that were all measured, by the rules at the top of this file."""
    if frames and frames.low > 0:
        return "not supported"
    if all(part.effect > 0 for part in parts) and corrected < ALPHA:
        return "supported"
    if any(100 * part.high < WORTH_POINTS for part in parts):
        return "not supported"
    return "undecided"


def _summary(measured: _Measured) -> str:
    """'over C3D +12.3 [8.0, 16.6] (5 of 7 pairs)'."""
    pooled, part = measured.pooled, measured.part
    assert pooled is not None
    effect = f"{100 * pooled.effect:+.1f} [{100 * pooled.low:+.1f}, {100 * pooled.high:+.1f}]"
    return f"{part.name} {effect} ({len(measured.used)} of {len(part.comparisons)} pairs)"


def _not_run(definition: ClaimDefinition, parts: Sequence[_Measured], scale: str, seeds: tuple[int, ...]) -> Claim:
    missing = [measured.part.name for measured in parts if measured.pooled is None]
    flags = "".join(f" --seed {seed}" for seed in seeds) if seeds != (0,) else ""
    runs = [f"`harness table {number} --scale {scale}{flags} --run`" for number in definition.tables]
    detail = definition.impossible or (
        f"no records for a pair of numbers: {', '.join(missing)}. Run {' and '.join(runs)}"
    )
    return Claim(
        name=definition.name,
        statement=definition.statement,
        paper=definition.where,
        effect_points=None,
        low=None,
        high=None,
        p_value=None,
        p_corrected=None,
        verdict="not run",
        detail=detail,
        cells=tuple(dict.fromkeys(pair for part in parts for pair in part.cells)),
    )
